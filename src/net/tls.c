/* TLS by OpenSSL, with no buffer of its own.
 *
 *   socket ─▶ loop->scratch ─▶ [in] SSL_read ─▶ loop->plain ─▶ received()
 *   conn_write ─▶ SSL_write ─▶ [out] loop->cipher ─▶ conn_send_raw
 *
 * OpenSSL reads and writes through a BIO of ours instead of two memory BIOs: reading takes bytes
 * from the slice the socket just filled, writing appends to a buffer of the loop. That saves a copy
 * each way and the memory a pair of BIOs would keep per connection; with SSL_MODE_RELEASE_BUFFERS
 * an idle connection holds OpenSSL's bare state and nothing of what it once sent.
 *
 * Always true:
 * - loop->cipher is empty when a callback of the owner runs: whatever may encrypt is followed by
 *   tls_session_flush before anything else of the loop gets its turn;
 * - `in` is used up when tls_session_feed returns, or its rest was copied to `held` because the
 *   owner stopped reading; `held` is bounded by what one read brings;
 * - the session is freed in the connection's `closed`, never under the feet of a call on the stack.
 *
 * The end. A peer's close_notify is STATUS_EOF; a socket that ends without it may have been cut by
 * anyone on the way, and is STATUS_RESET.
 *
 * Resumption. A server's newest ticket is kept per host and port, in order of use. It was made under
 * the trust of its context, so a resumed session needs no new verification.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "net/conn_inner.h"

#define REASON_MAX     200
#define HOST_MAX       255 /* of a DNS name, RFC 1035 */
#define HELD_MAX       (2 * NET_SCRATCH_BYTES)
#define TLS_REASON_MAX 512

static const unsigned char alpn_http11[] = "\x08http/1.1";

struct tls_context {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    int refs;
    struct list sessions; /* struct saved, last used first */
    unsigned session_count;
};

/* A session to resume. */
struct saved {
    struct list node;
    SSL_SESSION *session;
    uint16_t port;
    char host[];
};

struct tls_session {
    SSL *ssl;
    struct conn *conn;
    struct tls_context *context;
    const char *in; /* bytes from the socket that OpenSSL has not taken yet */
    size_t in_len;
    struct buffer held; /* bytes that came while the owner did not want them */
    char *reason;       /* of a failure, or NULL */
    uint16_t port;
    bool open;
    char host[]; /* empty on the server side */
};

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *out, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t take = session->in_len < (size_t)size ? session->in_len : (size_t)size;
    memcpy(out, session->in, take);
    session->in += take;
    session->in_len -= take;
    return (int)take;
}

/* Takes everything: the connection's queue is the buffer behind it. */
static int bio_write(BIO *bio, const char *data, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    struct net_loop *loop = session->conn->loop;
    size_t len = (size_t)size;
    BIO_clear_retry_flags(bio);
    if (len > NET_SCRATCH_BYTES - loop->cipher_len) {
        struct iovec parts[] = {{loop->cipher, loop->cipher_len}, {(void *)(uintptr_t)data, len}};
        conn_send_raw(session->conn, parts, 2, false);
        loop->cipher_len = 0;
    } else {
        memcpy(loop->cipher + loop->cipher_len, data, len);
        loop->cipher_len += len;
    }
    return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    if (!method)
        return NULL;
    (void)BIO_meth_set_read(method, bio_read);
    (void)BIO_meth_set_write(method, bio_write);
    (void)BIO_meth_set_ctrl(method, bio_ctrl);
    (void)BIO_meth_set_create(method, bio_create);
    return method;
}

/* ---- contexts ---- */

/* The cause, in words for people: OpenSSL's last error is "system lib" for a file that is not there. */
static const char *first_reason(void)
{
    unsigned long code = ERR_peek_error();

    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    if ((ERR_GET_LIB(code) == ERR_LIB_X509 &&
         ERR_GET_REASON(code) == X509_R_NO_CERTIFICATE_OR_CRL_FOUND) ||
        (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE))
        return "it holds nothing in PEM form";
    return code ? ERR_reason_error_string(code) : NULL;
}

static void say(struct buffer *reason, const char *what, const char *file)
{
    const char *why = first_reason();
    (void)!buffer_printf(reason, TLS_REASON_MAX, "%s%s%s%s%s", what, file ? " " : "",
                         file ? file : "", why ? ": " : "", why ? why : "");
    ERR_clear_error();
}

void tls_context_ref(struct tls_context *context)
{
    context->refs++;
}

static void free_saved(struct tls_context *context, struct saved *saved)
{
    list_remove(&saved->node);
    context->session_count--;
    SSL_SESSION_free(saved->session);
    free(saved);
}

void tls_context_free(struct tls_context *context)
{
    if (!context || --context->refs > 0)
        return;
    while (!list_empty(&context->sessions))
        free_saved(context, container_of(context->sessions.next, struct saved, node));
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio);
    free(context);
}

static struct tls_context *make_context(const SSL_METHOD *method)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return NULL;
    context->refs = 1;
    list_init(&context->sessions);
    context->bio = make_bio_method();
    context->ssl = SSL_CTX_new(method);
    if (!context->bio || !context->ssl) {
        tls_context_free(context);
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

static int on_new_session(SSL *ssl, SSL_SESSION *ticket);

enum status tls_client_context_new(const char *ca_file, struct buffer *reason,
                                   struct tls_context **ret_context)
{
    ERR_clear_error();
    struct tls_context *context = make_context(TLS_client_method());
    if (!context)
        return STATUS_NO_MEMORY;
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(context->ssl,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ssl, on_new_session);
    const char *failed = NULL;
    if (SSL_CTX_set_default_verify_paths(context->ssl) != 1)
        failed = "cannot use the system's trust store";
    else if (SSL_CTX_set_alpn_protos(context->ssl, alpn_http11, sizeof alpn_http11 - 1) != 0)
        failed = "cannot offer http/1.1";
    else if (ca_file && SSL_CTX_load_verify_locations(context->ssl, ca_file, NULL) != 1)
        failed = "SPAREKEY_CA_FILE: cannot trust";
    if (failed) {
        say(reason, failed, ca_file);
        tls_context_free(context);
        return STATUS_TLS;
    }
    *ret_context = context;
    return STATUS_OK;
}

static int select_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                       const unsigned char *offered, unsigned offered_len, void *unused)
{
    (void)ssl;
    (void)unused;
    unsigned char *chosen = NULL;
    int rc = SSL_select_next_proto(&chosen, ret_len, alpn_http11, sizeof alpn_http11 - 1, offered,
                                   offered_len);
    if (rc != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* go on without: HTTP/1.1 is what remains */
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

enum status tls_server_context_new(const char *cert_file, const char *key_file,
                                   struct buffer *reason, struct tls_context **ret_context)
{
    ERR_clear_error();
    struct tls_context *context = make_context(TLS_server_method());
    if (!context)
        return STATUS_NO_MEMORY;
    /* Sessions live in the tickets the clients keep, not here. */
    (void)SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context->ssl, select_alpn, NULL);
    const char *failed = NULL, *file = cert_file;
    if (SSL_CTX_use_certificate_chain_file(context->ssl, cert_file) != 1)
        failed = "cannot read the certificate from";
    else if (file = key_file,
             SSL_CTX_use_PrivateKey_file(context->ssl, key_file, SSL_FILETYPE_PEM) != 1)
        failed = "cannot read the private key from";
    else if (SSL_CTX_check_private_key(context->ssl) != 1)
        failed = "the certificate does not belong to the key in";
    if (failed) {
        say(reason, failed, file);
        tls_context_free(context);
        return STATUS_TLS;
    }
    *ret_context = context;
    return STATUS_OK;
}

/* ---- resumption ---- */

static struct saved *find_saved(struct tls_context *context, const char *host, uint16_t port)
{
    for (struct list *at = context->sessions.next; at != &context->sessions; at = at->next) {
        struct saved *saved = container_of(at, struct saved, node);
        if (saved->port == port && strcasecmp(saved->host, host) == 0)
            return saved;
    }
    return NULL;
}

static struct saved *add_saved(struct tls_context *context, const char *host, uint16_t port)
{
    size_t size = strlen(host) + 1;
    struct saved *saved = malloc(sizeof *saved + size);
    if (!saved)
        return NULL;
    if (context->session_count == TLS_SESSIONS_MAX)
        free_saved(context, container_of(context->sessions.prev, struct saved, node));
    saved->session = NULL;
    saved->port = port;
    memcpy(saved->host, host, size);
    list_init(&saved->node);
    context->session_count++;
    return saved;
}

/* OpenSSL has a ticket for us. 1: the reference is ours now. */
static int on_new_session(SSL *ssl, SSL_SESSION *ticket)
{
    struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_context *context = session->context;
    struct saved *saved = find_saved(context, session->host, session->port);
    if (!saved)
        saved = add_saved(context, session->host, session->port);
    if (!saved)
        return 0;
    SSL_SESSION_free(saved->session);
    saved->session = ticket;
    list_remove(&saved->node);
    list_push(&context->sessions, &saved->node);
    return 1;
}

static void offer_saved(struct tls_session *session)
{
    struct saved *saved = find_saved(session->context, session->host, session->port);
    if (saved && SSL_SESSION_is_resumable(saved->session))
        (void)SSL_set_session(session->ssl, saved->session);
}

bool tls_session_resumed(const struct tls_session *session)
{
    return SSL_session_reused(session->ssl) != 0;
}

/* ---- one connection ---- */

/* What the peer's certificate must be for, and SNI. An address is never sent as SNI (RFC 6066,
 * section 3). */
static bool expect_host(struct tls_session *session)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(session->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, session->host) == 1)
        return true;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, session->host, 0) == 1 &&
           SSL_set_tlsext_host_name(session->ssl, session->host) == 1;
}

static enum status prepare_client(struct tls_session *session)
{
    SSL_set_connect_state(session->ssl);
    if (!expect_host(session)) {
        ERR_clear_error();
        return STATUS_TLS;
    }
    offer_saved(session);
    return STATUS_OK;
}

static bool attach_ssl(struct tls_session *session)
{
    session->ssl = SSL_new(session->context->ssl);
    BIO *bio = BIO_new(session->context->bio);
    if (!session->ssl || !bio) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, session);
    SSL_set_bio(session->ssl, bio, bio);
    (void)SSL_set_app_data(session->ssl, session);
    return true;
}

enum status tls_session_new(struct tls_context *context, struct conn *conn, const char *host,
                            uint16_t port, struct tls_session **ret_session)
{
    size_t len = host ? strlen(host) : 0;
    if (len && host[len - 1] == '.')
        len--; /* the root's dot is not part of a certificate's name */
    if (len > HOST_MAX || (host && len == 0))
        return STATUS_TLS;
    struct tls_session *session = calloc(1, sizeof *session + len + 1);
    if (!session)
        return STATUS_NO_MEMORY;
    session->conn = conn;
    session->context = context;
    session->port = port;
    if (len)
        memcpy(session->host, host, len);
    tls_context_ref(context);
    enum status status = attach_ssl(session) ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK && host)
        status = prepare_client(session);
    else if (status == STATUS_OK)
        SSL_set_accept_state(session->ssl);
    if (status != STATUS_OK) {
        tls_session_free(session);
        return status;
    }
    *ret_session = session;
    return STATUS_OK;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    /* OpenSSL forbids resuming a session whose connection was closed without close_notify, which
     * TLS 1.0 asked for and 1.1 took back. A conn_close is such an end, and nothing is wrong with it. */
    if (session->open && !session->reason)
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    tls_context_free(session->context);
    buffer_wipe(&session->held);
    free(session->reason);
    free(session);
}

const char *tls_session_reason(const struct tls_session *session)
{
    return session->reason ? session->reason : "";
}

/* Keeps OpenSSL's reason for the log; a certificate that was refused says more than the alert. */
static void keep_reason(struct tls_session *session, const char *fallback)
{
    unsigned long code = ERR_peek_last_error();
    long verified = SSL_get_verify_result(session->ssl);
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (verified != X509_V_OK)
        text = X509_verify_cert_error_string(verified);
    if (!session->reason)
        session->reason = strndup(text ? text : fallback, REASON_MAX);
    ERR_clear_error();
}

void tls_session_flush(struct tls_session *session)
{
    struct net_loop *loop = session->conn->loop;
    if (loop->cipher_len == 0)
        return;
    struct iovec part = {loop->cipher, loop->cipher_len};
    loop->cipher_len = 0;
    conn_send_raw(session->conn, &part, 1, false);
}

/* ---- reading ---- */

static void fail(struct tls_session *session, const char *fallback)
{
    keep_reason(session, fallback);
    tls_session_flush(session); /* the alert */
    conn_ended(session->conn, STATUS_TLS);
}

/* True: the handshake is over and the owner knows. */
static bool shake_hands(struct tls_session *session)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(session->ssl);
    if (rc == 1) {
        session->open = true;
        tls_session_flush(session);
        conn_opened(session->conn, STATUS_OK);
        return true;
    }
    int error = SSL_get_error(session->ssl, rc);
    if (error == SSL_ERROR_WANT_READ)
        tls_session_flush(session);
    else
        fail(session, "TLS handshake failed");
    return false;
}

/* Decrypts as many records as are there and fit: one `received` for all of them. Returns what
 * SSL_get_error says about the last one. */
static int decrypt(struct tls_session *session, size_t *ret_len)
{
    struct net_loop *loop = session->conn->loop;
    size_t len = 0;
    int error = SSL_ERROR_NONE;
    ERR_clear_error();
    while (error == SSL_ERROR_NONE && len < NET_SCRATCH_BYTES) {
        int rc = SSL_read(session->ssl, loop->plain + len, (int)(NET_SCRATCH_BYTES - len));
        if (rc > 0)
            len += (size_t)rc;
        else
            error = SSL_get_error(session->ssl, rc);
    }
    *ret_len = len;
    return error;
}

/* One round of decrypting and telling. True: there may be more. */
static bool read_some(struct tls_session *session)
{
    struct conn *conn = session->conn;
    size_t len = 0;
    int error = decrypt(session, &len);
    if (error == SSL_ERROR_SSL)
        keep_reason(session, "TLS record broken");
    tls_session_flush(session); /* an answer to a key update, an alert */
    if (len)
        conn->ops->received(conn, conn->loop->plain, len);
    if (error == SSL_ERROR_ZERO_RETURN) {
        conn->peer_finished = true;
        conn_ended(conn, STATUS_EOF);
    } else if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) {
        conn_ended(conn, STATUS_TLS);
    }
    return error == SSL_ERROR_NONE;
}

static bool wanted(const struct conn *conn)
{
    return conn->state == CONN_OPENING || (conn->state == CONN_OPEN && conn->reading);
}

/* Works through `in` as far as the owner wants it. */
static void work(struct tls_session *session)
{
    bool more = session->open || shake_hands(session);
    while (more && wanted(session->conn))
        more = read_some(session);
}

/* Keeps what the owner did not want yet. */
static void hold(struct tls_session *session, const char *data, size_t len)
{
    enum status status = buffer_append(&session->held, slice_of(data, len), HELD_MAX);
    if (status != STATUS_OK)
        conn_ended_soon(session->conn, status == STATUS_LIMIT ? STATUS_IO : status);
}

/* Takes the held bytes as input; what is left of them stays held. */
static void work_held(struct tls_session *session)
{
    struct buffer input = session->held;
    session->held = (struct buffer){0};
    session->in = input.data;
    session->in_len = input.len;
    work(session);
    size_t left = session->in_len;
    session->in_len = 0;
    if (left && session->conn->state == CONN_OPEN) {
        buffer_consume(&input, input.len - left);
        session->held = input;
    } else {
        buffer_clear(&input);
    }
}

void tls_session_feed(struct tls_session *session, const char *data, size_t len)
{
    if (session->held.len) {
        hold(session, data, len);
        work_held(session);
        return;
    }
    session->in = data;
    session->in_len = len;
    work(session);
    if (session->in_len && session->conn->state == CONN_OPEN)
        hold(session, session->in, session->in_len);
    session->in_len = 0;
    SSL_free_buffers(session->ssl); /* 16 KiB that a handshake's last message leaves behind */
}

bool tls_session_waiting(const struct tls_session *session)
{
    return session->held.len > 0 || SSL_has_pending(session->ssl);
}

void tls_session_resume(struct tls_session *session)
{
    work_held(session);
}

void tls_session_start(struct tls_session *session)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(session->ssl);
    if (rc != 1 && SSL_get_error(session->ssl, rc) != SSL_ERROR_WANT_READ) {
        keep_reason(session, "TLS handshake failed");
        conn_opened_soon(session->conn, STATUS_TLS);
    }
    tls_session_flush(session);
}

void tls_session_eof(struct tls_session *session, enum status status)
{
    struct conn *conn = session->conn;
    if (!session->open)
        keep_reason(session, "the peer closed the connection during the handshake");
    conn->peer_finished = false;
    conn_ended(conn, status == STATUS_EOF ? STATUS_RESET : status);
}

/* ---- writing ---- */

void tls_session_write(struct tls_session *session, const char *data, size_t len)
{
    while (len) {
        int size = len > INT32_MAX / 2 ? INT32_MAX / 2 : (int)len;
        ERR_clear_error();
        int rc = SSL_write(session->ssl, data, size);
        if (rc <= 0) {
            keep_reason(session, "TLS write failed");
            conn_ended_soon(session->conn, STATUS_TLS);
            return;
        }
        data += rc;
        len -= (size_t)rc;
    }
}

void tls_session_finish(struct tls_session *session)
{
    if (!session->open)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
    tls_session_flush(session);
}
