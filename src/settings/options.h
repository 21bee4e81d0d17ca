/* The table of options: the only list of them there is.
 *
 * The parser, --help, `sparekey config` and the sample files walk it; to add an option, add a line
 * here and a field to struct settings. A test proves that every line reaches all of them.
 */
#ifndef SPAREKEY_SETTINGS_OPTIONS_H
#define SPAREKEY_SETTINGS_OPTIONS_H

#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a value looks like, and the type of its field in struct settings. */
enum option_type {
    OPTION_BOOL,       /* bool */
    OPTION_COUNT,      /* uint32_t */
    OPTION_DURATION,   /* int64_t, milliseconds */
    OPTION_SIZE,       /* uint64_t, bytes */
    OPTION_CHOICE,     /* an enum, in the order of the choices */
    OPTION_LEVELS,     /* struct log_levels */
    OPTION_TEXT,       /* char *, NULL when empty */
    OPTION_PATH,       /* char *, NULL when empty */
    OPTION_URL,        /* struct service_url */
    OPTION_ADDRESS,    /* struct listen_address */
    OPTION_KEY,        /* an API key; read by keys.c */
    OPTION_KEY_SERIES, /* any number of them, the name ends in a number; read by keys.c */
    OPTION_TOKEN,      /* struct secret *; read by secrets.c */
    OPTION_WEBHOOK,    /* struct secret *, a URL; read by secrets.c */
    OPTION_PROXY,      /* struct secret *, a URL; read by proxy.c */
    OPTION_TOKENS,     /* a list of secrets; read by secrets.c */
};

enum option_group { GROUP_KEYS, GROUP_GATEWAY, GROUP_TIMES, GROUP_LIMITS, GROUP_OTHER };
#define OPTION_GROUPS (GROUP_OTHER + 1)

enum {
    RELOADABLE = 1, /* SIGHUP changes it in a running gateway */
    SECRET = 2,     /* never shown, never taken from the command line */
};

#define SECONDS(n) ((uint64_t)(n)*1000)
#define DAYS(n)    SECONDS((n)*86400)
#define KIB(n)     ((uint64_t)(n) << 10)
#define MIB(n)     ((uint64_t)(n) << 20)
#define GIB(n)     ((uint64_t)(n) << 30)

/* id, name, type, unit of a bare number, least, most, default (NULL = none), choices, flags,
 * field of struct settings, group, help. In the order they are shown. */
#define OPTION_TABLE(X)                                                                            \
    X(PRIMARY_KEY, "OPENAI_API_KEY", KEY, NULL, 0, 0, NULL, NULL, RELOADABLE | SECRET, keys,       \
      GROUP_KEYS, "the primary key")                                                               \
    X(FALLBACK_KEY, "OPENAI_API_KEY_FALLBACK_1", KEY_SERIES, NULL, 0, 0, NULL, NULL,               \
      RELOADABLE | SECRET, keys, GROUP_KEYS,                                                       \
      "the keys that step in, in the order of their numbers: _1, _2, and so on; any count, gaps "  \
      "allowed")                                                                                   \
    X(KEYS_FILE, "SPAREKEY_KEYS_FILE", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, keys_file,        \
      GROUP_KEYS, "a file of further keys, one a line, for very many")                             \
    X(FALLBACK_ENABLED, "OPENAI_FALLBACK_ENABLED", BOOL, NULL, 0, 0, "true", NULL, RELOADABLE,     \
      fallback_enabled, GROUP_KEYS, "false: only the primary key is ever used")                    \
    X(ROTATION_ENABLED, "OPENAI_KEY_ROTATION_ENABLED", BOOL, NULL, 0, 0, "true", NULL, RELOADABLE, \
      rotation_enabled, GROUP_KEYS,                                                                \
      "take turns among the fallbacks; false: always the first that is ready")                     \
    X(STRATEGY, "SPAREKEY_STRATEGY", CHOICE, NULL, 0, 0, "primary-first", strategy_names,          \
      RELOADABLE, strategy, GROUP_KEYS, "which of the ready keys serves a request")                \
    X(PROMPT_AFFINITY, "SPAREKEY_PROMPT_AFFINITY", BOOL, NULL, 0, 0, "false", NULL, RELOADABLE,    \
      prompt_affinity, GROUP_KEYS,                                                                 \
      "requests with the same prompt_cache_key or beginning prefer the same organization")         \
    X(HEALTH_INTERVAL, "OPENAI_HEALTH_CHECK_INTERVAL", DURATION, "ms", 0, DAYS(7), "300000", NULL, \
      RELOADABLE, health_interval_ms, GROUP_KEYS, "time between health checks; 0 = off")           \
    X(UPSTREAM_URL, "SPAREKEY_UPSTREAM_URL", URL, NULL, 0, 0, "https://api.openai.com/v1", NULL,   \
      RELOADABLE, upstream, GROUP_KEYS, "where requests go")                                       \
    X(CA_FILE, "SPAREKEY_CA_FILE", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, ca_file, GROUP_KEYS,  \
      "certificates trusted besides the system's, in PEM form")                                    \
    X(HTTPS_PROXY, "HTTPS_PROXY", PROXY, NULL, 0, 0, NULL, NULL, RELOADABLE | SECRET, proxy,       \
      GROUP_KEYS,                                                                                  \
      "the proxy (CONNECT) through which https:// services are reached; none = directly")          \
    X(NO_PROXY, "NO_PROXY", TEXT, NULL, 0, 0, NULL, NULL, RELOADABLE, no_proxy, GROUP_KEYS,        \
      "hosts reached without it, separated by commas: a name stands for those under it, too; * = " \
      "all")                                                                                       \
    X(LISTEN, "SPAREKEY_LISTEN", ADDRESS, NULL, 0, 0, "127.0.0.1:7539", NULL, 0, listen,           \
      GROUP_GATEWAY, "where the gateway listens; port 0 = any free one")                           \
    X(TLS_CERT, "SPAREKEY_TLS_CERT", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, tls_cert,           \
      GROUP_GATEWAY, "serve over TLS with this certificate and the chain behind it, in PEM form")  \
    X(TLS_KEY, "SPAREKEY_TLS_KEY", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, tls_key,              \
      GROUP_GATEWAY, "the private key of SPAREKEY_TLS_CERT, in PEM form")                          \
    X(WORKERS, "SPAREKEY_WORKERS", COUNT, NULL, 0, 256, "0", NULL, 0, workers, GROUP_GATEWAY,      \
      "threads that serve; 0 = one per processor")                                                 \
    X(CLIENT_TOKENS, "SPAREKEY_CLIENT_TOKENS", TOKENS, NULL, 0, 0, NULL, NULL,                     \
      RELOADABLE | SECRET, client_tokens, GROUP_GATEWAY,                                           \
      "what clients must present as their API key, separated by commas; none = anyone on this "    \
      "machine")                                                                                   \
    X(CLIENT_TOKENS_FILE, "SPAREKEY_CLIENT_TOKENS_FILE", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, \
      client_tokens_file, GROUP_GATEWAY, "a file of further client tokens, one a line")            \
    X(ADMIN_TOKEN, "SPAREKEY_ADMIN_TOKEN", TOKEN, NULL, 0, 0, NULL, NULL, RELOADABLE | SECRET,     \
      admin_token, GROUP_GATEWAY, "what the admin routes ask for when client tokens are set")      \
    X(DRAIN_TIMEOUT, "SPAREKEY_DRAIN_TIMEOUT", DURATION, "s", 0, DAYS(1), "30s", NULL, RELOADABLE, \
      drain_timeout_ms, GROUP_TIMES, "on SIGTERM: time for requests and streams to finish")        \
    X(CONNECT_TIMEOUT, "SPAREKEY_CONNECT_TIMEOUT", DURATION, "s", 1, DAYS(1), "10s", NULL,         \
      RELOADABLE, connect_timeout_ms, GROUP_TIMES, "to reach the upstream, TCP and TLS together")  \
    X(FIRST_BYTE_TIMEOUT, "SPAREKEY_FIRST_BYTE_TIMEOUT", DURATION, "s", 1, DAYS(1), "10m", NULL,   \
      RELOADABLE, first_byte_timeout_ms, GROUP_TIMES, "from the request to the answer's head")     \
    X(STREAM_IDLE_TIMEOUT, "SPAREKEY_STREAM_IDLE_TIMEOUT", DURATION, "s", 1, DAYS(1), "5m", NULL,  \
      RELOADABLE, idle_timeout_ms, GROUP_TIMES, "silence in the middle of an answer")              \
    X(REQUEST_TIMEOUT, "SPAREKEY_REQUEST_TIMEOUT", DURATION, "s", 1, DAYS(1), "10m", NULL,         \
      RELOADABLE, request_timeout_ms, GROUP_TIMES,                                                 \
      "all attempts of one request together, unless the client names its own timeout")             \
    X(CLIENT_TIMEOUT, "SPAREKEY_CLIENT_TIMEOUT", DURATION, "s", 1, DAYS(1), "1m", NULL,            \
      RELOADABLE, client_timeout_ms, GROUP_TIMES,                                                  \
      "for a client to send a head or the next bytes of a body, or to take any of its answer")     \
    X(KEEPALIVE, "SPAREKEY_KEEPALIVE", DURATION, "s", 0, DAYS(1), "2m", NULL, RELOADABLE,          \
      keepalive_ms, GROUP_TIMES, "how long an idle client connection stays open")                  \
    X(STREAM_HOLD, "SPAREKEY_STREAM_HOLD", DURATION, "s", 0, SECONDS(60), "2s", NULL, RELOADABLE,  \
      stream_hold_ms, GROUP_TIMES,                                                                 \
      "how long a stream is held for its first content, so that an early error still fails over")  \
    X(PROOF_WAIT, "SPAREKEY_PROOF_WAIT", DURATION, "ms", 0, SECONDS(60), "300", NULL, RELOADABLE,  \
      proof_wait_ms, GROUP_TIMES,                                                                  \
      "how long requests wait for the first answer ever of a key, so that a dead one is asked "    \
      "once; 0 = off")                                                                             \
    X(MAX_WAIT, "SPAREKEY_MAX_WAIT", DURATION, "s", 0, DAYS(1), "20s", NULL, RELOADABLE,           \
      max_wait_ms, GROUP_TIMES,                                                                    \
      "how long a request waits when every key is at its limit; 0 = it is refused at once")        \
    X(MAX_BODY, "SPAREKEY_MAX_BODY", SIZE, "bytes", KIB(1), GIB(1), "64MiB", NULL, RELOADABLE,     \
      max_body_bytes, GROUP_LIMITS, "largest request body")                                        \
    X(MAX_BUFFERED, "SPAREKEY_MAX_BUFFERED", SIZE, "bytes", KIB(64), (uint64_t)1 << 40, "1GiB",    \
      NULL, RELOADABLE, max_buffered_bytes, GROUP_LIMITS,                                          \
      "memory for request bodies, all together; beyond it requests are refused for a moment")      \
    X(MAX_CONNECTIONS, "SPAREKEY_MAX_CONNECTIONS", COUNT, NULL, 1, 1u << 20, "16384", NULL,        \
      RELOADABLE, max_connections, GROUP_LIMITS, "of clients, all workers together")               \
    X(MAX_WAITING, "SPAREKEY_MAX_WAITING", COUNT, NULL, 0, 1u << 20, "1024", NULL, RELOADABLE,     \
      max_waiting, GROUP_LIMITS, "requests that wait so, for each model")                          \
    X(TEXT_MODEL, "SPAREKEY_TEXT_MODEL", TEXT, NULL, 0, 0, "gpt-5.4-mini", NULL, RELOADABLE,       \
      text_model, GROUP_OTHER, "the model of texts, only where a caller names none")               \
    X(IMAGE_MODEL, "SPAREKEY_IMAGE_MODEL", TEXT, NULL, 0, 0, "gpt-image-2", NULL, RELOADABLE,      \
      image_model, GROUP_OTHER, "the model of images, only where a caller names none")             \
    X(STATE_FILE, "SPAREKEY_STATE_FILE", PATH, NULL, 0, 0, NULL, NULL, 0, state_file, GROUP_OTHER, \
      "a file (SQLite) to keep the history in; none = the last day's totals, in memory only")      \
    X(HISTORY_DAYS, "SPAREKEY_HISTORY_DAYS", COUNT, NULL, 0, 365, "7", NULL, 0, history_days,      \
      GROUP_OTHER, "how long the state file remembers what the keys did; 0 = no history at all")   \
    X(LAST_RESORT, "SPAREKEY_LAST_RESORT", TEXT, NULL, 0, 0, NULL, NULL, RELOADABLE, last_resort,  \
      GROUP_OTHER,                                                                                 \
      "what answers when every key is out: a JSON file {\"text\": \"...\"}, or the URL of an "     \
      "OpenAI-compatible server")                                                                  \
    X(LOG_LEVEL, "SPAREKEY_LOG_LEVEL", LEVELS, NULL, 0, 0, "info", NULL, RELOADABLE, log_levels,   \
      GROUP_OTHER, "how much is logged, of everything and of single components")                   \
    X(ALERT_WEBHOOK, "SPAREKEY_ALERT_WEBHOOK", WEBHOOK, NULL, 0, 0, NULL, NULL,                    \
      RELOADABLE | SECRET, alert_webhook, GROUP_OTHER,                                             \
      "an https:// URL that is sent JSON when every key is out, when a key is disabled, and on "   \
      "recovery")                                                                                  \
    X(OTLP_ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT", URL, NULL, 0, 0, NULL, NULL, 0, otlp_endpoint, \
      GROUP_OTHER, "where spans go (OTLP/HTTP in protobuf); none = no traces are made")            \
    X(OTLP_HEADERS, "OTEL_EXPORTER_OTLP_HEADERS", TOKEN, NULL, 0, 0, NULL, NULL, SECRET,           \
      otlp_headers, GROUP_OTHER,                                                                   \
      "fields sent along with spans: name=value, separated by commas, values percent-encoded")     \
    X(SERVICE_NAME, "OTEL_SERVICE_NAME", TEXT, NULL, 0, 0, "sparekey", NULL, 0, service_name,      \
      GROUP_OTHER, "the name of this service in traces")                                           \
    X(CONFIG, "SPAREKEY_CONFIG", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, config_file,            \
      GROUP_OTHER, "the YAML file to read instead of sparekey.yaml")                               \
    X(ENV_FILE, "SPAREKEY_ENV_FILE", PATH, NULL, 0, 0, NULL, NULL, RELOADABLE, env_file,           \
      GROUP_OTHER, "the file of variables to read instead of .env.local and .env")

enum option_id {
#define X(id, ...) OPTION_##id,
    OPTION_TABLE(X)
#undef X
        OPTION_IDS, /* how many there are */
};

struct option {
    const char *name;
    enum option_type type;
    const char *unit; /* NULL: none */
    uint64_t min, max;
    const char *standard;       /* the default, as one would write it; NULL: none */
    const char *const *choices; /* NULL-terminated, of OPTION_CHOICE */
    unsigned flags;
    size_t offset; /* of its field in struct settings */
    enum option_group group;
    const char *help;
};

extern const struct option option_table[OPTION_IDS];
extern const char *const option_group_titles[OPTION_GROUPS];

#define OPTION_FLAG_MAX 48 /* bytes of a command line form, the terminator included */

/* The option of this name, by exact name or, with `any_case`, in lower case too; a member of the
 * series of fallback keys gives that series. -1 for none. */
int option_find(struct slice name, bool any_case);

/* The name in the table of a variable that is also written in lower case: "https_proxy" and
 * "no_proxy"; other names are returned as they are. */
struct slice option_name_of_variable(struct slice variable);

/* "--drain-timeout" of SPAREKEY_DRAIN_TIMEOUT; "--fallback-enabled" of OPENAI_FALLBACK_ENABLED. */
void option_flag(const struct option *option, char out[OPTION_FLAG_MAX]);

/* Whether a source gave this option its value: it is not the default. */
bool option_given(const struct settings *settings, enum option_id id);

/* The option of a flag (with its dashes, without "=…"). -1 for none. */
int option_find_flag(struct slice flag);

/* The name that was probably meant, or NULL. `option_near_flag` writes it to `out` and returns it. */
const char *option_near(struct slice name);
const char *option_near_flag(struct slice flag, char out[OPTION_FLAG_MAX]);

#ifdef __cplusplus
}
#endif
#endif
