#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "pool/bits.h"

static void make(struct bits *bits, size_t size)
{
    assert_int_equal(bits_init(bits, size), STATUS_OK);
}

static void an_empty_set_has_no_member(void **state)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 262144, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bits bits;

        make(&bits, sizes[i]);
        assert_true(bits_next(&bits, 0) == BITS_NONE);
        assert_true(bits_next(&bits, sizes[i]) == BITS_NONE);
        bits_fini(&bits);
    }
}

/* Each pair of members at every edge of a word and a level. */
static void finds_the_next_across_every_level(void **state)
{
    static const size_t edges[] = {0,      1,       62,       63,      64,     65,
                                   4031,   4095,    4096,     262143,  262144, 262145,
                                   999935, 1000000, 16777215, 16777216};
    enum { EDGES = sizeof edges / sizeof *edges };
    struct bits bits;

    (void)state;
    make(&bits, 16777217);
    for (size_t a = 0; a < EDGES; a++) {
        for (size_t b = a + 1; b < EDGES; b++) {
            bits_add(&bits, edges[a]);
            bits_add(&bits, edges[b]);
            assert_true(bits_next(&bits, 0) == edges[a]);
            assert_true(bits_next(&bits, edges[a]) == edges[a]);
            assert_true(bits_next(&bits, edges[a] + 1) == edges[b]);
            assert_true(bits_next(&bits, edges[b] + 1) == BITS_NONE);
            bits_remove(&bits, edges[a]);
            assert_true(bits_next(&bits, 0) == edges[b]);
            bits_remove(&bits, edges[b]);
            assert_true(bits_next(&bits, 0) == BITS_NONE);
        }
    }
    bits_fini(&bits);
}

static size_t slow_next(const bool *members, size_t size, size_t from)
{
    while (from < size && !members[from])
        from++;
    return from < size ? from : BITS_NONE;
}

static void agrees_with_an_array(void **state)
{
    enum { SIZE = 5000, STEPS = 200000 };
    static bool members[SIZE];
    struct rng rng = {7};
    struct bits bits, copy;

    (void)state;
    make(&bits, SIZE);
    for (unsigned i = 0; i < STEPS; i++) {
        size_t number = rng_below(&rng, SIZE), from = rng_below(&rng, SIZE + 1);
        /* mostly thin, so that the summaries matter; mostly full towards the end */
        bool add = rng_below(&rng, 8) < (i < STEPS / 2 ? 1u : 7u);

        members[number] = add;
        (add ? bits_add : bits_remove)(&bits, number);
        assert_true(bits_has(&bits, number) == add);
        assert_true(bits_next(&bits, from) == slow_next(members, SIZE, from));
    }
    assert_int_equal(bits_copy(&bits, &copy), STATUS_OK);
    bits_fini(&bits);
    make(&bits, SIZE);
    bits_fill(&bits, copy.level[0]);
    for (size_t from = 0; from <= SIZE; from++) {
        assert_true(bits_next(&copy, from) == slow_next(members, SIZE, from));
        assert_true(bits_next(&bits, from) == slow_next(members, SIZE, from));
    }
    bits_fini(&copy);
    bits_fini(&bits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_set_has_no_member),
        cmocka_unit_test(finds_the_next_across_every_level),
        cmocka_unit_test(agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
