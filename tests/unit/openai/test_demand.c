#include "openai/demand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct peek peek;

static struct plan_request demand_of(const char *method, const char *path, const char *json,
                                     bool affinity)
{
    struct plan_request request;

    peek_init(&peek);
    peek_feed(&peek, json, strlen(json));
    struct demand demand = {
        .endpoint = endpoint_lookup(slice_str(method), slice_str(path)),
        .method = slice_str(method),
        .peek = &peek,
        .json = slice_str(json),
        .affinity = affinity,
    };
    demand_plan(&demand, &request);
    return request;
}

static void what_may_be_replayed(void **state)
{
    (void)state;
    assert_true(demand_of("POST", "/v1/chat/completions", "{}", false).stateless);
    assert_false(demand_of("POST", "/v1/chat/completions", "{\"store\":true}", false).stateless);
    assert_false(demand_of("POST", "/v1/responses", "{}", false).stateless);
    assert_true(demand_of("POST", "/v1/responses", "{\"store\":false}", false).stateless);
    assert_false(demand_of("POST", "/v1/files", "", false).stateless);
    assert_true(demand_of("GET", "/v1/models", "", false).stateless);
}

static void what_it_will_cost(void **state)
{
    static const char json[] = "{\"model\":\"m\",\"max_tokens\":100,\"n\":3}";

    (void)state;
    struct plan_request r = demand_of("POST", "/v1/chat/completions", json, false);
    assert_int_equal(r.tokens, 300 + (sizeof json - 1) / 4);
    assert_int_equal(r.images, 0);
    assert_true(slice_eq(r.model, SLICE("m")));
    assert_int_equal(demand_of("POST", "/v1/images/generations", json, false).images, 3);
    assert_int_equal(demand_of("POST", "/v1/images/generations", "{}", false).images, 1);
    assert_int_equal(demand_of("GET", "/v1/models", "", false).tokens, 0);
}

static void what_it_is_bound_to(void **state)
{
    (void)state;
    assert_true(demand_of("GET", "/v1/files/file-1", "", false).bound);
    assert_true(
        demand_of("POST", "/v1/responses", "{\"previous_response_id\":\"r\"}", false).bound);
    assert_false(demand_of("POST", "/v1/responses", "{}", false).bound);
    assert_true(demand_of("POST", "/v1/nobody/knows", "{}", false).opaque);
}

static void prompts_that_share_a_cache(void **state)
{
    static const char a[] = "{\"prompt_cache_key\":\"k\",\"model\":\"a\"}";
    static const char b[] = "{\"model\":\"b\",\"prompt_cache_key\":\"k\"}";

    (void)state;
    uint64_t one = demand_of("POST", "/v1/chat/completions", a, true).affinity;
    assert_true(one != 0);
    assert_true(one == demand_of("POST", "/v1/chat/completions", b, true).affinity);
    assert_true(one != demand_of("POST", "/v1/chat/completions", "{}", true).affinity);
    assert_true(demand_of("POST", "/v1/chat/completions", a, false).affinity == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_replayed),
        cmocka_unit_test(what_it_will_cost),
        cmocka_unit_test(what_it_is_bound_to),
        cmocka_unit_test(prompts_that_share_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
