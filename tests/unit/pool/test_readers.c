/* What is deferred is released when nobody can be looking at it any more: not before, and in order. */
#include "pool_test.h"

#include <pthread.h>
#include <stdlib.h>

#include "pool/readers.h"

static char released[16];
static size_t released_count;

struct thing {
    struct garbage garbage;
    char name;
};

static void release(struct garbage *garbage)
{
    released[released_count++] = ((struct thing *)garbage)->name;
}

#define THING(letter)                                                                              \
    {                                                                                              \
        .garbage = {.release = release}, .name = (letter)                                          \
    }

static int set_up(void **state)
{
    (void)state;
    memset(released, 0, sizeof released);
    released_count = 0;
    return 0;
}

static void at_once_when_nobody_looks(void **state)
{
    (void)state;
    struct readers readers;
    struct thing a = THING('a');

    readers_init(&readers);
    readers_defer(&readers, &a.garbage);
    assert_string_equal(released, "a");
}

/* Two readers that come and go around two things. */
static void not_while_one_looks_who_came_before(void **state)
{
    (void)state;
    struct readers readers;
    struct pool_reader one = {0}, two = {.next = &one};
    struct thing a = THING('a'), b = THING('b'), c = THING('c');

    readers_init(&readers);
    readers.first = &two;
    reader_enter(&one, &readers);
    readers_defer(&readers, &a.garbage);
    reader_enter(&two, &readers); /* cannot find a any more */
    readers_defer(&readers, &b.garbage);
    assert_string_equal(released, "");
    reader_leave(&one);
    readers_collect(&readers);
    assert_string_equal(released, "a");
    reader_enter(&one, &readers); /* came after b */
    reader_leave(&two);
    readers_collect(&readers);
    assert_string_equal(released, "ab");
    readers_defer(&readers, &c.garbage);
    assert_string_equal(released, "ab");
    readers_fini(&readers);
    assert_string_equal(released, "abc");
}

static void eras_end(void **state)
{
    (void)state;
    struct readers readers;
    struct pool_reader one = {0};

    readers_init(&readers);
    readers.first = &one;
    reader_enter(&one, &readers);
    uint64_t era = readers_end_era(&readers);
    assert_false(readers_gone(&readers, era));
    assert_true(readers_gone(&readers, era - 1));
    reader_leave(&one);
    assert_true(readers_gone(&readers, era));
    reader_enter(&one, &readers);
    assert_true(readers_gone(&readers, era));
    assert_int_not_equal(readers_end_era(&readers), era);
}

/* ---- a thread that looks while another replaces: ASan and TSan say when it is too early ---- */

enum { REPLACED = 20000 };

struct number {
    struct garbage garbage;
    int value, same;
};

static struct number *shown; /* through __atomic builtins */
static bool finished;

static void free_number(struct garbage *garbage)
{
    struct number *number = (struct number *)garbage;

    number->value = -1;
    free(number);
}

static void show(struct readers *readers, int value)
{
    struct number *number = malloc(sizeof *number), *before;

    assert_non_null(number);
    *number = (struct number){{.release = free_number}, value, value};
    before = __atomic_exchange_n(&shown, number, __ATOMIC_SEQ_CST);
    if (before)
        readers_defer(readers, &before->garbage);
}

struct looking {
    struct readers *readers;
    struct pool_reader *reader;
    uint64_t wrong;
};

static void *look(void *argument)
{
    struct looking *l = argument;

    while (!__atomic_load_n(&finished, __ATOMIC_SEQ_CST)) {
        reader_enter(l->reader, l->readers);
        const struct number *number = __atomic_load_n(&shown, __ATOMIC_SEQ_CST);
        l->wrong += number->value != number->same || number->value < 0;
        reader_leave(l->reader);
    }
    return NULL;
}

static void a_reader_never_sees_what_was_freed(void **state)
{
    (void)state;
    struct readers readers;
    struct pool_reader reader = {0};
    struct looking l = {&readers, &reader, 0};
    pthread_t thread;

    readers_init(&readers);
    readers.first = &reader;
    show(&readers, 0);
    assert_int_equal(pthread_create(&thread, NULL, look, &l), 0);
    for (int i = 1; i < REPLACED; i++)
        show(&readers, i);
    __atomic_store_n(&finished, true, __ATOMIC_SEQ_CST);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(l.wrong, 0);
    readers_fini(&readers);
    free(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(at_once_when_nobody_looks, set_up),
        cmocka_unit_test_setup(not_while_one_looks_who_came_before, set_up),
        cmocka_unit_test(eras_end),
        cmocka_unit_test(a_reader_never_sees_what_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
