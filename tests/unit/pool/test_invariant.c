#include "pool_test.h"

#include "../support/dies.h"
#include "pool/invariant.h"

static void break_one(void *argument)
{
    INVARIANT(*(int *)argument == 0, "it is %d", *(int *)argument);
}

static void a_broken_invariant_aborts_with_its_words(void **state)
{
    char words[100];
    int value = 42;

    (void)state;
    assert_true(dies(break_one, &value, words, sizeof words));
    assert_string_equal(words, "pool: it is 42\n");
    value = 0;
    assert_false(dies(break_one, &value, words, sizeof words));
    assert_string_equal(words, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_invariant_aborts_with_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
