#include "client/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum status read(const char *text)
{
    json_t *document = NULL;
    enum status status = document_read(slice_str(text), &document);

    assert_true((document != NULL) == (status == STATUS_OK));
    json_decref(document);
    return status;
}

static void what_is_a_document(void **state)
{
    (void)state;
    assert_int_equal(read("{\"a\": [1, 2.5, null, \"\\u0000\"]}"), STATUS_OK);
    assert_int_equal(read(""), STATUS_INVALID);
    assert_int_equal(read("{\"a\": 1"), STATUS_INVALID);
    assert_int_equal(read("{a: 1}"), STATUS_INVALID);
    assert_int_equal(read("{\"a\": \"\xFF\"}"), STATUS_INVALID);
    assert_int_equal(read("{\"a\": 123456789012345678901234567890}"), STATUS_INVALID);
}

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

static void a_lack_of_memory_is_no_mistake_in_the_text(void **state)
{
    (void)state;
    json_set_alloc_funcs(no_memory, free);
    assert_int_equal(read("{\"a\": 1}"), STATUS_NO_MEMORY);
    assert_int_equal(read("{\"a\": 1"), STATUS_INVALID);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_document),
        cmocka_unit_test(a_lack_of_memory_is_no_mistake_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
