/* What a route finds in the table and reads of a query. Bodies, methods and background work are in
 * tests/e2e/test_own.py, where there is a worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/own.h"

static void paths_are_found_whole(void **state)
{
    (void)state;
    for (const struct own_route *route = own_routes; route->path; route++) {
        assert_ptr_equal(own_route_of(slice_str(route->path)), route->prefix ? NULL : route);
        assert_true(route->methods & (OWN_GET | OWN_POST));
        assert_non_null(route->answer);
        size_t len = strlen(route->path);
        assert_true(!route->prefix || route->path[len - 1] == '/');
    }
    assert_null(own_route_of(SLICE("/v1/chat/completions")));
    assert_null(own_route_of(SLICE("/healthz/")));
    assert_null(own_route_of(SLICE("/health")));
    assert_null(own_route_of(SLICE("")));
}

static void assert_parameter(const char *query, const char *name, const char *expected)
{
    struct own_request own = {.query = slice_str(query)};
    char out[8] = "before";
    bool found = own_parameter(&own, name, out, sizeof out);

    if (found != (expected != NULL) || (found && strcmp(out, expected) != 0))
        fail_msg("%s in %s: %s", name, query, found ? out : "not found");
}

static void parameters_are_decoded_and_cut(void **state)
{
    (void)state;
    assert_parameter("a=1&b=2", "a", "1");
    assert_parameter("a=1&b=2", "b", "2");
    assert_parameter("a=1&b=2", "c", NULL);
    assert_parameter("", "a", NULL);
    assert_parameter("a", "a", "");
    assert_parameter("a=", "a", "");
    assert_parameter("aa=1&a=2", "a", "2");
    assert_parameter("a=x%2Fy+z", "a", "x/y z");
    assert_parameter("a=100%", "a", "100%");
    assert_parameter("a=%zz%4", "a", "%zz%4");
    assert_parameter("a=%41%6a", "a", "Aj");
    assert_parameter("a=123456789", "a", "1234567");
    assert_parameter("a=1=2", "a", "1=2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_found_whole),
        cmocka_unit_test(parameters_are_decoded_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
