#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int value;
    struct list link;
};

/* The values from the front, checked both ways round the ring. */
static void check(const struct list *head, const int *values, size_t count)
{
    const struct list *l = head->next;

    for (size_t i = 0; i < count; i++, l = l->next) {
        assert_ptr_not_equal(l, head);
        assert_int_equal(container_of(l, struct item, link)->value, values[i]);
        assert_ptr_equal(l->next->prev, l);
        assert_ptr_equal(l->prev->next, l);
    }
    assert_ptr_equal(l, head);
    assert_int_equal(list_empty(head), count == 0);
}

static void test_order(void **state)
{
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}}, d = {4, {0}};
    struct list head;

    (void)state;
    list_init(&head);
    check(&head, NULL, 0);
    list_append(&head, &b.link);
    list_append(&head, &c.link);
    list_push(&head, &a.link);
    check(&head, (int[]){1, 2, 3}, 3);
    list_insert_before(&c.link, &d.link);
    check(&head, (int[]){1, 2, 4, 3}, 4);
    list_remove(&b.link);
    check(&head, (int[]){1, 4, 3}, 3);
    list_remove(&a.link);
    list_remove(&c.link);
    check(&head, (int[]){4}, 1);
    list_remove(&d.link);
    check(&head, NULL, 0);
}

static void test_remove_twice(void **state)
{
    struct item a = {1, {0}}, b = {2, {0}};
    struct list head;

    (void)state;
    list_init(&head);
    list_init(&a.link);
    list_remove(&a.link); /* in no list */
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_remove(&a.link);
    list_remove(&a.link);
    check(&head, (int[]){2}, 1);
    assert_true(list_empty(&a.link));
    list_append(&head, &a.link);
    check(&head, (int[]){2, 1}, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
