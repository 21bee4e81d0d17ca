/* The lines of a request that depend on the key, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/credential.h"

enum { OUT_MAX = 4096 };

static void assert_put(struct buffer *out, const struct text *t, const char *expected)
{
    assert_int_equal(t->status, STATUS_OK);
    if (!slice_eq(buffer_slice(out), slice_str(expected)))
        fail_msg("got\n%.*s\nexpected\n%s", (int)out->len, out->data ? out->data : "", expected);
    buffer_clear(out);
}

static void puts_head(struct service_url url, char *auth_header, const char *expected)
{
    struct entry_traits key = {.auth_header = auth_header};
    struct buffer out = {0};
    struct text t = text_into(&out, OUT_MAX);

    credential_put_head(&t, &url, &key);
    assert_put(&out, &t, expected);
}

#define BEARER "authorization: Bearer "
#define START  " HTTP/1.1\r\nhost: a.example\r\n"

/* The port of the scheme is left out (RFC 9110 §7.2), any other one is named; IPv6 is bracketed. */
static void host_and_port(void **state)
{
    (void)state;
    static char name[] = "api.openai.com", v4[] = "127.0.0.1", v6[] = "::1";

    puts_head((struct service_url){.tls = true, .host = name, .port = 443}, NULL,
              " HTTP/1.1\r\nhost: api.openai.com\r\n" BEARER);
    puts_head((struct service_url){.tls = false, .host = name, .port = 80}, NULL,
              " HTTP/1.1\r\nhost: api.openai.com\r\n" BEARER);
    puts_head((struct service_url){.tls = true, .host = name, .port = 80}, NULL,
              " HTTP/1.1\r\nhost: api.openai.com:80\r\n" BEARER);
    puts_head((struct service_url){.tls = false, .host = v4, .port = 443}, NULL,
              " HTTP/1.1\r\nhost: 127.0.0.1:443\r\n" BEARER);
    puts_head((struct service_url){.tls = false, .host = v6, .port = 65535}, NULL,
              " HTTP/1.1\r\nhost: [::1]:65535\r\n" BEARER);
    puts_head((struct service_url){.tls = true, .host = v6, .port = 443}, NULL,
              " HTTP/1.1\r\nhost: [::1]\r\n" BEARER);
}

/* A header of another name holds the secret alone, as Azure's api-key does. */
static void another_header(void **state)
{
    (void)state;
    static char name[] = "a.example", header[] = "api-key";

    puts_head((struct service_url){.tls = true, .host = name, .port = 443}, header,
              " HTTP/1.1\r\nhost: a.example\r\napi-key: ");
}

static void accounts(void **state)
{
    (void)state;
    static char organization[] = "org-1", project[] = "proj_1", name[] = "a.example";
    const struct service_url url = {.host = name, .port = 80};
    const struct {
        struct entry_traits key;
        const char *expected;
    } cases[] = {
        {{0}, START BEARER},
        {{.organization = organization}, START "openai-organization: org-1\r\n" BEARER},
        {{.project = project}, START "openai-project: proj_1\r\n" BEARER},
        {{.organization = organization, .project = project},
         START "openai-organization: org-1\r\nopenai-project: proj_1\r\n" BEARER},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        struct text t = text_into(&out, OUT_MAX);
        credential_put_head(&t, &url, &cases[i].key);
        assert_put(&out, &t, cases[i].expected);
    }
}

/* What does not fit is told, and nothing is written beyond the limit. */
static void a_limit_that_is_reached(void **state)
{
    (void)state;
    static char name[] = "a.example";
    const struct service_url url = {.host = name, .port = 80};
    const struct entry_traits key = {0};
    struct buffer out = {0};
    struct text t = text_into(&out, 20);

    credential_put_head(&t, &url, &key);
    assert_int_equal(t.status, STATUS_LIMIT);
    assert_true(out.len <= 20);
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_port),
        cmocka_unit_test(another_header),
        cmocka_unit_test(accounts),
        cmocka_unit_test(a_limit_that_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
