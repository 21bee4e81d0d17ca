/* libsparekey: OpenAI's API with fallback between keys, inside a C program.
 *
 *     sparekey_client *client;
 *     sparekey_result *answer;
 *     sparekey_client_from_environment(NULL, &client, NULL);
 *     if (sparekey_generate_text(client, "Hello!", NULL, &answer, NULL) == SPAREKEY_OK)
 *         puts(sparekey_result_text(answer));
 *
 * A client holds any number of keys, knows which of them can serve a request now, and when one fails
 * moves the request to another before the caller notices. It is the engine of the sparekey gateway,
 * over libcurl in the place of a server.
 *
 * Conventions, true of every function unless it says otherwise:
 * - Status is the return value: SPAREKEY_OK, or a negative SPAREKEY_ERROR_…. Results go through
 *   `ret_` parameters, which are written only on success.
 * - `error` may be NULL; otherwise it is filled on failure and left alone on success. Initialise it
 *   with SPAREKEY_ERROR_INIT.
 * - Strings are UTF-8 and end in a zero byte; the library copies what it keeps, so arguments may be
 *   freed as soon as a call returns. Texts in JSON are checked to be JSON before anything is sent.
 * - Options may be NULL for defaults. Otherwise they begin as the value of their _init function, so
 *   that a program built today goes on working with a library that knows more options.
 * - A client may be used by any number of threads at once. A result, a health snapshot and an error
 *   belong to one thread at a time.
 * - The library prints nothing, installs no signal handler, never exits, and reads the environment
 *   only in sparekey_client_from_environment. Out of memory is SPAREKEY_ERROR_MEMORY.
 * - Callbacks are called without any lock of the library held, and may call the library.
 */
#ifndef SPAREKEY_SPAREKEY_H
#define SPAREKEY_SPAREKEY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPAREKEY_VERSION_MAJOR 0
#define SPAREKEY_VERSION_MINOR 1
#define SPAREKEY_VERSION_PATCH 0

#if defined(__GNUC__)
#define SPAREKEY_API       __attribute__((visibility("default")))
#define SPAREKEY_NODISCARD __attribute__((warn_unused_result))
#else
#define SPAREKEY_API
#define SPAREKEY_NODISCARD
#endif

/* The version of the library that is linked, "0.1.0". Static storage. Any thread. */
SPAREKEY_API const char *sparekey_version(void);

/* ---- status and errors --------------------------------------------------------------------- */

/* code, value, what it means. A class of failures is told by one code whatever key met it last; the
 * attempts of the error say what each key met. */
#define SPAREKEY_STATUS_TABLE(X)                                                                   \
    X(SPAREKEY_OK, 0, "success")                                                                   \
    X(SPAREKEY_ERROR_MEMORY, -1, "out of memory")                                                  \
    X(SPAREKEY_ERROR_ARGUMENT, -2, "an argument is wrong; the message names it")                   \
    X(SPAREKEY_ERROR_SETTINGS, -3, "the settings are wrong, or name no key")                       \
    X(SPAREKEY_ERROR_REQUEST, -4, "OpenAI refused the request itself; no key can help")            \
    X(SPAREKEY_ERROR_POLICY, -5, "OpenAI's content policy refused the request")                    \
    X(SPAREKEY_ERROR_RATE_LIMITED, -6, "every key that could serve is at a rate limit")            \
    X(SPAREKEY_ERROR_QUOTA, -7, "every key that could serve is out of quota or credit")            \
    X(SPAREKEY_ERROR_KEYS, -8, "no key is accepted, or none may do this")                          \
    X(SPAREKEY_ERROR_SERVICE, -9, "OpenAI failed")                                                 \
    X(SPAREKEY_ERROR_NETWORK, -10, "OpenAI could not be reached, or the connection broke")         \
    X(SPAREKEY_ERROR_TIMEOUT, -11, "no answer in time")                                            \
    X(SPAREKEY_ERROR_CUT, -12, "a stream broke after a part of it had been delivered")             \
    X(SPAREKEY_ERROR_ANSWER, -13, "the answer cannot be understood, or is too large")              \
    X(SPAREKEY_ERROR_CANCELLED, -14, "cancelled by the caller")                                    \
    X(SPAREKEY_ERROR_CLOSED, -15, "the client is being freed")                                     \
    X(SPAREKEY_ERROR_FORKED, -16, "the client was made before fork(); make one in this process")   \
    X(SPAREKEY_ERROR_SYSTEM, -17, "the system refused a descriptor or a thread")

typedef enum sparekey_status {
#define SPAREKEY_X(code, value, text) code = value,
    SPAREKEY_STATUS_TABLE(SPAREKEY_X)
#undef SPAREKEY_X
} sparekey_status;

/* The text of SPAREKEY_STATUS_TABLE; of numbers outside of it "unknown status". Never NULL, static
 * storage. Any thread. */
SPAREKEY_API const char *sparekey_status_text(int status);

/* One attempt of a request at one key. */
typedef struct sparekey_attempt {
    char key[16];        /* the key's mask, "sk-proj...N0IA" */
    char failure[32];    /* its class: "ok", "rate_limited", "revoked", … (docs/failover.md) */
    int http_status;     /* 0: no answer came */
    char request_id[72]; /* OpenAI's, "" when it gave none */
} sparekey_attempt;

#define SPAREKEY_ATTEMPTS_MAX 8 /* of a trail that are told one by one */

/* What went wrong. Owned by the caller, nothing in it needs to be freed. No secret is ever in it:
 * what an answer repeats of a key is masked. */
typedef struct sparekey_error {
    size_t size;            /* of this struct, as SPAREKEY_ERROR_INIT sets it */
    int code;               /* sparekey_status */
    int http_status;        /* of OpenAI's answer, 0 when there was none */
    int64_t retry_after_ms; /* when to come back; -1 unknown or never */
    unsigned attempt_count; /* attempts made; the last SPAREKEY_ATTEMPTS_MAX of them are told */
    sparekey_attempt attempts[SPAREKEY_ATTEMPTS_MAX];
    char message[512];      /* one sentence for a person, cut to fit */
    char upstream_code[64]; /* error.code, .type and .param of OpenAI's answer, or "" */
    char upstream_type[64];
    char upstream_param[64];
    char request_id[72]; /* OpenAI's, for its support; or "" */
} sparekey_error;

#define SPAREKEY_ERROR_INIT                                                                        \
    {                                                                                              \
        sizeof(sparekey_error), 0, 0, -1, 0, {{"", "", 0, ""}}, "", "", "", "", ""                 \
    }

/* ---- the client ---------------------------------------------------------------------------- */

typedef struct sparekey_client sparekey_client;
typedef struct sparekey_result sparekey_result;

/* A line of the log. `level`: 0 error, 1 warning, 2 information, 3 debugging. `event` is a stable name
 * ("failover", "attempt_failed", "circuit_opened", …), `message` one line for a person. Both live only
 * during the call. Called on whichever thread noticed, one call at a time for a client. */
typedef void sparekey_log_hook(void *user, int level, const char *event, const char *message);

/* A key, or the keys of an account, stopped serving or serve again. Strings live only during the
 * call. */
typedef struct sparekey_health_change {
    const char *key;  /* mask of the key whose it is; "" when it is an account's or the service's */
    const char *name; /* where the key came from, "OPENAI_API_KEY_FALLBACK_1"; or "" */
    const char *account; /* the organisation or project; or "" */
    const char *from;    /* "closed", "open", "half-open" */
    const char *to;
    const char *scope;  /* whose limit or fault: "key", "project+model", … (docs/failover.md) */
    const char *reason; /* class of the failure: "rate_limited", … */
    int http_status;    /* of the answer that caused it; 0: none */
    int64_t open_ms;    /* to == "open": for how long from now */
} sparekey_health_change;

/* As sparekey_log_hook. */
typedef void sparekey_health_hook(void *user, const sparekey_health_change *change);

typedef struct sparekey_client_options {
    size_t size;
    const char *const *keys; /* API keys, the primary first; `key_count` of them */
    size_t key_count;
    const char *base_url; /* NULL: https://api.openai.com/v1 */
    /* Any other settings that `sparekey config` lists, as "NAME=value", ended by NULL; NULL: none.
     * "SPAREKEY_STRATEGY=round-robin", "SPAREKEY_REQUEST_TIMEOUT=30s". Those of the gateway alone
     * (SPAREKEY_LISTEN, …) are accepted and do nothing. */
    const char *const *settings;
    const char *proxy; /* URL of an HTTP or SOCKS proxy; NULL: as HTTPS_PROXY and NO_PROXY say */
    sparekey_log_hook *on_log;
    sparekey_health_hook *on_health;
    void *user; /* handed to both hooks */
} sparekey_client_options;

/* Defaults. Any thread. */
static inline sparekey_client_options sparekey_client_options_init(void)
{
    sparekey_client_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}

/* Makes a client from explicit settings alone: no environment, no file but those that `settings`
 * names. `options` with at least one key (or a setting that names some). `*ret_client` is freed by
 * sparekey_client_free. Starts no thread. Any thread.
 * SPAREKEY_ERROR_SETTINGS: the message says which setting and what was expected.
 * SPAREKEY_ERROR_ARGUMENT, SPAREKEY_ERROR_MEMORY, SPAREKEY_ERROR_SYSTEM. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_client_new(const sparekey_client_options *options,
                                                        sparekey_client **ret_client,
                                                        sparekey_error *error);

/* The same from the places where the gateway looks: environment, .env.local, .env and sparekey.yaml
 * of the working directory, in this order of precedence. Keys are OPENAI_API_KEY,
 * OPENAI_API_KEY_FALLBACK_1 … N; OPENAI_BASE_URL is obeyed unless SPAREKEY_UPSTREAM_URL is set. What
 * `options` (may be NULL) says comes before all of them. Reads the environment: no other thread may be changing it.
 * Errors as sparekey_client_new. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_client_from_environment(
    const sparekey_client_options *options, sparekey_client **ret_client, sparekey_error *error);

/* A client of one key of `client`, without fallback: every request goes to that key, or fails. `key`
 * names it as sparekey_key_health does (its name, its mask, or its place from 0 in digits); NULL is
 * the primary. Otherwise like its parent, but without its hooks, and independent of it: freed on its
 * own, before or after.
 * SPAREKEY_ERROR_ARGUMENT: there is no such key, or several share the mask. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_direct_client(sparekey_client *client, const char *key,
                                                           sparekey_client **ret_client,
                                                           sparekey_error *error);

/* Cancels the requests in flight (they end with SPAREKEY_ERROR_CLOSED), waits for them to return, and
 * frees everything. Called from a callback of this client it does not wait for the requests of the
 * calling thread; the last of them frees. NULL is allowed. In a child after fork(), a client of the
 * parent is left alone: its connections are the parent's. Loops of the client (sparekey_loop_new) are
 * freed before. No other thread may begin to use the client any more. */
SPAREKEY_API void sparekey_client_free(sparekey_client *client);

/* ---- what every request may be told -------------------------------------------------------- */

typedef struct sparekey_cancel sparekey_cancel;
typedef struct sparekey_loop sparekey_loop;

/* One event of a stream. Valid during the call only. */
typedef struct sparekey_event {
    const char *name; /* of the "event:" line, or "" */
    const char *data; /* the "data:" lines, joined by "\n"; ends in a zero byte */
    size_t data_len;
} sparekey_event;

/* `text` is the next piece of the answer's text (of its first choice), not ended by a zero byte.
 * Return 0 to go on, anything else to stop the stream: the request then ends as cancelled. */
typedef int sparekey_text_callback(void *user, const char *text, size_t len);

/* Every event, `[DONE]` excepted. Called before the text callback for the same event. Same return. */
typedef int sparekey_event_callback(void *user, const sparekey_event *event);

/* An asynchronous request has ended. Success: `result` belongs to the callee, `error` is NULL.
 * Failure: `result` is NULL and `error` lives during the call. Called exactly once for each request
 * that was submitted. */
typedef void sparekey_done_callback(void *user, sparekey_result *result,
                                    const sparekey_error *error);

typedef struct sparekey_call_options {
    size_t size;
    int64_t timeout_ms; /* of all attempts together; 0: SPAREKEY_REQUEST_TIMEOUT */
    const char *const
        *headers;            /* further "Name: value" lines, ended by NULL; NULL: none. Credentials
                                   and framing (Authorization, Host, Content-Length, …) are refused */
    sparekey_cancel *cancel; /* fires: the request ends as cancelled. Must outlive it; NULL: none */
    sparekey_text_callback *on_text; /* with one of these two the answer is streamed */
    sparekey_event_callback
        *on_event; /* (chat, text, responses; sparekey_request if it asked so) */
    sparekey_done_callback
        *on_done;        /* asynchronous: the function returns SPAREKEY_OK at once and its
                                         ret_result must be NULL; callbacks come on another thread … */
    sparekey_loop *loop; /* … or, with this, from within sparekey_loop_run */
    void *user;          /* handed to the callbacks */
} sparekey_call_options;

/* Defaults. Any thread. */
static inline sparekey_call_options sparekey_call_options_init(void)
{
    sparekey_call_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}

/* Makes something that cancels: any number of requests may name it. Freed by sparekey_cancel_free.
 * SPAREKEY_ERROR_MEMORY. Any thread. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_cancel_new(sparekey_cancel **ret_cancel);

/* Cancels the requests that name it, now and in future. Returns at once; they end soon after. Any
 * thread, also from a callback; not from a signal handler. */
SPAREKEY_API void sparekey_cancel_fire(sparekey_cancel *cancel);

/* NULL is allowed. No request may name it any more. */
SPAREKEY_API void sparekey_cancel_free(sparekey_cancel *cancel);

/* ---- texts --------------------------------------------------------------------------------- */

#define SPAREKEY_UNSET (-1) /* of numbers where 0 means something: OpenAI's default */

typedef struct sparekey_text_options {
    size_t size;
    const char *model;           /* NULL: SPAREKEY_TEXT_MODEL */
    const char *system;          /* instructions before the prompt or messages; NULL: none */
    double temperature;          /* 0 … 2, or SPAREKEY_UNSET */
    double top_p;                /* 0 … 1, or SPAREKEY_UNSET */
    int64_t max_tokens;          /* of the answer, at least 1; SPAREKEY_UNSET: no limit of ours */
    int n;                       /* choices, 1 … 128; SPAREKEY_UNSET: 1 */
    const char *tools;           /* JSON array; NULL: none. The same of the next: */
    const char *tool_choice;     /* "auto", "none", "required" or a JSON object */
    const char *response_format; /* JSON object */
    const char *extra;           /* JSON object: members added to the request, over all others */
    const sparekey_call_options *call;
} sparekey_text_options;

/* Defaults. Any thread. */
static inline sparekey_text_options sparekey_text_options_init(void)
{
    sparekey_text_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    o.temperature = o.top_p = SPAREKEY_UNSET;
    o.max_tokens = o.n = SPAREKEY_UNSET;
    return o;
}

/* Answers a prompt (POST /chat/completions with one user message). `prompt` is not empty.
 * The result: sparekey_result_text.
 * Errors: any of SPAREKEY_STATUS_TABLE; SPAREKEY_ERROR_ARGUMENT names the argument, and nothing was
 * sent. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_generate_text(sparekey_client *client,
                                                           const char *prompt,
                                                           const sparekey_text_options *options,
                                                           sparekey_result **ret_result,
                                                           sparekey_error *error);

/* One message of a conversation. Zero the struct first; `reserved` stays NULL. */
typedef struct sparekey_message {
    const char *role;         /* "system", "developer", "user", "assistant", "tool" */
    const char *content;      /* text; NULL where there are parts or tool calls */
    const char *parts;        /* JSON array of content parts in the place of `content`; or NULL */
    const char *tool_calls;   /* assistant: JSON array, as sparekey_result_tool_calls gave it */
    const char *tool_call_id; /* tool: which call this answers */
    const char *name;         /* or NULL */
    const void *reserved[2];
} sparekey_message;

/* Continues a conversation (POST /chat/completions). `count` of `messages`, at least one.
 * The result: sparekey_result_text, …_tool_call. Errors as sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_create_chat_completion(
    sparekey_client *client, const sparekey_message *messages, size_t count,
    const sparekey_text_options *options, sparekey_result **ret_result, sparekey_error *error);

typedef struct sparekey_response_options {
    size_t size;
    const char *model;        /* NULL: SPAREKEY_TEXT_MODEL */
    const char *instructions; /* NULL: none */
    const char *items;        /* JSON array in the place of `input`; NULL: none */
    const char
        *previous_response_id; /* NULL: none. Only keys of the project that made it are asked */
    const char *tools;         /* JSON array; NULL: none */
    double temperature;        /* 0 … 2, or SPAREKEY_UNSET */
    int64_t max_output_tokens; /* at least 1, or SPAREKEY_UNSET */
    int store;                 /* 0, 1, or SPAREKEY_UNSET: OpenAI's default, which is to store */
    const char *extra;         /* JSON object: members added to the request */
    const sparekey_call_options *call;
} sparekey_response_options;

/* Defaults. Any thread. */
static inline sparekey_response_options sparekey_response_options_init(void)
{
    sparekey_response_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    o.temperature = SPAREKEY_UNSET;
    o.max_output_tokens = SPAREKEY_UNSET;
    o.store = SPAREKEY_UNSET;
    return o;
}

/* POST /responses. `input` is a text, or NULL with options->items. A response that is stored is not
 * repeated after an unclear failure, for it may have been made (docs/failover.md); with store = 0 it
 * is. The result: sparekey_result_text, …_tool_call. Errors as sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_create_response(
    sparekey_client *client, const char *input, const sparekey_response_options *options,
    sparekey_result **ret_result, sparekey_error *error);

/* ---- images -------------------------------------------------------------------------------- */

typedef enum sparekey_image_form {
    SPAREKEY_IMAGE_AS_MADE, /* as the model's family gives it: bytes, or of DALL-E a URL */
    SPAREKEY_IMAGE_BYTES,   /* bytes: sparekey_result_image_bytes */
    SPAREKEY_IMAGE_URL /* a URL: sparekey_result_image_url; a data: URL of models that have none */
} sparekey_image_form;

/* Parameters are those of either family of models, and are translated to those of the one asked: "hd"
 * is "high" to a GPT image model, 1536x1024 is 1792x1024 to dall-e-3, … (docs/library.md). */
typedef struct sparekey_image_options {
    size_t size;
    const char *model;      /* NULL: SPAREKEY_IMAGE_MODEL */
    const char *image_size; /* "1024x1024", "auto"; NULL: the model's default */
    const char *quality;    /* "standard", "hd", "low", "medium", "high", "auto"; NULL: default */
    const char *style;      /* "vivid", "natural": of dall-e-3, left out elsewhere; NULL: default */
    const char *background; /* "transparent", "opaque", "auto": of GPT image models, as style */
    const char *file_type;  /* "png", "jpeg", "webp": of GPT image models, as style */
    int n;                  /* images, 1 … 10 (dall-e-3: 1); SPAREKEY_UNSET: 1 */
    sparekey_image_form form;
    const char *extra; /* JSON object: members added to the request */
    const sparekey_call_options *call;
} sparekey_image_options;

/* Defaults. Any thread. */
static inline sparekey_image_options sparekey_image_options_init(void)
{
    sparekey_image_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    o.n = SPAREKEY_UNSET;
    return o;
}

/* Makes images (POST /images/generations). The result: sparekey_result_count images,
 * sparekey_result_image_bytes and …_url. Errors as sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_generate_image(sparekey_client *client,
                                                            const char *prompt,
                                                            const sparekey_image_options *options,
                                                            sparekey_result **ret_result,
                                                            sparekey_error *error);

/* ---- embeddings and models ----------------------------------------------------------------- */

typedef struct sparekey_embedding_options {
    size_t size;
    const char *model;  /* NULL: text-embedding-3-small */
    int64_t dimensions; /* at least 1; SPAREKEY_UNSET: the model's own */
    const char *extra;  /* JSON object: members added to the request */
    const sparekey_call_options *call;
} sparekey_embedding_options;

/* Defaults. Any thread. */
static inline sparekey_embedding_options sparekey_embedding_options_init(void)
{
    sparekey_embedding_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    o.dimensions = SPAREKEY_UNSET;
    return o;
}

/* Vectors of `count` texts (1 … 2048) (POST /embeddings). The result: sparekey_result_embedding, in
 * the order of `texts`. Errors as sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_create_embeddings(
    sparekey_client *client, const char *const *texts, size_t count,
    const sparekey_embedding_options *options, sparekey_result **ret_result, sparekey_error *error);

/* The models of the key that answers (GET /models). `call` may be NULL. The result:
 * sparekey_result_count models, sparekey_result_model_id. Errors as sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_list_models(sparekey_client *client,
                                                         const sparekey_call_options *call,
                                                         sparekey_result **ret_result,
                                                         sparekey_error *error);

/* ---- any endpoint -------------------------------------------------------------------------- */

/* A field or a file of a multipart body. Zero the struct first; `reserved` stays NULL. */
typedef struct sparekey_part {
    const char *name;
    const void *data;
    size_t len;
    const char *file_name;    /* NULL: a plain field */
    const char *content_type; /* NULL: none, of a file application/octet-stream */
    const void *reserved[2];
} sparekey_part;

typedef struct sparekey_request_options {
    size_t size;
    const char *method;         /* NULL: POST with a body, else GET */
    const char *path;           /* behind the base URL, with its query: "/files?purpose=batch" */
    const char *json;           /* a JSON body; or */
    const sparekey_part *parts; /* a multipart body of `part_count`; or */
    size_t part_count;
    const void *body; /* `body_len` raw bytes of `content_type`; or none of them */
    size_t body_len;
    const char *content_type;
    const sparekey_call_options *call;
} sparekey_request_options;

/* Defaults. Any thread. */
static inline sparekey_request_options sparekey_request_options_init(void)
{
    sparekey_request_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}

/* Sends any request with fallback. What may be repeated on another key follows from path and body
 * (docs/failover.md): a path the library does not know is never sent twice once bytes went out.
 * Every answer of 2xx is a success; a redirection is not followed. The result: sparekey_result_body. Errors as
 * sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_request(sparekey_client *client,
                                                     const sparekey_request_options *options,
                                                     sparekey_result **ret_result,
                                                     sparekey_error *error);

/* ---- results ------------------------------------------------------------------------------- */

/* Frees a result and everything that came out of it. NULL is allowed. */
SPAREKEY_API void sparekey_result_free(sparekey_result *result);

/* How many choices, images, vectors or models there are; 0 for sparekey_request. */
SPAREKEY_API size_t sparekey_result_count(const sparekey_result *result);

/* The text of the first choice, or of a response. Never NULL: "" when there is none. Lives as long as
 * the result, like every pointer below. */
SPAREKEY_API const char *sparekey_result_text(const sparekey_result *result);

/* The text of the choice at `index`; "" past the last. */
SPAREKEY_API const char *sparekey_result_choice(const sparekey_result *result, size_t index);

/* Why the choice at `index` ended: "stop", "length", "tool_calls", …; of a response its status. ""
 * when not said or past the last. */
SPAREKEY_API const char *sparekey_result_finish_reason(const sparekey_result *result, size_t index);

/* A call the model wants made. */
typedef struct sparekey_tool_call {
    const char *id;
    const char *name;
    const char *arguments; /* JSON, as the model wrote it: check it */
} sparekey_tool_call;

/* How many tool calls the first choice, or the response, asks for. */
SPAREKEY_API size_t sparekey_result_tool_call_count(const sparekey_result *result);

/* The tool call at `index`. SPAREKEY_ERROR_ARGUMENT: there is none, and `*ret_call` is untouched. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_result_tool_call(const sparekey_result *result,
                                                              size_t index,
                                                              sparekey_tool_call *ret_call);

/* The tool calls as a JSON array, for sparekey_message.tool_calls; NULL when there are none. */
SPAREKEY_API const char *sparekey_result_tool_calls(const sparekey_result *result);

/* The URL of the image at `index`, or NULL. */
SPAREKEY_API const char *sparekey_result_image_url(const sparekey_result *result, size_t index);

/* The bytes of the image at `index`, NULL when the answer holds a URL alone. `ret_len` is written in
 * either case. */
SPAREKEY_API const void *sparekey_result_image_bytes(const sparekey_result *result, size_t index,
                                                     size_t *ret_len);

/* The vector at `index` and the count of its numbers; NULL and 0 past the last. */
SPAREKEY_API const float *sparekey_result_embedding(const sparekey_result *result, size_t index,
                                                    size_t *ret_count);

/* The id of the model at `index` of a list; NULL past the last. */
SPAREKEY_API const char *sparekey_result_model_id(const sparekey_result *result, size_t index);

/* The body as it came, ended by a zero byte that `ret_len` (may be NULL) does not count. Of a stream
 * all of its events. Never NULL. */
SPAREKEY_API const char *sparekey_result_body(const sparekey_result *result, size_t *ret_len);

/* What was used, as the answer says; -1 where it does not. */
typedef struct sparekey_usage {
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t total_tokens;
} sparekey_usage;

/* The usage of the answer. */
SPAREKEY_API sparekey_usage sparekey_result_usage(const sparekey_result *result);

/* HTTP status, 200 … 299. */
SPAREKEY_API int sparekey_result_http_status(const sparekey_result *result);

/* The answer's Content-Type, OpenAI's request id, the model that answered; "" when not said. */
SPAREKEY_API const char *sparekey_result_content_type(const sparekey_result *result);
/* As sparekey_result_content_type. */
SPAREKEY_API const char *sparekey_result_request_id(const sparekey_result *result);
/* The answer's own id, "chatcmpl-…" or "resp_…" (sparekey_response_options.previous_response_id). As
 * sparekey_result_content_type. */
SPAREKEY_API const char *sparekey_result_id(const sparekey_result *result);
/* As sparekey_result_content_type. */
SPAREKEY_API const char *sparekey_result_model(const sparekey_result *result);

/* How many attempts it took: 1 when the first key served. */
SPAREKEY_API unsigned sparekey_result_attempt_count(const sparekey_result *result);

/* The attempt at `index`, the last of which served; NULL past the last that is told
 * (SPAREKEY_ATTEMPTS_MAX, of a longer trail the last ones). */
SPAREKEY_API const sparekey_attempt *sparekey_result_attempt(const sparekey_result *result,
                                                             size_t index);

/* ---- health -------------------------------------------------------------------------------- */

typedef struct sparekey_health sparekey_health;

/* One key: the facts of the gateway's health document (docs/health.md). Times are Unix milliseconds,
 * -1 where there is none. */
typedef struct sparekey_key {
    const char *key_id; /* the mask, "sk-proj...N0IA" */
    const char *name;   /* where it came from: "OPENAI_API_KEY" */
    int is_healthy;
    int is_rate_limited;  /* neither: it is unhealthy */
    uint64_t error_count; /* failures in a row */
    uint64_t success_count;
    uint64_t total_requests; /* attempts that ended */
    double success_rate;     /* per cent; 100 before the first request */
    unsigned in_flight;
    int64_t last_used_ms;
    int64_t recovery_ms;       /* when it will be tried again */
    const char *circuit;       /* "closed", "open", "half-open" */
    const char *scope;         /* whose limit or fault; "" while closed, like the next: */
    const char *reason;        /* its class */
    const char *readmitted_by; /* "time", "a live request", … */
    int evidence_status;       /* the answer that stopped it: 0 when none came */
    const char *evidence_code;
    const char *evidence_request_id;
    const char *organization; /* its owners, "" while unknown */
    const char *project;
} sparekey_key;

/* A snapshot of every key in its order, freed by sparekey_health_free. SPAREKEY_ERROR_MEMORY,
 * SPAREKEY_ERROR_ARGUMENT. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_key_health(sparekey_client *client,
                                                        sparekey_health **ret_health,
                                                        sparekey_error *error);

/* "healthy", "degraded" (some key is unhealthy) or "unhealthy" (none is ready). */
SPAREKEY_API const char *sparekey_health_status(const sparekey_health *health);

/* How many keys there are. */
SPAREKEY_API size_t sparekey_health_count(const sparekey_health *health);

/* The key at `index`, as long as the snapshot; NULL past the last. */
SPAREKEY_API const sparekey_key *sparekey_health_key(const sparekey_health *health, size_t index);

/* NULL is allowed. */
SPAREKEY_API void sparekey_health_free(sparekey_health *health);

/* ---- somebody else's event loop ------------------------------------------------------------ */

/* A place where asynchronous requests (sparekey_call_options.loop) are driven by the program's own
 * loop. Belongs to one thread, which runs it; other threads may submit to it and cancel. Freed before
 * its client. SPAREKEY_ERROR_SYSTEM, SPAREKEY_ERROR_MEMORY. */
SPAREKEY_API SPAREKEY_NODISCARD int sparekey_loop_new(sparekey_client *client,
                                                      sparekey_loop **ret_loop,
                                                      sparekey_error *error);

/* A descriptor that is readable whenever there is something to do, timeouts included: give it to
 * poll, epoll, libuv, and call sparekey_loop_run when it is readable. Do not read or close it. */
SPAREKEY_API int sparekey_loop_fd(const sparekey_loop *loop);

/* Milliseconds until sparekey_loop_run has something to do even if nothing arrives; -1: never. For
 * loops that would rather wait themselves than have the descriptor do it. */
SPAREKEY_API int sparekey_loop_timeout_ms(const sparekey_loop *loop);

/* Does what there is to do, waiting for it up to `wait_ms` (0: not at all; -1: until something
 * happens), and calls back. Returns how many requests are in flight in this loop, or
 * SPAREKEY_ERROR_ARGUMENT, also when called from one of its own callbacks. */
SPAREKEY_API int sparekey_loop_run(sparekey_loop *loop, int wait_ms);

/* Cancels what is in flight (done callbacks come from within) and frees. Not from a callback of the
 * loop. NULL is allowed. */
SPAREKEY_API void sparekey_loop_free(sparekey_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
