/* SPAREKEY_LAST_RESORT: a file or a URL. */
#include "fixture.h"

static void nothing_is_the_default(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A));
    assert_null(f->settings->last_resort);
    assert_null(f->settings->last_resort_text);
    assert_null(f->settings->last_resort_url.host);
}

static void a_file_says_its_text(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "canned.json", "{\"text\": \"Come \\\"back\\\"\\nlater \\u00e4\"}");
    must_load(f, NULL, LIST("SPAREKEY_LAST_RESORT=canned.json"));
    assert_string_equal(f->settings->last_resort_text, "Come \"back\"\nlater \303\244");
    assert_null(f->settings->last_resort_url.host);
}

static void a_url_is_a_server(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, LIST("SPAREKEY_LAST_RESORT=http://localhost:11434/v1/"));
    assert_string_equal(f->settings->last_resort_url.host, "localhost");
    assert_int_equal(f->settings->last_resort_url.port, 11434);
    assert_string_equal(f->settings->last_resort_url.path, "/v1");
    assert_null(f->settings->last_resort_text);
}

static void refused(struct fixture *f, const char *variable, const char *why)
{
    assert_int_equal(fixture_load(f, NULL, LIST(variable), false), STATUS_INVALID);
    if (!memmem(f->report.errors.data, f->report.errors.len, why, strlen(why)))
        fail_msg("%.*s", (int)f->report.errors.len, f->report.errors.data);
}

static void what_is_neither_is_refused(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "list.json", "[\"text\"]");
    fixture_write(f, "number.json", "{\"text\": 7}");
    fixture_write(f, "broken.json", "{\"text\":");
    refused(f, "SPAREKEY_LAST_RESORT=list.json", "SPAREKEY_LAST_RESORT: expected a JSON object");
    refused(f, "SPAREKEY_LAST_RESORT=number.json", "SPAREKEY_LAST_RESORT: expected a JSON object");
    refused(f, "SPAREKEY_LAST_RESORT=broken.json", "SPAREKEY_LAST_RESORT: expected a JSON object");
    refused(f, "SPAREKEY_LAST_RESORT=missing.json", "missing.json: cannot be read");
    refused(f, "SPAREKEY_LAST_RESORT=http://", "SPAREKEY_LAST_RESORT: expected an http://");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_the_default),
        TEST(a_file_says_its_text),
        TEST(a_url_is_a_server),
        TEST(what_is_neither_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
