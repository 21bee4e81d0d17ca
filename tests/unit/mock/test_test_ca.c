#include "mock_test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mock/test_ca.h"

static X509 *read_cert(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(cert);
    return cert;
}

static void the_server_is_vouched_for(void **state)
{
    char path[] = "/tmp/sparekey-ca-XXXXXX";
    struct buffer reason = {0};
    struct test_ca ca;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(test_ca_make(&ca, path, &reason), STATUS_OK);
    X509 *root = read_cert(path), *cert = read_cert(ca.cert_path);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, cert, NULL), 1);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    assert_int_equal(X509_verify_cert(context), 1);
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_not_equal(X509_check_host(cert, "example.com", 0, 0, NULL), 1);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(cert);
    test_ca_clear(&ca);
    unlink(path);
}

static void no_place_to_write_is_said(void **state)
{
    struct buffer reason = {0};
    struct test_ca ca;

    (void)state;
    assert_int_equal(test_ca_make(&ca, "/nonexistent/ca.pem", &reason), STATUS_IO);
    assert_true(
        slice_eq(buffer_slice(&reason), SLICE("/nonexistent/ca.pem: No such file or directory")));
    assert_int_equal(ca.cert_fd, -1);
    buffer_clear(&reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_server_is_vouched_for),
                                       cmocka_unit_test(no_place_to_write_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
