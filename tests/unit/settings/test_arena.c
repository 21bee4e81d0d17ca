/* The arena: stable addresses, alignment, large and small pieces. */
#include "fixture.h"

#include <stdio.h>

#include "settings/arena.h"

static void keeps_what_it_gave(void **state)
{
    struct arena arena = {0};
    char *texts[1000];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        texts[i] = arena_printf(&arena, "text number %d %0100d", i, i);
        assert_non_null(texts[i]);
    }
    for (int i = 0; i < 1000; i++) {
        char expected[160];
        (void)snprintf(expected, sizeof expected, "text number %d %0100d", i, i);
        assert_string_equal(texts[i], expected);
    }
    arena_clear(&arena);
    assert_null(arena.blocks);
}

static void aligns_objects_between_strings(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_string_equal(arena_copy(&arena, SLICE("odd")), "odd");
    void *object = arena_alloc(&arena, 24);
    assert_non_null(object);
    assert_int_equal((uintptr_t)object % _Alignof(max_align_t), 0);
    assert_string_equal(arena_copy(&arena, slice_of(NULL, 0)), "");
    arena_clear(&arena);
}

static void gives_pieces_larger_than_a_block(void **state)
{
    struct arena arena = {0};
    char *large = arena_alloc(&arena, 1 << 20);

    (void)state;
    assert_non_null(large);
    memset(large, 'x', 1 << 20);
    char *small = arena_copy(&arena, SLICE("small"));
    assert_string_equal(small, "small");
    assert_null(arena_alloc(&arena, SIZE_MAX - 4));
    arena_clear(&arena);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_gave),
        cmocka_unit_test(aligns_objects_between_strings),
        cmocka_unit_test(gives_pieces_larger_than_a_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
