#include "keyring/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Repeats its own beginning, so that a wrong start may hide the right one. */
#define SECRET "ababac-ababaQ42"
#define STARS  "***************"

static const struct slice secret = {SECRET, sizeof SECRET - 1};

static char out[256];
static size_t out_len;

static void collect(void *ctx, const char *data, size_t len)
{
    (void)ctx;
    assert_true(out_len + len < sizeof out);
    memcpy(out + out_len, data, len);
    out_len += len;
    out[out_len] = '\0';
}

static const struct echo_sink sink = {collect, NULL};

/* The text in pieces of `step` bytes, the first of `first`. */
static void pass(const char *text, size_t first, size_t step)
{
    size_t len = strlen(text), held = 0, at = 0, size = first;

    out_len = 0;
    while (at < len) {
        if (size > len - at)
            size = len - at;
        echo_pass(secret, &held, slice_of(text + at, size), &sink);
        assert_true(out_len + held == at + size);
        at += size;
        size = step;
    }
    echo_end(secret, &held, &sink);
}

static void found_however_it_is_cut(void **state)
{
    static const char text[] = "x" SECRET "yababa" SECRET SECRET "ab" SECRET "abab";
    static const char want[] = "x" STARS "yababa" STARS STARS "ab" STARS "abab";

    (void)state;
    for (size_t first = 1; first < sizeof text; first++) {
        for (size_t step = 1; step < sizeof text; step++) {
            pass(text, first, step);
            assert_string_equal(out, want);
        }
    }
}

static void what_is_no_secret_passes(void **state)
{
    static const char text[] = "ababac-ababac-ababaQ4 ababac-ababaQ43 {\"q\":\"Q42\"}";

    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        pass(text, step, step);
        assert_string_equal(out, text);
    }
}

static void the_end_cuts_a_secret(void **state)
{
    (void)state;
    pass("x ababac-ababaQ4", 3, 5);
    assert_string_equal(out, "x ababac-a******");
}

static void masked_in_place(void **state)
{
    char text[] = "\"" SECRET "\"," SECRET SECRET, none[] = "ababac-ababaQ4";

    (void)state;
    assert_true(echo_mask(secret, text, sizeof text - 1));
    assert_string_equal(text, "\"" STARS "\"," STARS STARS);
    assert_false(echo_mask(secret, none, sizeof none - 1));
    assert_false(echo_mask(SLICE("short"), text, sizeof text - 1));
}

static void evidence_that_was_cut(void **state)
{
    struct evidence evidence = {.code = "key_" SECRET "_bad", .request_id = "req ababac-ababaQ"};

    (void)state;
    echo_mask_evidence(secret, &evidence);
    assert_string_equal(evidence.code, "key_" STARS "_bad");
    assert_string_equal(evidence.request_id, "req *************");
}

/* Another key of the pool, of a service whose keys have no look of their own. */
#define OTHER       "9f8e7d6c5b4a39281706.Zz"
#define OTHER_STARS "***********************"
#define PADDED      "bm90LWEtcmVhbC1rZXk="

static struct secret *put(struct vault *vault, const char *text)
{
    struct secret *made = NULL;

    assert_int_equal(vault_put(vault, slice_str(text), &made), STATUS_OK);
    return made;
}

static void words_that_are_secrets(void **state)
{
    static const struct {
        const char *text, *masked;
    } rows[] = {
        {OTHER, OTHER_STARS},
        {"{\"message\":\"Wrong key " OTHER ".\"}", "{\"message\":\"Wrong key " OTHER_STARS ".\"}"},
        {"key=" OTHER "&x", "key=" OTHER_STARS "&x"},
        {"'" OTHER "...'", "'" OTHER_STARS "...'"},
        {"\\n" OTHER "\\n", "\\n" OTHER_STARS "\\n"},
        {"\\u003c" OTHER "\\u003e", "\\u003c" OTHER_STARS "\\u003e"},
        {PADDED " bm90LWEtcmVhbC1rZXk", "******************** bm90LWEtcmVhbC1rZXk"},
        {SECRET " " OTHER "," OTHER, STARS " " OTHER_STARS "," OTHER_STARS},
        {"x" OTHER, "x" OTHER}, /* a longer word is another one */
        {"tooshort12 9f8e7d6c5b4a39281706", "tooshort12 9f8e7d6c5b4a39281706"},
        {"\\u00", "\\u00"},
        {"", ""},
    };
    struct vault *vault = NULL;
    char text[128];

    (void)state;
    assert_int_equal(vault_new(&vault), STATUS_OK);
    struct secret *held[] = {put(vault, SECRET), put(vault, OTHER), put(vault, PADDED),
                             put(vault, "tooshort12")};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)slice_copy(slice_str(rows[i].text), text, sizeof text);
        echo_mask_all(held[0], text, strlen(text));
        assert_string_equal(text, rows[i].masked);
    }
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        secret_unref(held[i]);
    vault_free(vault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_however_it_is_cut), cmocka_unit_test(what_is_no_secret_passes),
        cmocka_unit_test(the_end_cuts_a_secret),   cmocka_unit_test(masked_in_place),
        cmocka_unit_test(evidence_that_was_cut),   cmocka_unit_test(words_that_are_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
