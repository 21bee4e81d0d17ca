#include "mock/journal.h"

#include <stdlib.h>

#include "base/hash.h"

bool journal_init(struct journal *journal)
{
    *journal = (struct journal){.first = 1, .next = 1};
    journal->ring = calloc(JOURNAL_ENTRIES_MAX, sizeof(struct journal_entry *));
    journal->index = calloc(JOURNAL_INDEX_SLOTS, sizeof(*journal->index));
    if (journal->ring && journal->index)
        return true;
    journal_fini(journal);
    return false;
}

static struct journal_entry **place(const struct journal *journal, uint64_t n)
{
    return &journal->ring[n % JOURNAL_ENTRIES_MAX];
}

static void drop_oldest(struct journal *journal)
{
    struct journal_entry **at = place(journal, journal->first++);
    journal->bytes -= (*at)->text_len;
    free(*at);
    *at = NULL;
}

void journal_clear(struct journal *journal)
{
    while (journal->first < journal->next)
        drop_oldest(journal);
}

void journal_fini(struct journal *journal)
{
    if (journal->ring)
        journal_clear(journal);
    free((void *)journal->ring);
    free(journal->index);
    *journal = (struct journal){0};
}

const struct journal_entry *journal_get(const struct journal *journal, uint64_t n)
{
    return n >= journal->first && n < journal->next ? *place(journal, n) : NULL;
}

static struct journal_entry *get(struct journal *journal, uint64_t n)
{
    return n >= journal->first && n < journal->next ? *place(journal, n) : NULL;
}

static struct slice keep(struct journal_entry *entry, struct slice text)
{
    char *at = entry->text + entry->text_len;
    if (text.len)
        memcpy(at, text.ptr, text.len);
    entry->text_len += text.len;
    entry->text[entry->text_len++] = '\0';
    return slice_of(at, text.len);
}

static size_t text_bytes(const struct journal_head *head)
{
    size_t len = head->key.len + head->method.len + head->path.len + head->query.len + 4;
    for (size_t i = 0; i < head->field_count; i++)
        len += head->fields[i].name.len + head->fields[i].value.len + 2;
    return len;
}

static void keep_fields(struct journal_entry *entry, const struct journal_head *head)
{
    entry->fields = slice_of(entry->text + entry->text_len, 0);
    for (size_t i = 0; i < head->field_count; i++) {
        keep(entry, head->fields[i].name);
        struct slice value = keep(entry, head->fields[i].value);
        if (slice_ieq(head->fields[i].name, SLICE("x-client-request-id")))
            entry->request_id = value;
    }
    entry->fields.len = (size_t)(entry->text + entry->text_len - entry->fields.ptr);
}

uint64_t journal_begin(struct journal *journal, const struct journal_head *head)
{
    size_t len = text_bytes(head);
    struct journal_entry *entry = calloc(1, sizeof(*entry) + len);
    if (!entry)
        return 0;
    while (journal->first < journal->next &&
           (journal->next - journal->first >= JOURNAL_ENTRIES_MAX ||
            journal->bytes + len > JOURNAL_BYTES_MAX)) {
        drop_oldest(journal);
        journal->dropped++;
    }
    entry->n = journal->next++;
    entry->wall_ms = head->wall_ms;
    entry->connection = head->connection;
    entry->key = keep(entry, head->key);
    entry->method = keep(entry, head->method);
    entry->path = keep(entry, head->path);
    entry->query = keep(entry, head->query);
    keep_fields(entry, head);
    journal->bytes += entry->text_len;
    *place(journal, entry->n) = entry;
    return entry->n;
}

static void move(struct journal *journal, struct journal_entry *entry, enum journal_state to)
{
    enum journal_state from = entry->state;
    if (from == to || from == JOURNAL_DONE)
        return;
    entry->state = to;
    if (journal->moved)
        journal->moved(journal, entry, from, to);
}

/* Which attempt this is: one more than the newest with the same mark. Entries of a chain go from
 * new to old, so that it ends at the first one that was dropped. */
static void count_attempt(struct journal *journal, struct journal_entry *entry)
{
    uint64_t *head = &journal->index[entry->same % JOURNAL_INDEX_SLOTS];
    const struct journal_entry *older = journal_get(journal, *head);

    entry->older = *head;
    while (older && older->same != entry->same)
        older = journal_get(journal, older->older);
    entry->attempt = older ? older->attempt + 1 : 1;
    *head = entry->n;
}

void journal_arrived(struct journal *journal, uint64_t n, const struct journal_body *body)
{
    struct journal_entry *entry = get(journal, n);
    if (!entry || entry->state != JOURNAL_ARRIVING)
        return;
    entry->body_bytes = body->bytes;
    entry->stream = body->stream;
    memcpy(entry->sha256, body->sha256, sizeof(entry->sha256));
    slice_copy(body->model, entry->model, sizeof(entry->model));
    if (entry->request_id.len)
        entry->same = hash_bytes(&(struct hash_seed){1, 0}, entry->request_id);
    else
        memcpy(&entry->same, entry->sha256, sizeof(entry->same));
    count_attempt(journal, entry);
    move(journal, entry, JOURNAL_OPEN);
}

void journal_fault(struct journal *journal, uint64_t n, const char *name)
{
    struct journal_entry *entry = get(journal, n);
    if (entry)
        slice_copy(slice_str(name), entry->fault, sizeof(entry->fault));
}

void journal_stalled(struct journal *journal, uint64_t n, bool stalled)
{
    struct journal_entry *entry = get(journal, n);
    if (entry)
        move(journal, entry, stalled ? JOURNAL_STALLED : JOURNAL_OPEN);
}

void journal_done(struct journal *journal, uint64_t n, enum journal_outcome outcome, int status,
                  uint64_t bytes_sent)
{
    struct journal_entry *entry = get(journal, n);
    if (!entry)
        return;
    entry->outcome = outcome;
    entry->status = status;
    entry->bytes_sent = bytes_sent;
    move(journal, entry, JOURNAL_DONE);
}

static bool text_matches(struct slice wanted, struct slice given)
{
    return wanted.len == 0 || slice_eq(wanted, given);
}

bool journal_matches(const struct journal_filter *filter, const struct journal_entry *entry,
                     enum journal_state state)
{
    return entry->n > filter->since && (filter->states & (1u << state)) &&
           text_matches(filter->key, entry->key) && text_matches(filter->path, entry->path) &&
           text_matches(filter->model, slice_str(entry->model));
}

static uint64_t first_after(const struct journal *journal, uint64_t since)
{
    return since >= journal->first ? since + 1 : journal->first;
}

uint64_t journal_count(const struct journal *journal, const struct journal_filter *filter)
{
    uint64_t count = 0;
    for (uint64_t n = first_after(journal, filter->since); n < journal->next; n++) {
        const struct journal_entry *entry = journal_get(journal, n);
        count += entry && journal_matches(filter, entry, entry->state);
    }
    return count;
}

/* Header values may be any bytes; JSON may not. */
static json_t *text_json(struct slice text)
{
    json_t *json = json_stringn(text.ptr ? text.ptr : "", text.len);
    return json ? json : json_string("(not UTF-8)");
}

static struct slice next_text(struct slice *rest)
{
    struct slice text = slice_str(rest->ptr); /* the entry ends each with a zero */
    *rest = slice_from(*rest, text.len + 1);
    return text;
}

static json_t *fields_json(struct slice rest)
{
    json_t *fields = json_array();
    while (rest.len) {
        struct slice name = next_text(&rest);
        struct slice value = next_text(&rest);
        json_array_append_new(fields, json_pack("[o, o]", text_json(name), text_json(value)));
    }
    return fields;
}

static const char *outcome_name(const struct journal_entry *entry)
{
    switch (entry->outcome) {
    case JOURNAL_NO_OUTCOME: return "open";
    case JOURNAL_COMPLETE: return "complete";
    case JOURNAL_CLIENT_LEFT: return "client_left";
    case JOURNAL_CUT: return "cut";
    }
    return "";
}

static const char *state_name(enum journal_state state)
{
    static const char *const names[] = {"arriving", "open", "stalled", "done"};
    return names[state];
}

json_t *journal_entry_json(const struct journal_entry *entry)
{
    char hex[65];
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof(entry->sha256); i++) {
        hex[2 * i] = digits[entry->sha256[i] >> 4];
        hex[2 * i + 1] = digits[entry->sha256[i] & 15];
    }
    hex[64] = '\0';
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:s, s:s, s:b, s:I, s:I, s:s?, s:i, "
                     "s:s, s:s, s:I}",
                     "n", (json_int_t)entry->n, "time", (json_int_t)entry->wall_ms, "key",
                     text_json(entry->key), "method", text_json(entry->method), "path",
                     text_json(entry->path), "query", text_json(entry->query), "headers",
                     fields_json(entry->fields), "body_bytes", (json_int_t)entry->body_bytes,
                     "sha256", hex, "model", entry->model, "stream", (int)entry->stream, "attempt",
                     (json_int_t)entry->attempt, "connection", (json_int_t)entry->connection,
                     "fault", entry->fault[0] ? entry->fault : NULL, "status", entry->status,
                     "state", state_name(entry->state), "outcome", outcome_name(entry),
                     "bytes_sent", (json_int_t)entry->bytes_sent);
}

json_t *journal_json(const struct journal *journal, const struct journal_filter *filter,
                     size_t limit)
{
    json_t *array = json_array();
    for (uint64_t n = first_after(journal, filter->since); n < journal->next; n++) {
        const struct journal_entry *entry = journal_get(journal, n);
        if (json_array_size(array) >= limit)
            break;
        if (entry && journal_matches(filter, entry, entry->state))
            json_array_append_new(array, journal_entry_json(entry));
    }
    return array;
}
