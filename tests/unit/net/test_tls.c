#include "net_test.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#define TIMEOUT_MS 15000
#define DAY_S      86400

/* ---- certificates, made afresh for each run ---- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
    char cert_file[PATH_MAX], key_file[PATH_MAX];
};

static struct pki {
    char dir[64];
    struct identity ca, stranger; /* two authorities that do not know each other */
    struct identity good;         /* localhost and 127.0.0.1, by `ca` */
    struct identity elsewhere;    /* other.test, by `ca` */
    struct identity expired;      /* as good, but of last year */
    struct identity foreign;      /* as good, by `stranger` */
} pki;

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void set_name(X509 *cert, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
}

static void save(struct identity *id, const char *name)
{
    (void)snprintf(id->cert_file, sizeof id->cert_file, "%s/%s.crt", pki.dir, name);
    (void)snprintf(id->key_file, sizeof id->key_file, "%s/%s.key", pki.dir, name);
    FILE *file = fopen(id->cert_file, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, id->cert), 1);
    (void)fclose(file);
    file = fopen(id->key_file, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, id->key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
}

/* `names` NULL: an authority. Valid from `from_s` to `until_s`, seconds from now. */
static void issue(struct identity *id, const char *name, const char *names, struct identity *by,
                  long from_s, long until_s)
{
    static long serial = 1;
    id->key = EVP_EC_gen("P-256");
    id->cert = X509_new();
    assert_non_null(id->key);
    assert_non_null(id->cert);
    X509 *cert = id->cert, *issuer = by ? by->cert : cert;
    (void)X509_set_version(cert, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), until_s);
    (void)X509_set_pubkey(cert, id->key);
    set_name(cert, name);
    (void)X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    add_extension(cert, issuer, NID_basic_constraints, names ? "CA:FALSE" : "critical,CA:TRUE");
    if (names)
        add_extension(cert, issuer, NID_subject_alt_name, names);
    assert_true(X509_sign(cert, by ? by->key : id->key, EVP_sha256()) > 0);
    save(id, name);
}

static const char local_names[] = "DNS:localhost,IP:127.0.0.1";

static int make_pki(void **state)
{
    (void)state;
    (void)snprintf(pki.dir, sizeof pki.dir, "/tmp/tls-test-XXXXXX");
    if (!mkdtemp(pki.dir))
        return -1;
    issue(&pki.ca, "ca", NULL, NULL, -DAY_S, DAY_S);
    issue(&pki.stranger, "stranger", NULL, NULL, -DAY_S, DAY_S);
    issue(&pki.good, "good", local_names, &pki.ca, -DAY_S, DAY_S);
    issue(&pki.elsewhere, "elsewhere", "DNS:other.test", &pki.ca, -DAY_S, DAY_S);
    issue(&pki.expired, "expired", local_names, &pki.ca, -400 * DAY_S, -35 * DAY_S);
    issue(&pki.foreign, "foreign", local_names, &pki.stranger, -DAY_S, DAY_S);
    return 0;
}

static int drop_pki(void **state)
{
    (void)state;
    struct identity *all[] = {&pki.ca,        &pki.stranger, &pki.good,
                              &pki.elsewhere, &pki.expired,  &pki.foreign};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        (void)unlink(all[i]->cert_file);
        (void)unlink(all[i]->key_file);
        X509_free(all[i]->cert);
        EVP_PKEY_free(all[i]->key);
    }
    return rmdir(pki.dir);
}

static struct tls_context *client_context(void)
{
    struct buffer reason = {0};
    struct tls_context *context = NULL;
    assert_int_equal(tls_client_context_new(pki.ca.cert_file, &reason, &context), STATUS_OK);
    assert_int_equal(reason.len, 0);
    return context;
}

static struct tls_context *server_context(const struct identity *id)
{
    struct buffer reason = {0};
    struct tls_context *context = NULL;
    assert_int_equal(tls_server_context_new(id->cert_file, id->key_file, &reason, &context),
                     STATUS_OK);
    assert_int_equal(reason.len, 0);
    return context;
}

/* ---- two ends and a handshake ---- */

struct pair {
    struct end *client, *server;
};

/* Dials `host` at a listener of ours and lets a server with `server_tls` answer. */
static struct pair begin(const char *host, struct tls_context *client_tls,
                         struct tls_context *server_tls)
{
    uint16_t port = 0;
    int listener = listen_on_loopback(8, &port);
    struct pair pair = {end_new(), end_new()};
    pair.client->inside_call = true;
    conn_dial(&pair.client->conn, &(struct dial_target){host, port, client_tls, NULL}, TIMEOUT_MS);
    pair.client->inside_call = false;
    int fd = -1;
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    (void)close(listener);
    assert_int_equal(conn_accept(&pair.server->conn, fd, server_tls), STATUS_OK);
    assert_int_equal(pair.server->conn.state, CONN_OPENING);
    return pair;
}

static struct pair connected(const char *host, struct tls_context *client_tls,
                             struct tls_context *server_tls)
{
    struct pair pair = begin(host, client_tls, server_tls);
    RUN_UNTIL(pair.client->opened && pair.server->opened);
    if (pair.client->opened_as != STATUS_OK)
        fail_msg("handshake: %s", conn_error_text(&pair.client->conn));
    assert_int_equal(pair.server->opened_as, STATUS_OK);
    return pair;
}

static void pair_free(struct pair *pair)
{
    end_free(pair->client);
    end_free(pair->server);
}

/* A client and a server that trust each other; closes and frees them afterwards. */
struct world {
    struct tls_context *client, *server;
};

static struct world world_new(void)
{
    return (struct world){client_context(), server_context(&pki.good)};
}

static void world_free(struct world *world)
{
    tls_context_free(world->client);
    tls_context_free(world->server);
}

/* ---- bytes ---- */

static void echo_over_tls(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    pair.server->on_received = ACT_ECHO;
    end_write(pair.client, "hello", 5);
    RUN_UNTIL(pair.client->received_bytes == 5);
    assert_received(pair.server, "hello");
    assert_received(pair.client, "hello");
    assert_false(conn_tls_resumed(&pair.client->conn));
    assert_int_equal(net.cipher_len, 0);
    assert_int_equal(net.wheel.armed, 0); /* the dial's timeout is over */
    pair_free(&pair);
    world_free(&world);
}

static void an_address_is_verified_as_an_address(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("127.0.0.1", world.client, world.server);
    pair_free(&pair);
    world_free(&world);
}

static void contexts_may_go_before_their_connections(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = begin("localhost", world.client, world.server);
    world_free(&world);
    RUN_UNTIL(pair.client->opened && pair.server->opened);
    end_write(pair.client, "still", 5);
    RUN_UNTIL(pair.server->received_bytes == 5);
    pair_free(&pair);
}

#define TRANSFER_BYTES (64u << 20)
#define TRANSFER_STEP  100000u

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 29 + (at >> 12));
}

static void pump_pattern(struct end *end)
{
    static unsigned char piece[TRANSFER_STEP];
    size_t *sent = end->user;
    while (*sent < TRANSFER_BYTES && conn_queued(&end->conn) <= CONN_HIGH_WATER) {
        size_t len =
            TRANSFER_BYTES - *sent < TRANSFER_STEP ? TRANSFER_BYTES - *sent : TRANSFER_STEP;
        for (size_t i = 0; i < len; i++)
            piece[i] = pattern(*sent + i);
        end_write(end, piece, len);
        *sent += len;
    }
}

/* The receiver stops after each receipt and goes on a turn later: every way of holding bytes back. */
static void a_large_transfer_with_pauses(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    size_t sent = 0;
    pair.client->user = &sent;
    pair.client->pump = pump_pattern;
    pair.server->on_received = ACT_STOP_READING;
    pump_pattern(pair.client);
    assert_true(conn_queued(&pair.client->conn) > CONN_HIGH_WATER);
    assert_true(conn_queued(&pair.client->conn) < CONN_HIGH_WATER + 2 * TRANSFER_STEP);
    while (pair.server->received_bytes < TRANSFER_BYTES) {
        unsigned receipts = pair.server->receipts;
        (void)uv_run(&net.uv, UV_RUN_ONCE);
        assert_true(pair.server->receipts <= receipts + 1);
        pair.server->inside_call = true;
        conn_read_start(&pair.server->conn);
        pair.server->inside_call = false;
    }
    for (size_t i = 0; i < TRANSFER_BYTES; i++) {
        if ((unsigned char)pair.server->received.data[i] != pattern(i))
            fail_msg("byte %zu is wrong", i);
    }
    assert_true(pair.client->drained > 0);
    pair_free(&pair);
    world_free(&world);
}

static void corked_writes_are_one_record(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    char text[] = "onetwothreefour";
    struct iovec parts[] = {{text, 3}, {text + 3, 3}};
    conn_cork(&pair.client->conn);
    conn_write(&pair.client->conn, parts, 2, 0);
    assert_int_equal(net.cork_len, 6);
    conn_write(&pair.client->conn, &(struct iovec){text + 6, 9}, 1, CONN_WRITE_SECRET);
    conn_uncork(&pair.client->conn);
    assert_null(memmem(net.cork, NET_CORK_BYTES, "three", 5));
    RUN_UNTIL(pair.server->received_bytes == 15);
    assert_received(pair.server, text);
    assert_int_equal(pair.server->receipts, 1);
    pair_free(&pair);
    world_free(&world);
}

static void parts_larger_than_the_cork_keep_their_order(void **state)
{
    (void)state;
    static char large[NET_CORK_BYTES * 3];
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    memset(large, 'x', sizeof large);
    char edge[] = "<>";
    struct iovec parts[] = {
        {edge, 1}, {large, sizeof large}, {large, NET_CORK_BYTES}, {edge + 1, 1}};
    size_t total = 2 + sizeof large + NET_CORK_BYTES;
    for (int round = 0; round < 2; round++) {
        if (round)
            conn_cork(&pair.client->conn);
        conn_write(&pair.client->conn, parts, 4, 0);
        conn_uncork(&pair.client->conn);
    }
    RUN_UNTIL(pair.server->received_bytes == 2 * total);
    const char *got = pair.server->received.data;
    assert_int_equal(got[0], '<');
    assert_int_equal(got[total - 1], '>');
    assert_int_equal(got[total], '<');
    assert_int_equal(got[2 * total - 1], '>');
    assert_null(memchr(got + 1, '>', total - 2));
    pair_free(&pair);
    world_free(&world);
}

/* ---- verification ---- */

static void refuses(const char *host, const struct identity *id, const char *reason)
{
    struct tls_context *client = client_context(), *server = server_context(id);
    struct pair pair = begin(host, client, server);
    RUN_UNTIL(pair.client->opened);
    assert_int_equal(pair.client->opened_as, STATUS_TLS);
    assert_non_null(strstr(conn_error_text(&pair.client->conn), reason));
    conn_close(&pair.client->conn);
    RUN_UNTIL(pair.server->opened);
    /* In TLS 1.3 the server is done before it hears the client's opinion. */
    if (pair.server->opened_as == STATUS_OK) {
        RUN_UNTIL(pair.server->ended);
        assert_int_equal(pair.server->ended_as, STATUS_TLS);
    }
    pair_free(&pair);
    tls_context_free(client);
    tls_context_free(server);
}

static void a_wrong_host_is_refused(void **state)
{
    (void)state;
    refuses("localhost", &pki.elsewhere, "hostname mismatch");
    refuses("127.0.0.1", &pki.elsewhere, "IP address mismatch");
}

static void an_unknown_authority_is_refused(void **state)
{
    (void)state;
    refuses("localhost", &pki.foreign, "unable to get local issuer certificate");
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    refuses("localhost", &pki.expired, "certificate has expired");
}

static void unreadable_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct tls_context *context = NULL;
    struct buffer reason = {0};
    assert_int_equal(tls_client_context_new("/nonexistent/ca.pem", &reason, &context), STATUS_TLS);
    assert_true(
        slice_eq(buffer_slice(&reason),
                 SLICE("SPAREKEY_CA_FILE: cannot trust /nonexistent/ca.pem: No such file or "
                       "directory")));
    buffer_clear(&reason);
    assert_int_equal(tls_client_context_new("/dev/null", &reason, &context), STATUS_TLS);
    assert_true(
        slice_eq(buffer_slice(&reason),
                 SLICE("SPAREKEY_CA_FILE: cannot trust /dev/null: it holds nothing in PEM form")));
    buffer_clear(&reason);
    assert_int_equal(
        tls_server_context_new("/nonexistent/crt", pki.good.key_file, &reason, &context),
        STATUS_TLS);
    assert_true(
        slice_contains_nocase(buffer_slice(&reason), SLICE("/nonexistent/crt: No such file")));
    buffer_clear(&reason);
    assert_int_equal(
        tls_server_context_new(pki.good.cert_file, pki.expired.key_file, &reason, &context),
        STATUS_TLS);
    assert_true(slice_contains_nocase(buffer_slice(&reason), slice_str(pki.expired.key_file)));
    buffer_clear(&reason);
    assert_null(context);
    tls_context_free(NULL);
}

/* ---- resumption ---- */

/* One connection to `port` that exchanges a byte; returns whether it resumed. */
static bool visit(int listener, uint16_t port, struct tls_context *client,
                  struct tls_context *server)
{
    struct pair pair = {end_new(), end_new()};
    conn_dial(&pair.client->conn, &(struct dial_target){"localhost", port, client, NULL},
              TIMEOUT_MS);
    int fd = -1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    assert_int_equal(conn_accept(&pair.server->conn, fd, server), STATUS_OK);
    RUN_UNTIL(pair.client->opened && pair.server->opened);
    assert_int_equal(pair.client->opened_as, STATUS_OK);
    pair.server->on_received = ACT_ECHO; /* tickets of TLS 1.3 come with the first bytes */
    end_write(pair.client, "x", 1);
    RUN_UNTIL(pair.client->received_bytes == 1);
    bool resumed = conn_tls_resumed(&pair.client->conn);
    assert_int_equal(conn_tls_resumed(&pair.server->conn), resumed);
    pair_free(&pair);
    return resumed;
}

static void sessions_resume_per_port(void **state)
{
    (void)state;
    struct world world = world_new();
    uint16_t port = 0, other_port = 0;
    int listener = listen_on_loopback(8, &port), other = listen_on_loopback(8, &other_port);
    (void)fcntl(listener, F_SETFL, O_NONBLOCK);
    (void)fcntl(other, F_SETFL, O_NONBLOCK);
    assert_false(visit(listener, port, world.client, world.server));
    assert_true(visit(listener, port, world.client, world.server));
    assert_true(visit(listener, port, world.client, world.server));
    assert_false(visit(other, other_port, world.client, world.server));
    assert_true(visit(other, other_port, world.client, world.server));
    world_free(&world);
    (void)close(listener);
    (void)close(other);
}

/* ---- ends ---- */

static void close_notify_is_a_clean_end(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    pair.client->on_ended = ACT_FINISH;
    end_write(pair.server, "bye", 3);
    conn_finish(&pair.server->conn);
    RUN_UNTIL(pair.client->closed && pair.server->closed);
    assert_received(pair.client, "bye");
    assert_int_equal(pair.client->ended_as, STATUS_EOF);
    assert_int_equal(pair.server->ended, 0);
    pair_free(&pair);
    world_free(&world);
}

static void an_end_without_close_notify_is_a_cut(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    end_write(pair.server, "incompl", 7);
    conn_close(&pair.server->conn);
    RUN_UNTIL(pair.client->ended);
    assert_received(pair.client, "incompl");
    assert_int_equal(pair.client->ended_as, STATUS_RESET);
    pair_free(&pair);
    world_free(&world);
}

static void closing_inside_callbacks(void **state)
{
    (void)state;
    static const enum act ways[] = {ACT_CLOSE, ACT_RESET, ACT_FINISH};
    struct world world = world_new();
    for (unsigned i = 0; i < 3; i++) {
        struct pair pair = begin("localhost", world.client, world.server);
        pair.server->on_opened = ways[i];
        pair.client->on_ended = ACT_CLOSE;
        RUN_UNTIL(pair.server->closed && pair.client->closed);
        pair_free(&pair);
        pair = connected("localhost", world.client, world.server);
        pair.server->on_received = ways[i];
        pair.client->on_ended = ways[i];
        end_write(pair.client, "one", 3);
        RUN_UNTIL(pair.server->closed && pair.client->closed);
        assert_int_equal(pair.server->receipts, 1);
        pair_free(&pair);
    }
    world_free(&world);
}

static void closing_during_the_handshake(void **state)
{
    (void)state;
    struct world world = world_new();
    for (unsigned turns = 0; turns < 6; turns++) {
        struct pair pair = begin("localhost", world.client, world.server);
        for (unsigned i = 0; i < turns; i++)
            (void)uv_run(&net.uv, UV_RUN_NOWAIT);
        conn_close(&pair.client->conn);
        RUN_UNTIL(pair.server->opened);
        if (pair.server->opened_as == STATUS_OK)
            RUN_UNTIL(pair.server->ended);
        pair_free(&pair);
    }
    world_free(&world);
}

static void a_silent_server_times_the_dial_out(void **state)
{
    (void)state;
    struct tls_context *client = client_context();
    uint16_t port = 0;
    int listener = listen_on_loopback(8, &port);
    struct end *end = end_new();
    conn_dial(&end->conn, &(struct dial_target){"127.0.0.1", port, client, NULL}, 100);
    RUN_UNTIL(end->opened);
    assert_int_equal(end->opened_as, STATUS_TIMEOUT);
    end_free(end);
    (void)close(listener);
    tls_context_free(client);
}

/* ---- OpenSSL itself at the other end: old protocols, renegotiation, key updates ---- */

/* A bare client of ours on a non-blocking socket, driven in turns with the loop. */
struct bare {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
    struct end *server;
    struct tls_context *server_tls;
};

static struct bare bare_new(int version)
{
    int pair[2];
    tcp_pair(pair);
    struct bare bare = {.context = SSL_CTX_new(TLS_client_method()), .fd = pair[1]};
    bare.server = end_new();
    bare.server->on_received = ACT_ECHO;
    bare.server_tls = server_context(&pki.good);
    assert_int_equal(conn_accept(&bare.server->conn, pair[0], bare.server_tls), STATUS_OK);
    assert_int_equal(fcntl(bare.fd, F_SETFL, O_NONBLOCK), 0);
    (void)SSL_CTX_set_min_proto_version(bare.context, version);
    (void)SSL_CTX_set_max_proto_version(bare.context, version);
    SSL_CTX_set_security_level(bare.context, 0); /* else old protocols are not even offered */
    bare.ssl = SSL_new(bare.context);
    assert_int_equal(SSL_set_fd(bare.ssl, bare.fd), 1);
    SSL_set_connect_state(bare.ssl);
    return bare;
}

static void bare_free(struct bare *bare)
{
    end_free(bare->server);
    tls_context_free(bare->server_tls);
    SSL_free(bare->ssl);
    SSL_CTX_free(bare->context);
    (void)close(bare->fd);
}

/* Repeats `call` with turns of the loop in between while it waits for bytes; its last result. */
#define BARE_UNTIL_DONE(bare, rc, call)                                                            \
    while ((rc = (call)) <= 0 && SSL_get_error((bare)->ssl, rc) == SSL_ERROR_WANT_READ)            \
    (void)uv_run(&net.uv, UV_RUN_NOWAIT)

static void bare_echo(struct bare *bare)
{
    char text[8] = "";
    int rc = 0;
    assert_int_equal(SSL_write(bare->ssl, "echo", 4), 4);
    BARE_UNTIL_DONE(bare, rc, SSL_read(bare->ssl, text, sizeof text));
    assert_int_equal(rc, 4);
    assert_string_equal(text, "echo");
}

static void protocols_older_than_1_2_are_refused(void **state)
{
    (void)state;
    struct bare bare = bare_new(TLS1_1_VERSION);
    int rc = 0;
    BARE_UNTIL_DONE(&bare, rc, SSL_do_handshake(bare.ssl));
    assert_true(rc <= 0);
    RUN_UNTIL(bare.server->opened);
    assert_int_equal(bare.server->opened_as, STATUS_TLS);
    assert_string_equal(conn_error_text(&bare.server->conn), "unsupported protocol");
    bare_free(&bare);
}

static void http11_is_chosen_and_the_rest_is_no_failure(void **state)
{
    (void)state;
    static const struct {
        const char *offered, *chosen;
    } cases[] = {{"\x02h2\x08http/1.1", "http/1.1"}, {"\x02h2", ""}, {"", ""}};
    for (unsigned i = 0; i < 3; i++) {
        struct bare bare = bare_new(TLS1_2_VERSION);
        unsigned len = (unsigned)strlen(cases[i].offered);
        assert_int_equal(
            SSL_set_alpn_protos(bare.ssl, (const unsigned char *)cases[i].offered, len), 0);
        int rc = 0;
        BARE_UNTIL_DONE(&bare, rc, SSL_do_handshake(bare.ssl));
        assert_int_equal(rc, 1);
        const unsigned char *chosen = NULL;
        SSL_get0_alpn_selected(bare.ssl, &chosen, &len);
        assert_int_equal(len, strlen(cases[i].chosen));
        if (len)
            assert_memory_equal(chosen, cases[i].chosen, len);
        bare_echo(&bare);
        bare_free(&bare);
    }
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    struct bare bare = bare_new(TLS1_2_VERSION);
    int rc = 0;
    BARE_UNTIL_DONE(&bare, rc, SSL_do_handshake(bare.ssl));
    assert_int_equal(rc, 1);
    bare_echo(&bare);
    assert_int_equal(SSL_renegotiate(bare.ssl), 1);
    BARE_UNTIL_DONE(&bare, rc, SSL_do_handshake(bare.ssl));
    assert_true(rc <= 0);
    bare_free(&bare);
}

static void a_key_update_is_answered(void **state)
{
    (void)state;
    struct bare bare = bare_new(TLS1_3_VERSION);
    int rc = 0;
    BARE_UNTIL_DONE(&bare, rc, SSL_do_handshake(bare.ssl));
    assert_int_equal(rc, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(bare.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        bare_echo(&bare);
        assert_int_equal(net.cipher_len, 0);
    }
    bare_free(&bare);
}

/* The hello a byte at a time: every split point of a handshake. */
static void a_handshake_in_single_bytes(void **state)
{
    (void)state;
    struct bare bare = bare_new(TLS1_3_VERSION);
    BIO *out = BIO_new(BIO_s_mem());
    assert_non_null(out);
    SSL_set0_wbio(bare.ssl, out);
    int rc = 0;
    do {
        rc = SSL_do_handshake(bare.ssl);
        char byte;
        while (BIO_read(out, &byte, 1) == 1) {
            assert_int_equal(write(bare.fd, &byte, 1), 1);
            (void)uv_run(&net.uv, UV_RUN_NOWAIT);
        }
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    } while (rc <= 0 && SSL_get_error(bare.ssl, rc) == SSL_ERROR_WANT_READ);
    assert_int_equal(rc, 1);
    RUN_UNTIL(bare.server->opened);
    assert_int_equal(bare.server->opened_as, STATUS_OK);
    bare_free(&bare);
}

/* ---- peers that do not speak TLS ---- */

static void server_gets(const void *bytes, size_t len, bool then_close)
{
    struct tls_context *server = server_context(&pki.good);
    int pair[2];
    tcp_pair(pair);
    struct end *end = end_new();
    assert_int_equal(conn_accept(&end->conn, pair[0], server), STATUS_OK);
    assert_int_equal(write(pair[1], bytes, len), (ssize_t)len);
    if (then_close)
        (void)shutdown(pair[1], SHUT_WR);
    RUN_UNTIL(end->opened);
    assert_int_equal(end->opened_as, STATUS_TLS);
    assert_string_not_equal(conn_error_text(&end->conn), "");
    assert_int_equal(end->receipts, 0);
    end_free(end);
    (void)close(pair[1]);
    tls_context_free(server);
}

static void plain_http_at_a_tls_port(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    server_gets(request, sizeof request - 1, false);
}

static void garbage_at_a_tls_port(void **state)
{
    (void)state;
    unsigned char bytes[512];
    uint32_t random = 1;
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)((random = random * 1664525u + 1013904223u) >> 24);
        if (round % 2)
            memcpy(bytes, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11); /* nearly a hello */
        server_gets(bytes, sizeof bytes, true);
    }
}

static void a_plain_server_at_a_tls_client(void **state)
{
    (void)state;
    struct tls_context *client = client_context();
    int pair[2];
    tcp_pair(pair);
    struct end *end = end_new();
    assert_int_equal(conn_adopt(&end->conn, pair[0], client, "localhost"), STATUS_OK);
    assert_int_equal(write(pair[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 28);
    RUN_UNTIL(end->opened);
    assert_int_equal(end->opened_as, STATUS_TLS);
    end_free(end);
    (void)close(pair[1]);
    tls_context_free(client);
}

static void garbage_after_the_handshake(void **state)
{
    (void)state;
    struct world world = world_new();
    struct pair pair = connected("localhost", world.client, world.server);
    int fd = -1;
    assert_int_equal(uv_fileno((uv_handle_t *)&pair.server->conn.tcp, &fd), 0);
    assert_int_equal(write(fd, "\x17\x03\x03\x00\x20 garbage garbage garbage garbage ", 37), 37);
    RUN_UNTIL(pair.client->ended);
    assert_int_equal(pair.client->ended_as, STATUS_TLS);
    assert_int_equal(pair.client->receipts, 0);
    pair_free(&pair);
    world_free(&world);
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(echo_over_tls),
        NET_TEST(an_address_is_verified_as_an_address),
        NET_TEST(contexts_may_go_before_their_connections),
        NET_TEST(a_large_transfer_with_pauses),
        NET_TEST(corked_writes_are_one_record),
        NET_TEST(parts_larger_than_the_cork_keep_their_order),
        NET_TEST(a_wrong_host_is_refused),
        NET_TEST(an_unknown_authority_is_refused),
        NET_TEST(an_expired_certificate_is_refused),
        NET_TEST(unreadable_files_are_refused_with_the_reason),
        NET_TEST(sessions_resume_per_port),
        NET_TEST(close_notify_is_a_clean_end),
        NET_TEST(an_end_without_close_notify_is_a_cut),
        NET_TEST(closing_inside_callbacks),
        NET_TEST(closing_during_the_handshake),
        NET_TEST(a_silent_server_times_the_dial_out),
        NET_TEST(protocols_older_than_1_2_are_refused),
        NET_TEST(http11_is_chosen_and_the_rest_is_no_failure),
        NET_TEST(renegotiation_is_refused),
        NET_TEST(a_key_update_is_answered),
        NET_TEST(a_handshake_in_single_bytes),
        NET_TEST(plain_http_at_a_tls_port),
        NET_TEST(garbage_at_a_tls_port),
        NET_TEST(a_plain_server_at_a_tls_client),
        NET_TEST(garbage_after_the_handshake),
    };
    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
