/* What the mock's tests share. */
#ifndef SPAREKEY_TESTS_MOCK_TEST_H
#define SPAREKEY_TESTS_MOCK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

/* JSON with single quotes in the place of double ones, for the eye. */
static inline json_t *json_of(const char *text)
{
    char buffer[4096];
    json_error_t error;
    size_t len = strlen(text);

    assert_true(len < sizeof(buffer));
    for (size_t i = 0; i <= len; i++)
        buffer[i] = text[i] == '\'' ? '"' : text[i];
    json_t *json = json_loads(buffer, JSON_DECODE_ANY, &error);
    if (!json)
        fail_msg("%s: %s", text, error.text);
    return json;
}

#endif
