/* settings_load: asks the sources in turn, then judges what they said. */
#include "settings/loading.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "settings/dotenv.h"
#include "settings/value.h"

enum {
    FILE_MAX_BYTES = 64 << 20, /* of .env and YAML files: a quarter of a million keys */
    NAME_SHOWN_MAX = 32,       /* a longer word in the place of a name may be a key */
};

static const char yaml_name[] = "sparekey.yaml";

/* ---- helpers shared through loading.h --------------------------------------------------------- */

enum status array_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    void *old, *grown;

    if (count < *capacity)
        return STATUS_OK;
    size_t more = *capacity ? *capacity * 2 : 16;
    if (more > SIZE_MAX / size)
        return STATUS_NO_MEMORY;
    memcpy(&old, array, sizeof old); /* `array` points to a pointer of any type */
    grown = realloc(old, more * size);
    if (!grown)
        return STATUS_NO_MEMORY;
    memcpy(array, &grown, sizeof grown);
    *capacity = more;
    return STATUS_OK;
}

enum status loading_add(struct loading *l, struct slice name, struct slice value,
                        const struct origin *origin)
{
    struct entry entry = {
        slice_of(arena_copy(&l->scratch, name), name.len),
        slice_of(arena_copy(&l->scratch, value), value.len),
        *origin,
    };

    if (!entry.name.ptr || !entry.value.ptr)
        return STATUS_NO_MEMORY;
    enum status status =
        array_grow(&l->entries, &l->entry_capacity, l->entry_count, sizeof *l->entries);
    if (status == STATUS_OK)
        l->entries[l->entry_count++] = entry;
    return status;
}

/* The stronger of two: by rank, and of one rank the later. */
static bool beats(const struct entry *challenger, const struct entry *best)
{
    bool counts = challenger->value.len || challenger->origin.rank == ORIGIN_ARGUMENTS;

    return counts && (!best || challenger->origin.rank >= best->origin.rank);
}

const struct entry *loading_find(const struct loading *l, struct slice name)
{
    const struct entry *best = NULL;

    for (size_t i = 0; i < l->entry_count; i++) {
        if (slice_eq(l->entries[i].name, name) && beats(&l->entries[i], best))
            best = &l->entries[i];
    }
    return best;
}

char *loading_path(struct loading *l, struct slice path)
{
    const char *directory = l->sources->directory;

    if ((path.len && path.ptr[0] == '/') || !directory)
        return arena_copy(&l->scratch, path);
    return arena_printf(&l->scratch, "%s/%.*s", directory,
                        (int)(path.len < PATH_MAX ? path.len : PATH_MAX), path.ptr);
}

static bool is_noted(const struct loaded *loaded, struct slice name, const struct secret *secret)
{
    for (size_t i = 0; i < loaded->environment_secret_count; i++) {
        const struct environment_secret *note = &loaded->environment_secrets[i];
        if (note->secret == secret && slice_eq(slice_str(note->name), name))
            return true;
    }
    return false;
}

static enum status note_environment_secret(struct loaded *loaded, struct slice name,
                                           struct secret *secret)
{
    if (is_noted(loaded, name, secret)) /* two YAML keys may name one variable */
        return STATUS_OK;
    struct environment_secret note = {arena_copy(&loaded->strings, name), NULL};

    if (!note.name)
        return STATUS_NO_MEMORY;
    enum status status =
        array_grow(&loaded->environment_secrets, &loaded->environment_secret_capacity,
                   loaded->environment_secret_count, sizeof note);
    if (status != STATUS_OK)
        return status;
    note.secret = secret_ref(secret);
    loaded->environment_secrets[loaded->environment_secret_count++] = note;
    return STATUS_OK;
}

/* Whether a variable of this name holds secrets, and not the name of a file of them. */
static bool is_secret_name(struct slice name)
{
    int id = option_find(name, false);

    return id < 0 || (option_table[id].flags & SECRET);
}

enum status loading_put_secret(struct loading *l, const struct entry *entry, struct slice value,
                               struct secret **ret_secret)
{
    struct secret *secret;

    enum status status = vault_put(l->vault, value, &secret);
    if (status != STATUS_OK)
        return status;
    if (entry->origin.rank == ORIGIN_ENVIRONMENT && is_secret_name(entry->name))
        status = note_environment_secret(l->loaded, entry->name, secret);
    if (status == STATUS_OK)
        *ret_secret = secret;
    else
        secret_unref(secret);
    return status;
}

/* ---- the environment -------------------------------------------------------------------------- */

/* A variable of ours that was wiped after an earlier load keeps what it held: its secrets, joined
 * as a list is. */
static enum status recall(struct loading *l, struct slice name, struct slice *ret_value)
{
    const struct loaded *before = (const struct loaded *)(const void *)l->sources->previous;
    struct buffer joined = {0};
    enum status status = STATUS_OK;

    for (size_t i = 0; before && i < before->environment_secret_count; i++) {
        if (!slice_eq(slice_str(before->environment_secrets[i].name), name))
            continue;
        if (joined.len)
            status = buffer_append(&joined, SLICE(","), FILE_MAX_BYTES);
        if (status == STATUS_OK)
            status = buffer_append(&joined, secret_bytes(before->environment_secrets[i].secret),
                                   FILE_MAX_BYTES);
        if (status != STATUS_OK)
            break;
    }
    *ret_value = slice_of(arena_copy(&l->scratch, buffer_slice(&joined)), joined.len);
    buffer_wipe(&joined);
    return ret_value->ptr ? status : STATUS_NO_MEMORY;
}

static enum status read_environment(struct loading *l)
{
    static const struct origin origin = {ORIGIN_ENVIRONMENT, 0, NULL};
    char **variables = l->sources->environment;
    size_t count = 0;

    while (variables && variables[count])
        count++;
    /* Backwards: of a name that stands there twice, getenv finds the first. */
    while (count-- > 0) {
        const char *equals = strchr(variables[count], '=');
        if (!equals)
            continue;
        struct slice variable = slice_of(variables[count], (size_t)(equals - variables[count]));
        struct slice name = option_name_of_variable(variable);
        struct slice value = slice_str(equals + 1);
        enum status status = value.len ? STATUS_OK : recall(l, name, &value);
        if (status == STATUS_OK)
            status = loading_add(l, name, value, &origin);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- files ------------------------------------------------------------------------------------ */

/* The reason why this is nothing to read, or NULL. */
static const char *unreadable(int fd, uint64_t max_bytes)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0)
        return strerror(errno);
    if (S_ISDIR(facts.st_mode))
        return strerror(EISDIR);
    if (S_ISCHR(facts.st_mode) && facts.st_rdev == makedev(1, 3)) /* /dev/null */
        return NULL;
    if (!S_ISREG(facts.st_mode))
        return "it is not a regular file";
    return (uint64_t)facts.st_size > max_bytes ? "it is larger than any list of keys" : NULL;
}

int loading_open(const char *path, uint64_t max_bytes, const char **ret_why)
{
    /* Opening a FIFO waits for its writer unless told not to; files do not mind. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *ret_why = fd < 0 ? strerror(errno) : unreadable(fd, max_bytes);
    if (fd >= 0 && *ret_why) {
        (void)close(fd);
        errno = EINVAL; /* what is there is no file: never the ENOENT of an earlier call */
        return -1;
    }
    return fd;
}

static enum status read_all(int fd, struct buffer *out)
{
    enum { STEP = 65536 };

    for (;;) {
        enum status status = buffer_reserve(out, STEP, FILE_MAX_BYTES);
        if (status != STATUS_OK)
            return status;
        ssize_t count = read(fd, out->data + out->len, STEP);
        if (count == 0)
            return STATUS_OK;
        if (count > 0)
            out->len += (size_t)count;
        else if (errno != EINTR)
            return STATUS_IO;
    }
}

/* `*ret_found` is false when there is no such file, or it cannot be read (reported unless it may
 * be missing and is). `by` is the setting that named the file, or NULL. */
enum status loading_read(struct loading *l, const char *name, const struct entry *by,
                         struct buffer *out, bool *ret_found)
{
    struct origin origin = {ORIGIN_DEFAULT, 0, name};
    char *path = loading_path(l, slice_str(name));

    if (!path)
        return STATUS_NO_MEMORY;
    const char *why;
    int fd = loading_open(path, UINT64_MAX, &why);
    if (fd < 0 && errno == ENOENT && !by)
        return STATUS_OK;
    enum status status = fd < 0 ? STATUS_IO : read_all(fd, out);
    if (fd >= 0 && status == STATUS_IO)
        why = strerror(errno);
    if (fd >= 0)
        (void)close(fd);
    if (status == STATUS_NO_MEMORY)
        return status;
    *ret_found = status == STATUS_OK;
    if (status != STATUS_OK)
        report_error(&l->reporter, &origin, NULL, "cannot be read: %s",
                     status == STATUS_LIMIT ? "larger than 64 MiB" : why);
    return STATUS_OK;
}

/* The file's name for messages and origins, kept as long as the settings. */
static const char *keep_name(struct loading *l, struct slice name)
{
    return arena_copy(&l->loaded->strings, name);
}

static bool is_ours(struct slice name)
{
    return slice_starts(name, SLICE("SPAREKEY_")) || slice_starts(name, SLICE("OPENAI_"));
}

/* As shells spell the name of a variable. */
static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && c != '_' && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return text.len > 0 && text.len < NAME_SHOWN_MAX;
}

/* .env files belong to the application too: a line that we cannot read is an error only when it
 * is about us. */
static enum status add_dotenv_line(struct loading *l, const struct dotenv_line *line,
                                   struct origin origin)
{
    const char *name = line->name.len ? arena_copy(&l->scratch, line->name) : NULL;

    origin.line = line->line;
    if (line->name.len && !name)
        return STATUS_NO_MEMORY;
    if (!line->problem)
        return loading_add(l, line->name, line->value, &origin);
    if (is_ours(line->name))
        report_error(&l->reporter, &origin, name, "%s", line->problem);
    else /* a key on a line of its own stands where a name should */
        report_warning(&l->reporter, &origin, is_name(line->name) ? name : NULL,
                       "line not used: %s", line->problem);
    return STATUS_OK;
}

static enum status read_dotenv(struct loading *l, struct slice name, enum origin_rank rank,
                               const struct entry *by)
{
    struct buffer text = {0};
    struct dotenv dotenv;
    struct dotenv_line line;
    bool found = false, no_memory = false;
    struct origin origin = {rank, 0, keep_name(l, name)};

    enum status status =
        origin.file ? loading_read(l, origin.file, by, &text, &found) : STATUS_NO_MEMORY;
    if (status == STATUS_OK && found) {
        dotenv_init(&dotenv, buffer_slice(&text), &l->scratch);
        while (status == STATUS_OK && dotenv_next(&dotenv, &line, &no_memory))
            status = add_dotenv_line(l, &line, origin);
    }
    buffer_wipe(&text);
    return no_memory ? STATUS_NO_MEMORY : status;
}

static enum status read_dotenv_files(struct loading *l)
{
    const struct entry *named = loading_find(l, SLICE("SPAREKEY_ENV_FILE"));

    if (named && named->value.len)
        return read_dotenv(l, named->value, ORIGIN_DOTENV_LOCAL, named);
    if (!l->sources->directory)
        return STATUS_OK;
    enum status status = read_dotenv(l, SLICE(".env"), ORIGIN_DOTENV, NULL);
    if (status == STATUS_OK)
        status = read_dotenv(l, SLICE(".env.local"), ORIGIN_DOTENV_LOCAL, NULL);
    return status;
}

static enum status read_yaml(struct loading *l)
{
    const struct entry *named = loading_find(l, SLICE("SPAREKEY_CONFIG"));
    bool by_name = named && named->value.len, found = false;
    struct buffer text = {0};

    if (!by_name && !l->sources->directory)
        return STATUS_OK;
    const char *file = keep_name(l, by_name ? named->value : slice_str(yaml_name));
    enum status status =
        file ? loading_read(l, file, by_name ? named : NULL, &text, &found) : STATUS_NO_MEMORY;
    if (status == STATUS_OK && found)
        status = yaml_read(l, buffer_slice(&text), file);
    buffer_wipe(&text);
    return status;
}

/* ---- judging ---------------------------------------------------------------------------------- */

/* What was said of an option, NULL: nothing. */
static const struct entry *entry_of(const struct loading *l, enum option_id id)
{
    const struct entry *entry = loading_find(l, slice_str(option_table[id].name));

    if (entry || id != OPTION_UPSTREAM_URL || !l->sources->base_url)
        return entry;
    entry = loading_find(l, SLICE("OPENAI_BASE_URL"));
    return entry && entry->value.len ? entry : NULL; /* SDKs take an empty one for none */
}

static enum status set_option(struct loading *l, enum option_id id)
{
    const struct option *option = &option_table[id];
    struct loaded *loaded = l->loaded;
    const struct entry *entry = entry_of(l, id);
    char expected[EXPECTED_MAX], quoted[REPORT_QUOTE_MAX];

    if (!entry)
        return STATUS_OK;
    enum status status = value_parse(option, slice_trim(entry->value), &loaded->strings,
                                     &loaded->settings, expected);
    if (status == STATUS_INVALID) {
        report_error(&l->reporter, &entry->origin, entry->name.ptr, "expected %s, got %s", expected,
                     report_quote(entry->value, false, quoted));
        return STATUS_OK;
    }
    loaded->origins[id] = entry->origin;
    return status;
}

static enum status set_default(struct loaded *loaded, enum option_id id)
{
    const struct option *option = &option_table[id];
    char expected[EXPECTED_MAX];

    if (!option->standard)
        return STATUS_OK;
    return value_parse(option, slice_str(option->standard), &loaded->strings, &loaded->settings,
                       expected);
}

static enum status set_options(struct loading *l)
{
    enum status status = STATUS_OK;

    for (enum option_id id = 0; id < OPTION_IDS && status == STATUS_OK; id++) {
        if (option_table[id].flags & SECRET)
            continue;
        status = set_default(l->loaded, id);
        if (status == STATUS_OK)
            status = set_option(l, id);
    }
    return status;
}

/* Prefixes under which an unknown name can only be a misspelling of one of ours. The rest of
 * OPENAI_* belongs to the SDKs. */
static bool is_watched(struct slice name)
{
    static const struct slice prefixes[] = {
        {"SPAREKEY_", 9}, {"OPENAI_FALLBACK_", 16}, {"OPENAI_KEY_", 11}, {"OPENAI_API_KEY_", 15}};

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (slice_starts(name, prefixes[i]))
            return true;
    }
    return false;
}

static bool is_named_by_key_env(const struct loading *l, struct slice name)
{
    for (size_t i = 0; i < l->yaml_key_count; i++) {
        if (slice_eq(l->yaml_keys[i].fields[YAML_KEY_KEY_ENV].value, name))
            return true;
    }
    return false;
}

static void warn_unknown_names(struct loading *l)
{
    for (size_t i = 0; i < l->entry_count; i++) {
        const struct entry *entry = &l->entries[i];
        if (!is_watched(entry->name) || option_find(entry->name, false) >= 0 ||
            is_named_by_key_env(l, entry->name))
            continue;
        const char *meant = option_near(entry->name);
        report_warning(&l->reporter, &entry->origin, entry->name.ptr, "unknown name%s%s%s",
                       meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
    }
}

/* ---- settings_load ---------------------------------------------------------------------------- */

static enum status read_sources(struct loading *l, char ***ret_rest)
{
    enum status status = STATUS_OK;

    if (ret_rest)
        *ret_rest = NULL;
    if (l->sources->arguments)
        status = arguments_read(l, l->sources->arguments, ret_rest);
    if (status == STATUS_OK)
        status = read_environment(l);
    if (status == STATUS_OK)
        status = read_dotenv_files(l);
    if (status == STATUS_OK)
        status = read_yaml(l);
    return status;
}

/* Whether the file is there; what is in it, net/tls.c reads. Said here, it is said with the place
 * where the file was named. */
static enum status check_ca_file(struct loading *l)
{
    const struct entry *entry = loading_find(l, SLICE("SPAREKEY_CA_FILE"));
    char quoted[REPORT_QUOTE_MAX];
    const char *why;

    if (!l->loaded->settings.ca_file)
        return STATUS_OK;
    char *path = loading_path(l, slice_trim(entry->value));
    if (!path)
        return STATUS_NO_MEMORY;
    int fd = loading_open(path, UINT64_MAX, &why);
    if (fd >= 0)
        (void)close(fd);
    else
        report_error(&l->reporter, &entry->origin, entry->name.ptr, "cannot read %s: %s",
                     report_quote(entry->value, false, quoted), why);
    return STATUS_OK;
}

static void check_listener_tls(struct loading *l)
{
    const struct settings *settings = &l->loaded->settings;
    enum option_id given = settings->tls_cert ? OPTION_TLS_CERT : OPTION_TLS_KEY;
    enum option_id missing = settings->tls_cert ? OPTION_TLS_KEY : OPTION_TLS_CERT;

    if (!settings->tls_cert != !settings->tls_key)
        report_error(&l->reporter, &l->loaded->origins[given], option_table[given].name,
                     "needs %s as well", option_table[missing].name);
}

static enum status judge(struct loading *l)
{
    warn_unknown_names(l);
    enum status status = set_options(l);
    if (status == STATUS_OK)
        check_listener_tls(l);
    if (status == STATUS_OK)
        status = check_ca_file(l);
    if (status == STATUS_OK)
        status = tokens_collect(l);
    if (status == STATUS_OK)
        status = last_resort_collect(l);
    if (status == STATUS_OK)
        status = keys_collect(l);
    return status;
}

enum status settings_load(const struct settings_sources *sources, struct vault *vault,
                          struct settings_report *report, char ***ret_rest,
                          struct settings **ret_settings)
{
    struct loading l = {.sources = sources, .vault = vault, .reporter = {.report = report}};

    l.loaded = calloc(1, sizeof *l.loaded);
    if (!l.loaded)
        return STATUS_NO_MEMORY;
    atomic_init(&l.loaded->references, 1);
    enum status status = read_sources(&l, ret_rest);
    if (status == STATUS_OK)
        status = judge(&l);
    report_finish(&l.reporter);
    bool kept = status == STATUS_OK && (!l.reporter.errors || sources->keep_faulty);
    if (status == STATUS_OK && l.reporter.errors)
        status = STATUS_INVALID;
    if (kept)
        *ret_settings = &l.loaded->settings;
    else
        settings_unref(&l.loaded->settings);
    free(l.entries);
    free(l.yaml_keys);
    arena_clear(&l.scratch);
    return status;
}
