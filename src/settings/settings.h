/* Settings: one table of options, five places they may come from, one struct the program reads.
 *
 * Precedence: command line > process environment > .env.local > .env (both in the working
 * directory) > sparekey.yaml > default. The table (settings/options.h) is the only list of
 * options: parser, --help, `sparekey config`, the sample files and their tests are made from it.
 *
 * A struct settings is immutable once loaded and shared by reference: a reload loads a new one and
 * swaps the pointer.
 */
#ifndef SPAREKEY_SETTINGS_SETTINGS_H
#define SPAREKEY_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log_levels.h"
#include "base/slice.h"
#include "base/status.h"
#include "pool/pool.h"
#include "settings/vault.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SETTINGS_SERVICES_MAX 256 /* different base URLs, the default upstream among them */

/* A parsed http(s) URL. Strings are owned by the settings. */
struct service_url {
    bool tls;
    char *host;    /* without brackets for IPv6 */
    uint16_t port; /* 80 or 443 when the URL names none */
    char *path;    /* "/v1": no trailing slash; "" for none */
    char *text;    /* as given, for display; never contains credentials (they are refused) */
};

/* Longest "address" in a listen setting. */
struct listen_address {
    char *host;    /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port; /* 0 = any free one */
};

/* What a key is besides its secret. The keys of a keys file share theirs. */
struct key_traits {
    char *name;                  /* "OPENAI_API_KEY", "OPENAI_API_KEY_FALLBACK_3", "keys.txt" */
    char *source;                /* "environment", ".env.local:4", "sparekey.yaml:12" */
    struct service_url *service; /* NULL = the default upstream */
    char *organization, *project, *auth_header; /* NULL = not configured */
    char **models;                  /* the only ones it may serve, NULL-terminated; NULL = all */
    uint32_t weight, max_in_flight; /* 1 and 0 (no cap) unless configured */
};

/* There may be a million: what most of them have in common is elsewhere. */
struct key_setting {
    struct secret *secret; /* one reference */
    struct key_traits *traits;
    uint32_t line; /* of the keys file, which is part of the key's name; 0 = it is from no such */
};

/* How a key of this name and line is called in messages: "OPENAI_API_KEY", "keys.txt:17"; a long
 * name is cut. */
#define KEY_NAME_MAX 96
const char *key_name_text(const char *name, uint32_t line, char out[KEY_NAME_MAX]);

struct settings {
    /* Keys in their order: primary first, then fallbacks by number, then the keys file. */
    struct key_setting *keys;
    size_t key_count;

    bool fallback_enabled;      /* OPENAI_FALLBACK_ENABLED */
    bool rotation_enabled;      /* OPENAI_KEY_ROTATION_ENABLED */
    int64_t health_interval_ms; /* OPENAI_HEALTH_CHECK_INTERVAL, 0 = off */
    enum strategy strategy;     /* SPAREKEY_STRATEGY */

    struct service_url upstream; /* SPAREKEY_UPSTREAM_URL */
    char *ca_file;        /* SPAREKEY_CA_FILE: certificates trusted besides the system's; NULL */
    struct secret *proxy; /* HTTPS_PROXY or NULL: the whole URL */
    struct service_url proxy_host; /* its host and port */
    char *no_proxy;                /* NO_PROXY */
    struct listen_address listen;  /* SPAREKEY_LISTEN */
    char *tls_cert, *tls_key;      /* SPAREKEY_TLS_CERT, SPAREKEY_TLS_KEY; both or neither NULL */
    uint32_t workers;              /* SPAREKEY_WORKERS, 0 = one per processor */

    struct secret **client_tokens; /* SPAREKEY_CLIENT_TOKENS and _FILE */
    size_t client_token_count;
    struct secret *admin_token; /* SPAREKEY_ADMIN_TOKEN or NULL */

    int64_t drain_timeout_ms;      /* SPAREKEY_DRAIN_TIMEOUT */
    int64_t connect_timeout_ms;    /* SPAREKEY_CONNECT_TIMEOUT, 10 s: TCP and TLS together */
    int64_t first_byte_timeout_ms; /* SPAREKEY_FIRST_BYTE_TIMEOUT, 600 s */
    int64_t idle_timeout_ms;    /* SPAREKEY_STREAM_IDLE_TIMEOUT, 300 s between bytes of an answer */
    int64_t request_timeout_ms; /* SPAREKEY_REQUEST_TIMEOUT, 600 s: the plan's deadline */
    int64_t
        client_timeout_ms; /* SPAREKEY_CLIENT_TIMEOUT, 60 s: to send a head or the next bytes of a body, or to take some of its answer */
    int64_t keepalive_ms;  /* SPAREKEY_KEEPALIVE, 120 s: idle client connection */
    int64_t stream_hold_ms;  /* SPAREKEY_STREAM_HOLD, 2 s */
    bool prompt_affinity;    /* SPAREKEY_PROMPT_AFFINITY; pool_options.affinity */
    int64_t max_wait_ms;     /* SPAREKEY_MAX_WAIT, 20 s; pool_options.max_wait_ns */
    uint32_t max_waiting;    /* SPAREKEY_MAX_WAITING, for each model; pool_options.queue_max */
    int64_t proof_wait_ms;   /* SPAREKEY_PROOF_WAIT, 300 ms; pool_options.proof_wait_ns */
    uint64_t max_body_bytes; /* SPAREKEY_MAX_BODY, 64 MiB */
    uint64_t
        max_buffered_bytes;   /* SPAREKEY_MAX_BUFFERED, of all bodies held, all workers together */
    uint32_t max_connections; /* SPAREKEY_MAX_CONNECTIONS, of clients, all workers together */
    struct log_levels log_levels;   /* SPAREKEY_LOG_LEVEL */
    struct secret *alert_webhook;   /* SPAREKEY_ALERT_WEBHOOK or NULL: the whole URL */
    struct service_url alert_host;  /* its scheme, host and port; `text` is for display */
    char *state_file;               /* SPAREKEY_STATE_FILE; NULL = none */
    uint32_t history_days;          /* SPAREKEY_HISTORY_DAYS, 0 = no history */
    char *text_model, *image_model; /* SPAREKEY_TEXT_MODEL, SPAREKEY_IMAGE_MODEL */

    char *last_resort;      /* SPAREKEY_LAST_RESORT as named, or NULL; of these two … */
    char *last_resort_text; /* … what its file says; NULL when it is none */
    struct service_url last_resort_url; /* … the server; host NULL when it is none */
    struct service_url otlp_endpoint;   /* OTEL_EXPORTER_OTLP_ENDPOINT; text NULL = no traces */
    struct secret *otlp_headers;        /* OTEL_EXPORTER_OTLP_HEADERS; NULL = none */
    char *service_name;                 /* OTEL_SERVICE_NAME */

    /* The files as named; NULL when not. What they hold is in the fields above. */
    char *keys_file, *client_tokens_file, *config_file, *env_file;
};

/* Where to look. Tests point these at their own places. */
struct settings_sources {
    char **
        arguments; /* options of the command line after the subcommand, NULL-terminated; may be NULL */
    char **environment;    /* NULL-terminated, as environ; may be NULL */
    const char *directory; /* of .env.local, .env and sparekey.yaml, and what relative paths are
                               relative to; NULL = none of them */
    bool
        base_url; /* OPENAI_BASE_URL is heard as SPAREKEY_UPSTREAM_URL, where that is not said: of the
                      library, which is an OpenAI client; to the gateway it is its own address */
    const struct settings *previous; /* on a reload: the settings before. A secret variable that
                                        settings_wipe_environment has emptied since keeps the value
                                        it had. NULL on the first load */
    bool keep_faulty;                /* what was read is handed over despite errors: to look at */
};

/* What went wrong or was odd, one line each, ready to print: "sparekey.yaml:7: SPAREKEY_WORKERS:
 * expected a whole number from 0 to 256, got \"many\"". */
struct settings_report {
    struct buffer errors;   /* any: the load has failed */
    struct buffer warnings; /* duplicates dropped, unknown names with the nearest match */
};
void settings_report_clear(struct settings_report *report);

/* Reads everything; secrets go into `vault` and the buffers they passed through are wiped.
 * STATUS_OK: `*ret` is a new reference. STATUS_INVALID: `report->errors` says why, all of it at
 * once; with `keep_faulty` `*ret` is a reference all the same, unless the sources themselves could not
 * be read: what is wrong in it is missing or a default. STATUS_NO_MEMORY. No key at all is not an error here: serve says it in its own words.
 * One load of a vault at a time.
 * `ret_rest`, when not NULL, receives the first argument that is not an option (for exec's
 * command): a pointer into sources->arguments, or NULL. */
NODISCARD
enum status settings_load(const struct settings_sources *sources, struct vault *vault,
                          struct settings_report *report, char ***ret_rest,
                          struct settings **ret_settings);

struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings); /* NULL is allowed */

/* Lets go of the keys, which are then none, and of their secrets: for who has handed them on and
 * keeps the rest. No thread may be looking at the keys. */
void settings_drop_keys(struct settings *settings);

/* What follows the host of SPAREKEY_ALERT_WEBHOOK, with its '/': a secret. "/" when it is nothing;
 * needs `alert_webhook`. */
struct slice settings_alert_target(const struct settings *settings);

/* Whether connections to the service go through the proxy of HTTPS_PROXY: it is https and NO_PROXY
 * does not name it. */
bool settings_proxied(const struct settings *settings, const struct service_url *url);

/* "user:password" of the proxy, percent-decoded and terminated, to be wiped after use; returns its
 * length, 0 when there is none. */
#define PROXY_LOGIN_MAX_BYTES 512
size_t settings_proxy_login(const struct settings *settings, char out[PROXY_LOGIN_MAX_BYTES + 1]);

/* Overwrites the values of key and token variables in an environment block, so that neither
 * /proc/PID/environ nor a core holds them; names stay. With the variables that `settings` (may be
 * NULL) took by `key_env`. */
void settings_wipe_environment(const struct settings *settings, char **environment);

/* "https://127.0.0.1:7539": how a gateway that listens as these settings say, at `port`, is reached
 * from this machine; cut to fit. An address for all is reached by loopback. */
#define LISTEN_URL_MAX 128
void settings_listen_url(const struct settings *settings, uint16_t port, char out[LISTEN_URL_MAX]);

/* "address is public and no client tokens are set …": whether these settings may serve at all.
 * Returns false with the reason in `out`. */
bool settings_servable(const struct settings *settings, struct buffer *out);

/* Appends the names of options, separated by ", ", that differ between the two and that SIGHUP does
 * not change in a running gateway. STATUS_NO_MEMORY. */
NODISCARD
enum status settings_fixed_changes(const struct settings *running, const struct settings *next,
                                   struct buffer *out);

/* The text of `sparekey config`: every option, its effective value (secrets masked), where it came
 * from; then every key masked. And of the options part of --help. */
NODISCARD
enum status settings_describe(const struct settings *settings, struct buffer *out);
NODISCARD
enum status settings_help(struct buffer *out);

/* A sample file with every option at its default, each commented out. */
enum sample_form { SAMPLE_ENV, SAMPLE_YAML };
NODISCARD
enum status settings_sample(enum sample_form form, struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
