/* The keys: from variables, from `keys:` of the YAML file, from the keys file, in this order.
 *
 * A key is its secret and its service: the same secret at two base URLs is two keys, the same
 * secret twice at one is a mistake that would make one limit look like two, so the second is
 * dropped with a warning. The vault gives equal secrets one address, so equality is a comparison
 * of pointers; and beside each secret it keeps a note, which here is the number of the last key
 * that has it. A note may be left from an earlier load: the key of that number tells, as it has
 * another secret then. So finding a double takes a look at what was just read anyway.
 *
 * A YAML entry whose key_env names a variable that is a key already adds its attributes to that
 * key instead of being its duplicate.
 */
#include "settings/loading.h"

#include <stdlib.h>

#include "base/number.h"
#include "settings/address.h"

enum {
    WEIGHT_MAX = 1000000,
    IN_FLIGHT_MAX = 1000000,
};

/* One collection in progress. */
struct collection {
    struct loading *l;
    struct settings *settings;
    uint32_t *same; /* of each key: the number of the one before it with its secret, 0 = none */
    size_t same_capacity;
    struct key_traits *file; /* of the keys file's keys */
    /* Those besides the default upstream, the one asked for last in front: neighbours mostly share
     * theirs. */
    struct service_url *services[SETTINGS_SERVICES_MAX];
    size_t service_count;
};

/* ---- the set of keys seen --------------------------------------------------------------------- */

static bool same_service(const struct service_url *a, const struct service_url *b)
{
    return a == b || (a && b && strcmp(a->text, b->text) == 0);
}

/* The number (from 1) of the last key that has this secret, 0 = none. */
static uint32_t last_with(const struct collection *c, struct secret *secret)
{
    uint32_t number = *secret_note(secret);
    bool ours = number && number <= c->settings->key_count &&
                c->settings->keys[number - 1].secret == secret;

    return ours ? number : 0;
}

static const struct key_setting *find_same(const struct collection *c,
                                           const struct key_setting *key)
{
    for (uint32_t n = last_with(c, key->secret); n; n = c->same[n - 1]) {
        const struct key_setting *other = &c->settings->keys[n - 1];
        if (same_service(other->traits->service, key->traits->service))
            return other;
    }
    return NULL;
}

static enum status append(struct collection *c, const struct key_setting *key)
{
    struct settings *settings = c->settings;
    size_t count = settings->key_count;

    if (count >= KEY_NONE - 1)
        return STATUS_LIMIT;
    enum status status = array_grow(&c->same, &c->same_capacity, count, sizeof *c->same);
    if (status == STATUS_OK)
        status = array_grow(&settings->keys, &c->l->loaded->key_capacity, count, sizeof *key);
    if (status != STATUS_OK)
        return status;
    c->same[count] = last_with(c, key->secret);
    settings->keys[count] = *key;
    *secret_note(key->secret) = (uint32_t)++settings->key_count;
    return STATUS_OK;
}

static void warn_duplicate(struct collection *c, const struct origin *origin,
                           const struct key_setting *key, const struct key_setting *first)
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX], first_name[KEY_NAME_MAX];

    secret_mask(secret_bytes(key->secret), mask);
    report_warning(&c->l->reporter, origin, key_name_text(key->traits->name, key->line, name),
                   "the same key as %s (%s); dropped",
                   key_name_text(first->traits->name, first->line, first_name), mask);
}

/* Takes over the reference to the secret, also on failure. */
static enum status add_key(struct collection *c, const struct origin *origin,
                           const struct key_setting *key)
{
    const struct key_setting *first = find_same(c, key);

    if (first)
        warn_duplicate(c, origin, key, first);
    enum status status = first ? STATUS_OK : append(c, key);
    if (first || status != STATUS_OK)
        secret_unref(key->secret);
    return status;
}

/* ---- one secret ------------------------------------------------------------------------------- */

static struct slice trim_all(struct slice s)
{
    while (s.len && strchr(" \t\r\n", s.ptr[0]) && s.ptr[0])
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len && strchr(" \t\r\n", s.ptr[s.len - 1]) && s.ptr[s.len - 1])
        s.len--;
    return s;
}

/* The value without spaces around; false (and reported) when it is no key to be used. */
static bool usable(struct collection *c, const struct origin *origin, const char *name,
                   struct slice *value)
{
    struct slice plain = trim_all(*value);
    const char *problem = secret_problem(plain);

    if (problem) {
        report_error(&c->l->reporter, origin, name,
                     "expected an API key of at most %d visible ASCII characters: %s",
                     SECRET_MAX_BYTES, problem);
        return false;
    }
    if (plain.len == 0)
        return false;
    if (plain.len != value->len)
        report_warning(&c->l->reporter, origin, name, "spaces around the key were left out");
    if (slice_starts(plain, SLICE("sk-admin-"))) {
        report_warning(&c->l->reporter, origin, name,
                       "an admin key cannot serve requests; dropped");
        return false;
    }
    *value = plain;
    return true;
}

static char *source_text(struct collection *c, const struct origin *origin)
{
    char text[ORIGIN_TEXT_MAX];

    return arena_copy(&c->l->loaded->strings, slice_str(origin_text(origin, text)));
}

/* What a key is before anything is said about it. */
static struct key_traits *new_traits(struct collection *c)
{
    struct key_traits *traits = arena_alloc(&c->l->loaded->strings, sizeof *traits);

    if (traits)
        *traits = (struct key_traits){.weight = 1};
    return traits;
}

/* ---- variables -------------------------------------------------------------------------------- */

struct numbered {
    uint64_t number; /* 0 = the primary */
    size_t order;    /* among the entries: of one rank, the later is the stronger */
    const struct entry *entry;
};

static int compare_numbered(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;

    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    if (a->entry->name.len != b->entry->name.len) /* _1 before _01 */
        return a->entry->name.len < b->entry->name.len ? -1 : 1;
    if (a->entry->origin.rank != b->entry->origin.rank)
        return a->entry->origin.rank > b->entry->origin.rank ? -1 : 1;
    return a->order > b->order ? -1 : a->order < b->order;
}

static bool read_suffix(struct collection *c, const struct entry *entry, uint64_t *ret_number)
{
    struct slice suffix = slice_from(entry->name, sizeof "OPENAI_API_KEY_FALLBACK_" - 1);

    if (number_parse(suffix, UINT64_MAX - 2, ret_number) != STATUS_OK) {
        report_warning(&c->l->reporter, &entry->origin, entry->name.ptr,
                       "not used: the name must end in a number, as OPENAI_API_KEY_FALLBACK_1");
        return false;
    }
    if (suffix.ptr[0] == '0')
        report_warning(&c->l->reporter, &entry->origin, entry->name.ptr,
                       "counting begins at 1 and has no leading zeros; used as number %s",
                       *ret_number ? suffix.ptr + strspn(suffix.ptr, "0") : "0");
    ++*ret_number; /* behind the primary */
    return true;
}

static enum status add_variable(struct collection *c, const struct entry *entry)
{
    struct slice value = entry->value;

    if (!usable(c, &entry->origin, entry->name.ptr, &value))
        return STATUS_OK;
    struct key_setting key = {.traits = new_traits(c)};
    if (!key.traits)
        return STATUS_NO_MEMORY;
    key.traits->name = arena_copy(&c->l->loaded->strings, entry->name);
    key.traits->source = source_text(c, &entry->origin);
    if (!key.traits->name || !key.traits->source)
        return STATUS_NO_MEMORY;
    struct origin *origin = &c->l->loaded->origins[option_find(entry->name, false)];
    if (origin->rank == ORIGIN_DEFAULT) /* of the series, its first member's */
        *origin = entry->origin;
    enum status status = loading_put_secret(c->l, entry, value, &key.secret);
    return status == STATUS_OK ? add_key(c, &entry->origin, &key) : status;
}

static size_t find_variables(struct collection *c, struct numbered *out)
{
    size_t count = 0;

    for (size_t i = 0; i < c->l->entry_count; i++) {
        const struct entry *entry = &c->l->entries[i];
        struct numbered item = {0, i, entry};
        int id = option_find(entry->name, false);
        if (entry->value.len == 0 || (id != OPTION_PRIMARY_KEY && id != OPTION_FALLBACK_KEY))
            continue;
        if (id == OPTION_FALLBACK_KEY && !read_suffix(c, entry, &item.number))
            continue;
        out[count++] = item;
    }
    return count;
}

static enum status collect_variables(struct collection *c)
{
    struct numbered *found = malloc((c->l->entry_count + 1) * sizeof *found);
    enum status status = STATUS_OK;

    if (!found)
        return STATUS_NO_MEMORY;
    size_t count = find_variables(c, found);
    qsort(found, count, sizeof *found, compare_numbered);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (i > 0 && slice_eq(found[i].entry->name, found[i - 1].entry->name))
            continue; /* the same name from a weaker source */
        status = add_variable(c, found[i].entry);
    }
    free(found);
    return status;
}

/* ---- keys of the YAML file -------------------------------------------------------------------- */

static const struct entry *field_of(const struct yaml_key *from, enum yaml_key_field field)
{
    return from->fields[field].value.len ? &from->fields[field] : NULL;
}

static enum status read_string(struct collection *c, const struct entry *field, char **ret)
{
    if (!field)
        return STATUS_OK;
    *ret = arena_copy(&c->l->loaded->strings, field->value);
    return *ret ? STATUS_OK : STATUS_NO_MEMORY;
}

/* What becomes the value of a header field: a line end in it would begin another one. */
static enum status read_header_value(struct collection *c, const struct entry *field, char **ret)
{
    char quoted[REPORT_QUOTE_MAX];

    for (size_t i = 0; field && i < field->value.len; i++) {
        if (field->value.ptr[i] > ' ' && field->value.ptr[i] < 0x7f)
            continue;
        report_error(&c->l->reporter, &field->origin, field->name.ptr,
                     "expected visible ASCII characters, got %s",
                     report_quote(field->value, false, quoted));
        return STATUS_OK;
    }
    return read_string(c, field, ret);
}

/* What people read must stay on its line; reported when it would not. */
static bool is_line(struct collection *c, const struct entry *field)
{
    char quoted[REPORT_QUOTE_MAX];

    for (size_t i = 0; i < field->value.len; i++) {
        if ((unsigned char)field->value.ptr[i] >= ' ' && field->value.ptr[i] != 0x7f)
            continue;
        report_error(&c->l->reporter, &field->origin, field->name.ptr,
                     "expected a text without control characters, got %s",
                     report_quote(field->value, false, quoted));
        return false;
    }
    return true;
}

static void read_count(struct collection *c, const struct entry *field, uint32_t least,
                       uint32_t most, uint32_t *ret)
{
    char quoted[REPORT_QUOTE_MAX];
    uint64_t number;

    if (!field)
        return;
    if (number_parse(field->value, most, &number) == STATUS_OK && number >= least)
        *ret = (uint32_t)number;
    else
        report_error(&c->l->reporter, &field->origin, field->name.ptr,
                     "expected a whole number from %u to %u, got %s", least, most,
                     report_quote(field->value, false, quoted));
}

static struct service_url *known_service(struct collection *c, const struct service_url *url)
{
    for (size_t i = 0; i < c->service_count; i++) {
        struct service_url *found = c->services[i];
        if (!same_service(found, url))
            continue;
        c->services[i] = c->services[0];
        c->services[0] = found;
        return found;
    }
    return NULL;
}

static enum status add_service(struct collection *c, const struct entry *field,
                               const struct service_url *url, struct service_url **ret)
{
    if (c->service_count == SETTINGS_SERVICES_MAX - 1) { /* the default upstream is one too */
        report_error(&c->l->reporter, &field->origin, field->name.ptr,
                     "more than %d different base URLs, the most that one gateway serves",
                     SETTINGS_SERVICES_MAX);
        return STATUS_OK;
    }
    *ret = arena_alloc(&c->l->loaded->strings, sizeof *url);
    if (!*ret)
        return STATUS_NO_MEMORY;
    **ret = *url;
    c->services[c->service_count++] = *ret;
    return STATUS_OK;
}

static enum status read_service(struct collection *c, const struct entry *field,
                                struct service_url **ret)
{
    char quoted[REPORT_QUOTE_MAX];
    struct service_url url;
    const char *why;

    if (!field)
        return STATUS_OK;
    enum status status = url_parse(field->value, &c->l->loaded->strings, &why, &url);
    if (status == STATUS_INVALID) {
        report_error(&c->l->reporter, &field->origin, field->name.ptr, "expected %s (%s), got %s",
                     URL_EXPECTED, why, report_quote(field->value, false, quoted));
        return STATUS_OK;
    }
    if (status != STATUS_OK || same_service(&url, &c->settings->upstream))
        return status;
    *ret = known_service(c, &url);
    return *ret ? STATUS_OK : add_service(c, field, &url, ret);
}

static size_t count_items(struct slice list)
{
    struct slice item;
    size_t count = 0;

    while (slice_next_item(&list, ',', &item))
        count += item.len != 0;
    return count;
}

static enum status read_models(struct collection *c, const struct entry *field, char ***ret)
{
    struct arena *arena = &c->l->loaded->strings;
    size_t count = field ? count_items(field->value) : 0, at = 0;

    if (count == 0 || !is_line(c, field))
        return STATUS_OK;
    char **models = arena_alloc(arena, (count + 1) * sizeof *models);
    if (!models)
        return STATUS_NO_MEMORY;
    struct slice rest = field->value, item;
    while (slice_next_item(&rest, ',', &item)) {
        if (item.len == 0)
            continue;
        models[at] = arena_copy(arena, item);
        if (!models[at++])
            return STATUS_NO_MEMORY;
    }
    models[at] = NULL;
    *ret = models;
    return STATUS_OK;
}

static enum status read_header(struct collection *c, const struct entry *field, char **ret)
{
    static const char punctuation[] = "!#$%&'*+-.^_`|~"; /* of a token, RFC 9110 §5.6.2 */
    char quoted[REPORT_QUOTE_MAX];

    for (size_t i = 0; field && i < field->value.len; i++) {
        char b = field->value.ptr[i];
        bool alnum = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
        if (alnum || (b && strchr(punctuation, b)))
            continue;
        report_error(&c->l->reporter, &field->origin, field->name.ptr,
                     "expected the name of a header, as api-key, got %s",
                     report_quote(field->value, false, quoted));
        return STATUS_OK;
    }
    return read_string(c, field, ret);
}

/* Where the secret stands: in the entry, or in the variable it names. NULL: reported. */
static const struct entry *secret_of(struct collection *c, const struct yaml_key *from)
{
    const struct entry *key = field_of(from, YAML_KEY_KEY);
    const struct entry *variable = field_of(from, YAML_KEY_KEY_ENV);
    char quoted[REPORT_QUOTE_MAX];

    if (!key == !variable) {
        report_error(&c->l->reporter, &from->origin, "keys", "expected %s",
                     key ? "only one of key and key_env" : "either key or key_env");
        return NULL;
    }
    if (key)
        return key;
    const struct entry *entry = loading_find(c->l, variable->value);
    if (!entry || entry->value.len == 0) {
        report_error(&c->l->reporter, &variable->origin, "key_env",
                     "expected the name of a variable that is set, got %s",
                     report_quote(variable->value, false, quoted));
        return NULL;
    }
    return entry;
}

static enum status read_attributes(struct collection *c, const struct yaml_key *from,
                                   struct key_traits *key)
{
    enum status status = read_service(c, field_of(from, YAML_KEY_BASE_URL), &key->service);

    if (status == STATUS_OK)
        status = read_header_value(c, field_of(from, YAML_KEY_ORGANIZATION), &key->organization);
    if (status == STATUS_OK)
        status = read_header_value(c, field_of(from, YAML_KEY_PROJECT), &key->project);
    if (status == STATUS_OK)
        status = read_header(c, field_of(from, YAML_KEY_AUTH_HEADER), &key->auth_header);
    if (status == STATUS_OK)
        status = read_models(c, field_of(from, YAML_KEY_MODELS), &key->models);
    read_count(c, field_of(from, YAML_KEY_WEIGHT), 1, WEIGHT_MAX, &key->weight);
    read_count(c, field_of(from, YAML_KEY_MAX_IN_FLIGHT), 0, IN_FLIGHT_MAX, &key->max_in_flight);
    return status;
}

static enum status read_name(struct collection *c, const struct yaml_key *from, char **ret)
{
    const struct entry *name = field_of(from, YAML_KEY_NAME);

    if (!name)
        name = field_of(from, YAML_KEY_KEY_ENV);
    if (name && is_line(c, name))
        return read_string(c, name, ret);
    *ret = source_text(c, &from->origin);
    return *ret ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The key that the variable already is, when it is one. */
static struct key_traits *key_of_variable(struct collection *c, const struct entry *variable)
{
    int id = option_find(variable->name, false);

    if (id != OPTION_PRIMARY_KEY && id != OPTION_FALLBACK_KEY)
        return NULL;
    for (size_t i = 0; i < c->settings->key_count; i++) {
        if (slice_eq(slice_str(c->settings->keys[i].traits->name), variable->name))
            return c->settings->keys[i].traits;
    }
    return NULL;
}

static enum status describe_variable(struct collection *c, const struct yaml_key *from,
                                     struct key_traits *key)
{
    enum status status = read_attributes(c, from, key);

    if (status == STATUS_OK && field_of(from, YAML_KEY_NAME))
        status = read_name(c, from, &key->name);
    return status;
}

static enum status add_yaml_key(struct collection *c, const struct yaml_key *from)
{
    const struct entry *entry = secret_of(c, from);

    if (!entry)
        return STATUS_OK;
    struct key_traits *known = key_of_variable(c, entry);
    if (known)
        return describe_variable(c, from, known);
    struct slice value = entry->value;
    if (!usable(c, &entry->origin, entry->name.ptr, &value))
        return STATUS_OK;
    struct key_setting key = {.traits = new_traits(c)};
    if (!key.traits)
        return STATUS_NO_MEMORY;
    enum status status = read_attributes(c, from, key.traits);
    if (status == STATUS_OK)
        status = read_name(c, from, &key.traits->name);
    key.traits->source = source_text(c, &from->origin);
    if (status != STATUS_OK || !key.traits->source)
        return STATUS_NO_MEMORY;
    status = loading_put_secret(c->l, entry, value, &key.secret);
    return status == STATUS_OK ? add_key(c, &from->origin, &key) : status;
}

static enum status collect_yaml(struct collection *c)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < c->l->yaml_key_count && status == STATUS_OK; i++)
        status = add_yaml_key(c, &c->l->yaml_keys[i]);
    return status;
}

/* ---- the keys file ---------------------------------------------------------------------------- */

/* What all keys of the file have in common. */
static struct key_traits *file_traits(struct collection *c)
{
    struct key_traits *traits = new_traits(c);
    char *file = c->settings->keys_file, *slash = strrchr(file, '/');

    if (!traits)
        return NULL;
    traits->name = slash ? slash + 1 : file;
    traits->source = file;
    return traits;
}

static struct origin origin_of(const struct collection *c, const struct secret_line *line)
{
    return (struct origin){ORIGIN_DEFAULT, line->number, c->settings->keys_file};
}

/* Copies those that are keys to be used. */
static size_t usable_lines(struct collection *c, const struct secret_line *lines, size_t count,
                           struct secret_line *out, struct slice *out_texts)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct origin origin = origin_of(c, &lines[i]);
        struct slice text = lines[i].text;

        if (!usable(c, &origin, NULL, &text))
            continue;
        out[kept] = lines[i];
        out_texts[kept++] = text;
    }
    return kept;
}

static enum status key_lines(struct loading *l, const struct entry *option,
                             const struct secret_line *lines, size_t count, void *context)
{
    struct collection *c = context;
    struct secret_line kept[LINES_AT_ONCE];
    struct slice texts[LINES_AT_ONCE] = {{0}};
    struct secret *secrets[LINES_AT_ONCE];

    (void)option;
    count = usable_lines(c, lines, count, kept, texts);
    enum status status = vault_put_all(l->vault, texts, count, secrets);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        struct origin origin = origin_of(c, &kept[i]);
        struct key_setting key = {secrets[i], c->file, kept[i].number};
        if (status == STATUS_OK)
            status = add_key(c, &origin, &key);
        else
            secret_unref(key.secret);
    }
    return status;
}

static enum status collect_file(struct collection *c)
{
    const struct entry *option = loading_find(c->l, SLICE("SPAREKEY_KEYS_FILE"));

    if (!c->settings->keys_file || !option)
        return STATUS_OK;
    c->file = file_traits(c);
    return c->file ? secret_lines(c->l, option, key_lines, c) : STATUS_NO_MEMORY;
}

enum status keys_collect(struct loading *l)
{
    struct collection c = {.l = l, .settings = &l->loaded->settings};

    enum status status = collect_variables(&c);
    if (status == STATUS_OK)
        status = collect_yaml(&c);
    if (status == STATUS_OK)
        status = collect_file(&c);
    free(c.same);
    return status;
}
