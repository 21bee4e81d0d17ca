/* The vault: what it keeps, what it finds again, and that what it drops is gone. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "settings/vault.h"

static int set_up(void **state)
{
    struct vault *vault;

    if (vault_new(&vault) != STATUS_OK)
        return -1;
    *state = vault;
    return 0;
}

static int tear_down(void **state)
{
    vault_free(*state);
    return 0;
}

static struct secret *put(struct vault *vault, const char *text)
{
    struct secret *secret = NULL;

    assert_int_equal(vault_put(vault, slice_str(text), &secret), STATUS_OK);
    return secret;
}

static void keeps_bytes(void **state)
{
    struct secret *secret = put(*state, "sk-proj-abcdefghijklmnop");
    struct slice bytes = secret_bytes(secret);

    assert_true(slice_eq(bytes, SLICE("sk-proj-abcdefghijklmnop")));
    secret_unref(secret);
}

static void finds_the_same_bytes_again(void **state)
{
    struct secret *first = put(*state, "one"), *again = put(*state, "one");
    struct secret *other = put(*state, "two");

    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    assert_int_equal(secret_hash(first), secret_hash(again));
    assert_int_not_equal(secret_hash(first), secret_hash(other));
    secret_unref(first);
    assert_true(slice_eq(secret_bytes(again), SLICE("one")));
    secret_unref(again);
    secret_unref(other);
}

static void knows_what_lies_beside(void **state)
{
    struct secret *first = put(*state, "one"), *other = put(*state, "two");

    assert_true(secret_beside(first, SLICE("one")));
    assert_true(secret_beside(first, SLICE("two")));
    assert_false(secret_beside(first, SLICE("three")));
    assert_false(secret_beside(first, SLICE("tw")));
    secret_unref(other);
    assert_false(secret_beside(first, SLICE("two")));
    secret_unref(first);
}

static void wipes_with_the_last_reference(void **state)
{
    static const char zeros[64];
    struct secret *secret = secret_ref(put(*state, "a secret to be forgotten"));
    struct slice seen = secret_bytes(secret);

    secret_unref(secret);
    assert_memory_equal(seen.ptr, "a secret", 8);
    secret_unref(secret);
    assert_memory_equal(seen.ptr, zeros, seen.len); /* the page stays mapped until vault_free */
}

static void uses_a_wiped_place_again(void **state)
{
    struct secret *first = put(*state, "0123456789");
    const char *place = secret_bytes(first).ptr;

    secret_unref(first);
    struct secret *second = put(*state, "9876543210");
    assert_ptr_equal(secret_bytes(second).ptr, place);
    assert_true(slice_eq(secret_bytes(second), SLICE("9876543210")));
    secret_unref(second);
    secret_unref(NULL);
}

static void refuses_what_is_no_secret(void **state)
{
    char *large = calloc(1, SECRET_MAX_BYTES + 1);
    struct secret *secret = NULL;

    assert_non_null(large);
    memset(large, 'x', SECRET_MAX_BYTES + 1);
    assert_int_equal(vault_put(*state, slice_of(large, 0), &secret), STATUS_LIMIT);
    assert_int_equal(vault_put(*state, slice_of(large, SECRET_MAX_BYTES + 1), &secret),
                     STATUS_LIMIT);
    assert_null(secret);
    assert_int_equal(vault_put(*state, slice_of(large, SECRET_MAX_BYTES), &secret), STATUS_OK);
    assert_int_equal(secret_bytes(secret).len, SECRET_MAX_BYTES);
    secret_unref(secret);
    free(large);
}

static void salts_its_hashes(void **state)
{
    struct vault *other;
    struct secret *here = put(*state, "the same bytes");

    assert_int_equal(vault_new(&other), STATUS_OK);
    struct secret *there = put(other, "the same bytes");
    assert_int_not_equal(secret_hash(here), secret_hash(there));
    secret_unref(there);
    secret_unref(here);
    vault_free(other);
    vault_free(NULL);
}

static void compares(void **state)
{
    static const struct {
        const char *presented;
        bool equal;
    } rows[] = {
        {"token-1", true}, {"token-2", false}, {"token-", false},         {"token-11", false},
        {"", false},       {"Token-1", false}, {"token-1token-1", false},
    };
    struct secret *secret = put(*state, "token-1");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(secret_equals(secret, slice_str(rows[i].presented)), rows[i].equal);
    secret_unref(secret);
}

static void masks(void **state)
{
    static const char *const rows[][2] = {
        {"sk-proj-0123456789N0IA", "sk-proj...N0IA"},
        {"01234567890123456789", "0123456...6789"},
        {"0123456789012345678", "..."}, /* of 19 bytes, 11 would be too much to show */
        {"", "..."},
    };
    char mask[SECRET_MASK_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        secret_mask(slice_str(rows[i][0]), mask);
        assert_string_equal(mask, rows[i][1]);
    }
}

enum { MANY = 100000 };

static void holds_many(void **state)
{
    struct secret **all = calloc(MANY, sizeof *all);
    char text[200];

    assert_non_null(all);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof text, "sk-proj-%0156d", i);
        all[i] = put(*state, text);
    }
    for (int i = 0; i < MANY; i += 997) {
        (void)snprintf(text, sizeof text, "sk-proj-%0156d", i);
        assert_true(slice_eq(secret_bytes(all[i]), slice_str(text)));
        struct secret *again = put(*state, text);
        assert_ptr_equal(again, all[i]);
        secret_unref(again);
    }
    for (int i = 0; i < MANY; i++)
        secret_unref(all[i]);
    free(all);
}

static struct secret *put_number(struct vault *vault, int number)
{
    char text[32];

    (void)snprintf(text, sizeof text, "sk-%d", number);
    return put(vault, text);
}

/* As a reload does: mostly the same in the same order, some dropped, some new, some elsewhere. */
static void finds_those_that_stay_among_changes(void **state)
{
    enum { COUNT = 3000 };
    static struct secret *first[COUNT], *again[COUNT];

    for (int i = 0; i < COUNT; i++)
        first[i] = put_number(*state, i);
    for (int i = 0; i < COUNT; i += 3)
        secret_unref(first[i]);
    for (int i = 0; i < COUNT; i++) {
        again[i] = put_number(*state, i % 3 ? i : COUNT + i);
        if (i % 3)
            assert_ptr_equal(again[i], first[i]);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        struct secret *backwards = put_number(*state, i % 3 ? i : COUNT + i);
        assert_ptr_equal(backwards, again[i]);
        secret_unref(backwards);
        secret_unref(again[i]);
        if (i % 3)
            secret_unref(first[i]);
    }
}

static void puts_several_at_once(void **state)
{
    struct slice texts[VAULT_AT_ONCE + 1];
    struct secret *secrets[VAULT_AT_ONCE + 1] = {NULL}, *one = put(*state, "two");

    for (size_t i = 0; i < VAULT_AT_ONCE + 1; i++)
        texts[i] = SLICE("one");
    texts[1] = texts[3] = SLICE("two");
    assert_int_equal(vault_put_all(*state, texts, VAULT_AT_ONCE + 1, secrets), STATUS_LIMIT);
    assert_int_equal(vault_put_all(*state, texts, 0, secrets), STATUS_OK);
    assert_int_equal(vault_put_all(*state, texts, VAULT_AT_ONCE, secrets), STATUS_OK);
    assert_ptr_equal(secrets[1], one);
    assert_ptr_equal(secrets[3], one);
    assert_ptr_equal(secrets[2], secrets[0]);
    assert_true(slice_eq(secret_bytes(secrets[0]), SLICE("one")));
    for (size_t i = 0; i < VAULT_AT_ONCE; i++)
        secret_unref(secrets[i]);
    texts[5] = slice_of("", 0);
    assert_int_equal(vault_put_all(*state, texts, VAULT_AT_ONCE, secrets), STATUS_LIMIT);
    assert_true(slice_eq(secret_bytes(one), SLICE("two")));
    secret_unref(one);
}

static void keeps_a_note(void **state)
{
    struct secret *first = put(*state, "0123456789"), *again;

    assert_int_equal(*secret_note(first), 0);
    *secret_note(first) = 7;
    again = put(*state, "0123456789");
    assert_int_equal(*secret_note(again), 7);
    secret_unref(again);
    secret_unref(first);
    again = put(*state, "9876543210"); /* in the same place */
    assert_int_equal(*secret_note(again), 0);
    secret_unref(again);
}

/* Four threads put, compare and drop the same few secrets: a lost reference or a revived secret
 * shows as foreign bytes, or under the sanitizers. */
static void *churn(void *argument)
{
    struct vault *vault = argument;
    char text[32];

    for (int i = 0; i < 20000; i++) {
        struct secret *secret = NULL;
        (void)snprintf(text, sizeof text, "shared-secret-%d", i % 7);
        if (vault_put(vault, slice_str(text), &secret) != STATUS_OK)
            return argument;
        struct secret *mine = secret_ref(secret);
        secret_unref(secret);
        bool same = slice_eq(secret_bytes(mine), slice_str(text));
        secret_unref(mine);
        if (!same)
            return argument;
    }
    return NULL;
}

static void serves_threads(void **state)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, *state), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_the_same_bytes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_what_lies_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wipes_with_the_last_reference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(uses_a_wiped_place_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_secret, set_up, tear_down),
        cmocka_unit_test_setup_teardown(salts_its_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(compares, set_up, tear_down),
        cmocka_unit_test_setup_teardown(masks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(holds_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_those_that_stay_among_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(puts_several_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_a_note, set_up, tear_down),
        cmocka_unit_test_setup_teardown(serves_threads, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
