/* One load in progress, shared by the files that take part in it. Private to this directory.
 *
 *     arguments ─┐
 *     environment ├─▶ entries (name, value, origin) ─▶ load.c:  options   ─▶ struct settings
 *     .env files ─┤                                   keys.c:  keys      ─▶
 *     YAML ───────┘   and yaml_keys                   secrets.c: tokens  ─▶
 *
 * Sources only collect; nothing is judged before all have spoken, so that a bad value which a
 * stronger source overrides stops nobody. Every raw value, secrets among them, lies in the
 * environment, the arguments or the scratch arena, and the arena is overwritten at the end.
 */
#ifndef SPAREKEY_SETTINGS_LOADING_H
#define SPAREKEY_SETTINGS_LOADING_H

#include <stdatomic.h>

#include "settings/arena.h"
#include "settings/options.h"
#include "settings/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A secret that came by an environment variable, for the reload after the variable was wiped. */
struct environment_secret {
    char *name;
    struct secret *secret; /* one reference */
};

/* What settings_load makes; the public part comes first. */
struct loaded {
    struct settings settings;
    atomic_uint references;
    struct arena strings; /* all strings and small arrays of the settings */
    struct origin origins[OPTION_IDS];
    struct environment_secret *environment_secrets;
    size_t environment_secret_count, environment_secret_capacity;
    size_t key_capacity, client_token_capacity;
};

static inline struct loaded *loaded_of(struct settings *settings)
{
    return (struct loaded *)(void *)settings;
}

struct entry {
    struct slice name, value;
    struct origin origin;
};

/* Fields of an entry under `keys:`. id, name */
#define YAML_KEY_FIELDS(X)                                                                         \
    X(KEY, "key")                                                                                  \
    X(KEY_ENV, "key_env")                                                                          \
    X(NAME, "name")                                                                                \
    X(BASE_URL, "base_url")                                                                        \
    X(ORGANIZATION, "organization")                                                                \
    X(PROJECT, "project")                                                                          \
    X(WEIGHT, "weight")                                                                            \
    X(MODELS, "models")                                                                            \
    X(MAX_IN_FLIGHT, "max_in_flight")                                                              \
    X(AUTH_HEADER, "auth_header")

enum yaml_key_field {
#define X(id, name) YAML_KEY_##id,
    YAML_KEY_FIELDS(X)
#undef X
        YAML_KEY_FIELD_COUNT,
};

struct yaml_key {
    struct origin origin;
    struct entry fields[YAML_KEY_FIELD_COUNT]; /* name.len 0: not given; lists joined by commas */
};

struct loading {
    const struct settings_sources *sources;
    struct vault *vault;
    struct reporter reporter;
    struct arena scratch;
    struct entry *entries; /* of one rank, the later wins */
    size_t entry_count, entry_capacity;
    struct yaml_key *yaml_keys;
    size_t yaml_key_count, yaml_key_capacity;
    struct loaded *loaded;
};

/* Grows `*array` of objects of `size` bytes to hold one more than `count`. */
NODISCARD
enum status array_grow(void *array, size_t *capacity, size_t count, size_t size);

NODISCARD
enum status loading_add(struct loading *l, struct slice name, struct slice value,
                        const struct origin *origin);

/* The strongest entry of this name with a value; from the command line also without. Or NULL. */
const struct entry *loading_find(const struct loading *l, struct slice name);

/* `path` as given, or under the sources' directory when it is relative; in the scratch arena. */
char *loading_path(struct loading *l, struct slice path);

/* Opens a file for reading; /dev/null is an empty one. What is no file at all would block the start
 * (a FIFO) or never end (a device). -1 with the reason in words, and errno ENOENT only where there is
 * nothing of this name. */
int loading_open(const char *path, uint64_t max_bytes, const char **ret_why);

/* Reads a whole file, relative to the sources' directory. One that is not there is an error only
 * where an option named it (`by` not NULL); errors are reported. STATUS_NO_MEMORY. */
NODISCARD
enum status loading_read(struct loading *l, const char *name, const struct entry *by,
                         struct buffer *out, bool *ret_found);

/* Takes `value` into the vault, and notes it when it came by the environment. */
NODISCARD
enum status loading_put_secret(struct loading *l, const struct entry *entry, struct slice value,
                               struct secret **ret_secret);

/* What makes `value` unfit as a key or token, or NULL. Never quotes it. */
const char *secret_problem(struct slice value);

/* ---- sources ---------------------------------------------------------------------------------- */

/* Reads options into entries; stops at "--" or the first other argument, which goes to
 * `*ret_rest`; with `ret_rest` NULL it is an error. */
NODISCARD
enum status arguments_read(struct loading *l, char **arguments, char ***ret_rest);

/* Reads the text of a YAML file into entries and yaml_keys. */
NODISCARD
enum status yaml_read(struct loading *l, struct slice text, const char *file);

/* ---- results ---------------------------------------------------------------------------------- */

NODISCARD
enum status keys_collect(struct loading *l);
NODISCARD
enum status tokens_collect(struct loading *l);
/* After the options are set: reads the file of SPAREKEY_LAST_RESORT, or its URL. */
NODISCARD
enum status last_resort_collect(struct loading *l);

NODISCARD
enum status webhook_collect(struct loading *l);
NODISCARD
enum status proxy_collect(struct loading *l);

/* A line of a file of secrets, neither blank nor a comment, trimmed. */
struct secret_line {
    unsigned number;
    struct slice text;
};

/* Calls `take` with the lines of the file, up to LINES_AT_ONCE of them together; they are wiped
 * afterwards. A file that cannot be read is reported under `option`. */
#define LINES_AT_ONCE VAULT_AT_ONCE
typedef enum status lines_taker(struct loading *l, const struct entry *option,
                                const struct secret_line *lines, size_t count, void *context);
NODISCARD
enum status secret_lines(struct loading *l, const struct entry *option, lines_taker *take,
                         void *context);

#ifdef __cplusplus
}
#endif
#endif
