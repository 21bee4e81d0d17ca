/* The status page: who gets it, and what holds it together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/page.h"

static const struct own_route *route_for(const char *path, const char *accept)
{
    struct http_field field = {SLICE("accept"), slice_str(accept)};
    struct http_head head = {.fields = &field, .field_count = accept ? 1 : 0};
    return page_route(own_route_of(slice_str(path)), &head);
}

static void browsers_get_the_page(void **state)
{
    static const char *const browsers[] = {
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "text/html",
        "application/xhtml+xml, TEXT/HTML;q=0.9",
    };

    (void)state;
    for (size_t i = 0; i < sizeof browsers / sizeof *browsers; i++)
        assert_int_equal(route_for("/", browsers[i])->access, OWN_PAGE);
}

static void others_get_what_they_got(void **state)
{
    static const char *const others[] = {NULL, "", "*/*", "application/json", "text/plain"};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_ptr_equal(route_for("/", others[i]), own_route_of(SLICE("/")));
}

static void other_paths_are_left_alone(void **state)
{
    (void)state;
    assert_ptr_equal(route_for("/healthz", "text/html"), own_route_of(SLICE("/healthz")));
    assert_null(route_for("/v1/models", "text/html"));
    assert_null(route_for("/index.html", "text/html"));
}

static bool contains(struct slice text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static void the_document_is_whole(void **state)
{
    struct slice page = page_document();

    (void)state;
    assert_true(slice_starts(page, SLICE("<!doctype html>")));
    assert_true(slice_ends(page, SLICE("</html>\n")));
    assert_false(contains(page, "<script src"));
    assert_false(contains(page, "rel=\"stylesheet\""));
}

/* Inline code runs by its hash only; nothing is fetched from elsewhere, nobody may frame it. */
static void the_policy_is_strict(void **state)
{
    static const char *const parts[] = {
        "default-src 'none'", "connect-src 'self'", "style-src 'sha256-",     "script-src 'sha256-",
        "base-uri 'none'",    "form-action 'none'", "frame-ancestors 'none'", "nosniff",
        "no-referrer",
    };

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!contains(page_fields(), parts[i]))
            fail_msg("the fields do not say %s", parts[i]);
    }
    assert_false(contains(page_fields(), "unsafe"));
    assert_false(contains(page_fields(), "http"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(browsers_get_the_page),      cmocka_unit_test(others_get_what_they_got),
        cmocka_unit_test(other_paths_are_left_alone), cmocka_unit_test(the_document_is_whole),
        cmocka_unit_test(the_policy_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
