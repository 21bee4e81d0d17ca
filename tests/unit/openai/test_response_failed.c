#include "openai/response_failed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void only_the_documents_own_status_counts(void **state)
{
    static const struct {
        const char *document;
        bool failed;
    } cases[] = {
        {"{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\"}}", true},
        {"{\"status\" : \"failed\"}", true},
        {"{\"status\":\"completed\"}", false},
        {"{\"status\":\"completed\",\"output\":[{\"status\":\"failed\"}]}", false},
        {"{\"status\":\"completed\",\"text\":\"failed\"}", false},
        {"{\"output\":{\"status\":\"failed\"},\"status\":\"completed\"}", false},
        {"[{\"status\":\"failed\"}]", false},
        {"{\"status\":\"failed\"", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(response_failed(slice_str(cases[i].document)), cases[i].failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_the_documents_own_status_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
