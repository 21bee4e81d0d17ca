#include "client/compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buffer out;
static sparekey_error error;

static struct composer begin(const char *extra)
{
    struct composer c;

    out.len = 0;
    error = (sparekey_error)SPAREKEY_ERROR_INIT;
    compose_begin(&c, &out, extra, &error);
    return c;
}

static void made(struct composer *c, const char *expected)
{
    assert_int_equal(compose_end(c), SPAREKEY_OK);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
    buffer_clear(&out);
}

static void refused(struct composer *c, const char *message)
{
    assert_int_equal(compose_end(c), SPAREKEY_ERROR_ARGUMENT);
    assert_string_equal(error.message, message);
    buffer_clear(&out);
}

static void members_of_every_kind(void **state)
{
    struct composer c = begin(NULL);

    (void)state;
    compose_text(&c, "a", "a", "q\"\n");
    compose_text(&c, "none", "none", NULL);
    compose_integer(&c, "i", "i", 5, 1, 9);
    compose_integer(&c, "unset", "unset", SPAREKEY_UNSET, 1, 9);
    compose_decimal(&c, "d", "d", 0.1, 2);
    compose_decimal(&c, "z", "z", 0, 2);
    compose_json(&c, "j", "j", "[1, 2]", JSON_OF_ARRAY);
    compose_bool(&c, "b", true);
    made(&c, "{\"a\":\"q\\\"\\n\",\"i\":5,\"d\":0.100000,\"z\":0.000000,\"j\":[1, 2],\"b\":true}");
}

static void extra_members_stand_in_for_ours(void **state)
{
    struct composer c = begin(" { \"a\" : 1, \"new\": {\"x\": \"}\"} } ");

    (void)state;
    compose_text(&c, "a", "a", "ours");
    compose_text(&c, "b", "b", "stays");
    made(&c, "{\"b\":\"stays\", \"a\" : 1, \"new\": {\"x\": \"}\"} }");
    c = begin("{}");
    compose_text(&c, "b", "b", "x");
    made(&c, "{\"b\":\"x\"}");
    c = begin("{\"only\":1}");
    made(&c, "{\"only\":1}");
}

static void the_first_mistake_is_told(void **state)
{
    struct composer c = begin(NULL);

    (void)state;
    compose_text(&c, "a", "options.a", "\xFF");
    compose_integer(&c, "i", "options.i", 10, 1, 9);
    refused(&c, "options.a: not valid UTF-8");
    c = begin(NULL);
    compose_integer(&c, "i", "options.i", 10, 1, 9);
    refused(&c, "options.i: not from 1 to 9");
    c = begin(NULL);
    compose_decimal(&c, "d", "options.d", 0.0 / strtod("0", NULL), 2);
    refused(&c, "options.d: not from 0 to 2");
    c = begin("[1]");
    refused(&c, "options.extra: not a JSON object");
}

struct sample {
    size_t size;
    int number;
};

static void options_of_other_versions(void **state)
{
    struct sample own = {sizeof own, 7};
    struct {
        struct sample sample;
        long later;
    } newer = {{sizeof newer, 5}, 0};

    (void)state;
    assert_int_equal(check_options(&error, &own, sizeof own, NULL), SPAREKEY_OK);
    assert_int_equal(own.number, 7);
    assert_int_equal(check_options(&error, &own, sizeof own, &newer), SPAREKEY_OK);
    assert_int_equal(own.number, 5);
    newer.later = 1; /* uses what we lack */
    assert_int_equal(check_options(&error, &own, sizeof own, &newer), SPAREKEY_ERROR_ARGUMENT);
    struct sample older = {sizeof older.size, 99}, kept = {sizeof kept, 7};
    assert_int_equal(check_options(&error, &kept, sizeof kept, &older), SPAREKEY_OK);
    assert_int_equal(kept.number, 7); /* what an older header lacks is the default */
    older.size = 0;
    assert_int_equal(check_options(&error, &kept, sizeof kept, &older), SPAREKEY_ERROR_ARGUMENT);
}

static void choices(void **state)
{
    (void)state;
    assert_int_equal(check_choice(&error, "x", NULL, "a|bc"), SPAREKEY_OK);
    assert_int_equal(check_choice(&error, "x", "bc", "a|bc"), SPAREKEY_OK);
    assert_int_equal(check_choice(&error, "x", "b", "a|bc"), SPAREKEY_ERROR_ARGUMENT);
    assert_string_equal(error.message, "x: not one of a|bc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_every_kind),
        cmocka_unit_test(extra_members_stand_in_for_ours),
        cmocka_unit_test(the_first_mistake_is_told),
        cmocka_unit_test(options_of_other_versions),
        cmocka_unit_test(choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
