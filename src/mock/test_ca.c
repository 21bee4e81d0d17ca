#include "mock/test_ca.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DAY_S = 86400, VALID_DAYS = 30, REASON_MAX = 512 };

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

struct extension {
    int nid;
    const char *value;
};

/* In this order: an authority key id quotes the issuer's subject key id, which for a self-signed
 * certificate is its own. */
static const struct extension ca_extensions[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {NID_undef, NULL},
};

static const struct extension server_extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {NID_undef, NULL},
};

/* `issuer` NULL: signed by itself. */
static X509 *make_cert(EVP_PKEY *key, const char *name, long serial, X509 *issuer,
                       EVP_PKEY *issuer_key, const struct extension *extensions)
{
    X509 *cert = X509_new();
    if (!cert)
        return NULL;
    bool good = X509_set_version(cert, X509_VERSION_3) == 1 &&
                ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
                X509_gmtime_adj(X509_getm_notAfter(cert), (long)VALID_DAYS * DAY_S) &&
                X509_set_pubkey(cert, key) == 1 &&
                X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                           (const unsigned char *)name, -1, -1, 0) == 1 &&
                X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) == 1;
    for (; good && extensions->value; extensions++)
        good = add_extension(cert, issuer ? issuer : cert, extensions->nid, extensions->value);
    if (good && X509_sign(cert, issuer_key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static enum status explain(struct buffer *reason, enum status status, const char *what)
{
    bool by_system = status == STATUS_IO;
    enum status written = buffer_printf(reason, REASON_MAX, "%s%s%s", what, by_system ? ": " : "",
                                        by_system ? strerror(errno) : "");
    return written == STATUS_OK ? status : written;
}

static enum status write_ca(X509 *cert, const char *path, struct buffer *reason)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return explain(reason, STATUS_IO, path);
    bool good = PEM_write_X509(file, cert) == 1;
    good = fclose(file) == 0 && good;
    return good ? STATUS_OK : explain(reason, STATUS_IO, path);
}

static int memory_file(BIO *bio, char path[32])
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    int fd = memfd_create("sparekey-mock", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write(fd, data, (size_t)len) != len) {
        close(fd);
        return -1;
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static enum status keep_server(struct test_ca *ca, X509 *cert, EVP_PKEY *key, struct buffer *reason)
{
    BIO *cert_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    enum status status = STATUS_OK;

    if (!cert_text || !key_text || PEM_write_bio_X509(cert_text, cert) != 1 ||
        PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) != 1)
        status = explain(reason, STATUS_TLS, "the test certificate could not be written");
    if (status == STATUS_OK) {
        ca->cert_fd = memory_file(cert_text, ca->cert_path);
        ca->key_fd = memory_file(key_text, ca->key_path);
        if (ca->cert_fd < 0 || ca->key_fd < 0)
            status = explain(reason, STATUS_IO, "a file in memory could not be made");
    }
    BIO_free(cert_text);
    BIO_free(key_text);
    return status;
}

enum status test_ca_make(struct test_ca *ca, const char *ca_out, struct buffer *reason)
{
    *ca = (struct test_ca){.cert_fd = -1, .key_fd = -1};
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca_cert = NULL, *cert = NULL;
    enum status status = STATUS_TLS;

    if (ca_key && key)
        ca_cert = make_cert(ca_key, "sparekey mock test CA", 1, NULL, ca_key, ca_extensions);
    if (ca_cert)
        cert = make_cert(key, "localhost", 2, ca_cert, ca_key, server_extensions);
    if (!cert)
        status = explain(reason, STATUS_TLS, "the test certificate could not be made");
    else
        status = write_ca(ca_cert, ca_out, reason);
    if (status == STATUS_OK)
        status = keep_server(ca, cert, key, reason);
    if (status != STATUS_OK)
        test_ca_clear(ca);
    X509_free(ca_cert);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return status;
}

void test_ca_clear(struct test_ca *ca)
{
    if (ca->cert_fd >= 0)
        close(ca->cert_fd);
    if (ca->key_fd >= 0)
        close(ca->key_fd);
    *ca = (struct test_ca){.cert_fd = -1, .key_fd = -1};
}
