/* URLs of services and listen addresses, each rule once. */
#include "fixture.h"

#include <stdio.h>

#include "settings/address.h"

static void reads_urls(void **state)
{
    static const struct {
        const char *text;
        bool tls;
        const char *host;
        uint16_t port;
        const char *path, *shown;
    } rows[] = {
        {"https://api.openai.com/v1", true, "api.openai.com", 443, "/v1",
         "https://api.openai.com/v1"},
        {"https://api.openai.com/v1//", true, "api.openai.com", 443, "/v1",
         "https://api.openai.com/v1"},
        {"http://127.0.0.1:8080", false, "127.0.0.1", 8080, "", "http://127.0.0.1:8080"},
        {"http://localhost/", false, "localhost", 80, "", "http://localhost"},
        {"HTTPS://Host.Example:65535/a/b", true, "Host.Example", 65535, "/a/b",
         "HTTPS://Host.Example:65535/a/b"},
        {"http://[::1]:9/v1", false, "::1", 9, "/v1", "http://[::1]:9/v1"},
        {"https://[2001:db8::2]", true, "2001:db8::2", 443, "", "https://[2001:db8::2]"},
        {"https://RES.openai.azure.com/openai/v1", true, "RES.openai.azure.com", 443, "/openai/v1",
         "https://RES.openai.azure.com/openai/v1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct service_url url;
        const char *why = NULL;

        assert_int_equal(url_parse(slice_str(rows[i].text), &arena, &why, &url), STATUS_OK);
        assert_int_equal(url.tls, rows[i].tls);
        assert_string_equal(url.host, rows[i].host);
        assert_int_equal(url.port, rows[i].port);
        assert_string_equal(url.path, rows[i].path);
        assert_string_equal(url.text, rows[i].shown);
        arena_clear(&arena);
    }
}

static void refuses_urls(void **state)
{
    static const char *const rows[][2] = {
        {"", "begin with"},
        {"api.openai.com", "begin with"},
        {"ftp://host/", "begin with"},
        {"https:/host", "begin with"},
        {"https://", "no valid host"},
        {"https:///v1", "no valid host"},
        {"https://user:secret@host/v1", "credentials"},
        {"https://sk-abc@host", "credentials"},
        {"https://host:0", "1 to 65535"},
        {"https://host:65536", "1 to 65535"},
        {"https://host:", "1 to 65535"},
        {"https://host:8a", "1 to 65535"},
        {"https://host/v1?key=1", "query"},
        {"https://host/v1#x", "query"},
        {"https://host /v1", "space"},
        {"https://host/v1\r\nX: y", "space"},
        {"https://h\xc3\xb6st", "space"},
        {"https://-host", "no valid host"},
        {"https://.host", "no valid host"},
        {"https://ho_st!", "no valid host"},
        {"https://[::1", "not closed"},
        {"https://[::g]", "not an IPv6"},
        {"https://[127.0.0.1]", "not an IPv6"},
        {"https://[::1]x", "may follow"},
        {"https://::1/", "no valid host"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct service_url url;
        const char *why = "";

        if (url_parse(slice_str(rows[i][0]), &arena, &why, &url) != STATUS_INVALID)
            fail_msg("\"%s\" was taken", rows[i][0]);
        if (!strstr(why, rows[i][1]))
            fail_msg("\"%s\": %s", rows[i][0], why);
        arena_clear(&arena);
    }
}

static void reads_listen_addresses(void **state)
{
    static const struct {
        const char *text, *host; /* NULL: refused */
        uint16_t port;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:7539", "127.0.0.1", 7539, true},
        {"127.9.9.9:0", "127.9.9.9", 0, true},
        {"[::1]:80", "::1", 80, true},
        {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, true},
        {"localhost:0", "127.0.0.1", 0, true},
        {"8080", "127.0.0.1", 8080, true},
        {"0.0.0.0:7539", "0.0.0.0", 7539, false},
        {"*:7539", "0.0.0.0", 7539, false},
        {"[::]:7539", "::", 7539, false},
        {"192.168.1.5:1", "192.168.1.5", 1, false},
        {"[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1, false},
        {"", NULL, 0, false},
        {":7539", NULL, 0, false}, /* everywhere, or here? */
        {"127.0.0.1", NULL, 0, false},
        {"127.0.0.1:", NULL, 0, false},
        {"127.0.0.1:65536", NULL, 0, false},
        {"127.0.0.1:-1", NULL, 0, false},
        {"70000", NULL, 0, false},
        {"::1:80", NULL, 0, false},
        {"example.com:80", NULL, 0, false},
        {"http://127.0.0.1:80", NULL, 0, false},
        {"[::1%eth0]:80", NULL, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct listen_address address = {0};
        const char *why = NULL;

        enum status status = listen_parse(slice_str(rows[i].text), &arena, &why, &address);
        if ((status == STATUS_OK) != (rows[i].host != NULL))
            fail_msg("\"%s\" gives status %d", rows[i].text, status);
        if (status == STATUS_OK) {
            assert_string_equal(address.host, rows[i].host);
            assert_int_equal(address.port, rows[i].port);
            assert_int_equal(listen_is_loopback(&address), rows[i].loopback);
        } else {
            assert_non_null(why);
        }
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_urls),
        cmocka_unit_test(refuses_urls),
        cmocka_unit_test(reads_listen_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
