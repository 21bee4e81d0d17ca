/* Client and admin tokens, files of secrets, and what a secret must look like. */
#include "settings/loading.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

/* Bit 7 of each of eight bytes that is not between '!' and '~'. Without their own bit 7, bytes can be
 * added to without a carry: 0x5f lifts bit 7 from '!' on, 1 does beyond '~'. */
static uint64_t invisible(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), low = bytes & (ones * 0x7f);

    return (bytes | ~(low + ones * 0x5f) | (low + ones)) & (ones * 0x80);
}

/* By words: a million keys are 60 to 200 million bytes. */
static bool all_visible(struct slice value)
{
    uint64_t found = 0, word;

    for (; value.len > sizeof word; value = slice_from(value, sizeof word)) {
        memcpy(&word, value.ptr, sizeof word);
        found |= invisible(word);
    }
    memset(&word, '!', sizeof word);
    memcpy(&word, value.ptr, value.len);
    return !(found | invisible(word));
}

const char *secret_problem(struct slice value)
{
    if (value.len > SECRET_MAX_BYTES)
        return "it is longer than any key";
    if (all_visible(value))
        return NULL;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c == ' ' || c == '\t')
            return "it has a space inside";
        if (c < ' ' || c == 0x7f)
            return "it has a control character";
        if (c >= 0x80)
            return "it has a character that is not ASCII";
    }
    return NULL;
}

/* ---- files, one secret a line ----------------------------------------------------------------- */

enum {
    /* Longer than any secret, so that a line that is too long still is one line: comments may
     * take what is left. */
    LINE_MAX_BYTES = 65536,
    SECRETS_FILE_MAX = 1 << 30, /* six million long keys */
};

struct line_reader {
    int fd;
    unsigned line;
    size_t from, to; /* what is in `bytes` and not taken yet */
    bool skipping;   /* inside a line that did not fit */
    struct secret_line lines[LINES_AT_ONCE];
    char bytes[LINE_MAX_BYTES];
};

/* More bytes behind what is there. 1, 0 at the end, -1 on an error. */
static int fill(struct line_reader *r)
{
    if (r->from) {
        memmove(r->bytes, r->bytes + r->from, r->to - r->from);
        r->to -= r->from;
        r->from = 0;
    }
    ssize_t count;
    do
        count = read(r->fd, r->bytes + r->to, sizeof r->bytes - r->to);
    while (count < 0 && errno == EINTR);
    if (count > 0)
        r->to += (size_t)count;
    return count > 0 ? 1 : (int)count;
}

/* Takes a line that is complete, or whatever is there when `all`. */
static bool take_line(struct line_reader *r, bool all, struct slice *ret)
{
    char *start = r->bytes + r->from;
    const char *end = memchr(start, '\n', r->to - r->from);

    if (!end && (!all || r->from == r->to))
        return false;
    size_t len = end ? (size_t)(end - start) : r->to - r->from;
    r->from += len + (end != NULL);
    r->line++;
    *ret = slice_of(start, len);
    return true;
}

/* A `#` begins a comment at the start and behind a space. */
static struct slice without_comment(struct slice text)
{
    const char *end = text.ptr + text.len, *sign = text.ptr;

    while (sign < end && (sign = memchr(sign, '#', (size_t)(end - sign)))) {
        if (sign == text.ptr || sign[-1] == ' ' || sign[-1] == '\t')
            return slice_of(text.ptr, (size_t)(sign - text.ptr));
        sign++;
    }
    return text;
}

/* Without byte order mark, comment and the spaces around. */
static struct slice plain(struct slice text, unsigned line)
{
    if (line == 1 && slice_starts(text, SLICE("\xEF\xBB\xBF")))
        text = slice_from(text, 3);
    if (text.len && text.ptr[text.len - 1] == '\r')
        text.len--;
    return slice_trim(without_comment(slice_trim(text)));
}

static void report_long_line(struct loading *l, const struct entry *option, unsigned line)
{
    struct origin origin = {ORIGIN_DEFAULT, line, option->value.ptr};

    report_error(&l->reporter, &origin, NULL, "the line is longer than any key");
}

/* The next lines that say something, of those that are complete, or of all. */
static size_t take_lines(struct line_reader *r, bool all)
{
    struct slice text;
    size_t count = 0;

    while (count < LINES_AT_ONCE && take_line(r, all, &text)) {
        text = plain(text, r->line);
        if (text.len && !r->skipping)
            r->lines[count++] = (struct secret_line){r->line, text};
        r->skipping = false;
    }
    return count;
}

static enum status read_lines(struct loading *l, const struct entry *option, struct line_reader *r,
                              lines_taker *take, void *context)
{
    enum status status = STATUS_OK;
    int more = 1;

    while (status == STATUS_OK && more > 0) {
        more = fill(r);
        for (size_t count = 1; status == STATUS_OK && more >= 0 && count > 0;) {
            count = take_lines(r, more == 0);
            status = count ? take(l, option, r->lines, count, context) : STATUS_OK;
        }
        if (r->to - r->from == sizeof r->bytes) { /* full, and no line in it */
            if (!r->skipping)
                report_long_line(l, option, r->line + 1);
            r->skipping = true;
            r->from = r->to = 0;
        }
    }
    return more < 0 ? STATUS_IO : status;
}

enum status secret_lines(struct loading *l, const struct entry *option, lines_taker *take,
                         void *context)
{
    char quoted[REPORT_QUOTE_MAX];
    char *path = loading_path(l, option->value);
    struct line_reader *r = arena_alloc(&l->scratch, sizeof *r);

    if (!path || !r)
        return STATUS_NO_MEMORY;
    r->line = 0;
    r->from = r->to = 0;
    r->skipping = false;
    const char *why;
    r->fd = loading_open(path, SECRETS_FILE_MAX, &why);
    enum status status = r->fd < 0 ? STATUS_IO : read_lines(l, option, r, take, context);
    if (r->fd >= 0 && status == STATUS_IO)
        why = strerror(errno);
    if (r->fd >= 0)
        (void)close(r->fd);
    explicit_bzero(r->bytes, sizeof r->bytes);
    if (status == STATUS_IO) {
        report_error(&l->reporter, &option->origin, option->name.ptr, "cannot read %s: %s",
                     report_quote(option->value, false, quoted), why);
        return STATUS_OK;
    }
    return status;
}

/* ---- tokens ----------------------------------------------------------------------------------- */

static bool have_token(const struct settings *settings, const struct secret *secret)
{
    for (size_t i = 0; i < settings->client_token_count; i++) {
        if (settings->client_tokens[i] == secret)
            return true;
    }
    return false;
}

static enum status add_token(struct loading *l, struct secret *secret)
{
    struct settings *settings = &l->loaded->settings;

    if (have_token(settings, secret)) {
        secret_unref(secret);
        return STATUS_OK;
    }
    enum status status = array_grow(&settings->client_tokens, &l->loaded->client_token_capacity,
                                    settings->client_token_count, sizeof(struct secret *));
    if (status == STATUS_OK)
        settings->client_tokens[settings->client_token_count++] = secret;
    else
        secret_unref(secret);
    return status;
}

static enum status take_token(struct loading *l, const struct entry *entry,
                              const struct origin *origin, struct slice value)
{
    const char *problem = secret_problem(value);
    struct secret *secret;

    if (problem) {
        report_error(&l->reporter, origin, entry->name.ptr,
                     "expected tokens of visible ASCII characters: %s", problem);
        return STATUS_OK;
    }
    enum status status = loading_put_secret(l, entry, value, &secret);
    return status == STATUS_OK ? add_token(l, secret) : status;
}

static enum status token_lines(struct loading *l, const struct entry *option,
                               const struct secret_line *lines, size_t count, void *context)
{
    enum status status = STATUS_OK;

    (void)context;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct origin origin = {ORIGIN_DEFAULT, lines[i].number, option->value.ptr};
        status = take_token(l, option, &origin, lines[i].text);
    }
    return status;
}

/* Separated by commas, spaces or both. A list that was given and holds none would leave the gateway
 * open to everybody, which nobody means by it. */
static enum status collect_list(struct loading *l, const struct entry *entry)
{
    struct slice rest = entry->value, part, token;
    size_t found = 0;

    while (slice_next_item(&rest, ',', &part)) {
        while (slice_next_item(&part, ' ', &token)) {
            if (token.len == 0)
                continue;
            found++;
            enum status status = take_token(l, entry, &entry->origin, token);
            if (status != STATUS_OK)
                return status;
        }
    }
    if (entry->value.len && !found)
        report_error(&l->reporter, &entry->origin, entry->name.ptr,
                     "expected at least one token, got none");
    return STATUS_OK;
}

static enum status collect_one(struct loading *l, const struct entry *entry, enum option_id id,
                               struct secret **field)
{
    struct slice value = slice_trim(entry->value);
    const char *problem = value.len ? secret_problem(value) : "it is empty";

    l->loaded->origins[id] = entry->origin;
    if (problem) {
        report_error(&l->reporter, &entry->origin, entry->name.ptr,
                     "expected a token of visible ASCII characters: %s", problem);
        return STATUS_OK;
    }
    return loading_put_secret(l, entry, value, field);
}

enum status tokens_collect(struct loading *l)
{
    const struct entry *list = loading_find(l, SLICE("SPAREKEY_CLIENT_TOKENS"));
    const struct entry *file = loading_find(l, SLICE("SPAREKEY_CLIENT_TOKENS_FILE"));
    const struct entry *admin = loading_find(l, SLICE("SPAREKEY_ADMIN_TOKEN"));
    const struct entry *headers = loading_find(l, SLICE("OTEL_EXPORTER_OTLP_HEADERS"));
    enum status status = STATUS_OK;

    if (list) {
        l->loaded->origins[OPTION_CLIENT_TOKENS] = list->origin;
        status = collect_list(l, list);
    }
    if (file && file->value.len && status == STATUS_OK)
        status = secret_lines(l, file, token_lines, NULL);
    if (admin && status == STATUS_OK)
        status = collect_one(l, admin, OPTION_ADMIN_TOKEN, &l->loaded->settings.admin_token);
    if (headers && status == STATUS_OK)
        status = collect_one(l, headers, OPTION_OTLP_HEADERS, &l->loaded->settings.otlp_headers);
    if (status == STATUS_OK)
        status = webhook_collect(l);
    return status == STATUS_OK ? proxy_collect(l) : status;
}
