#include "settings/dotenv.h"

void dotenv_init(struct dotenv *d, struct slice text, struct arena *arena)
{
    if (slice_starts(text, SLICE("\xEF\xBB\xBF")))
        text = slice_from(text, 3);
    *d = (struct dotenv){text, 1, arena};
}

/* The rest of the current line, without its end. */
static struct slice line_of(struct slice text)
{
    const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    size_t len = end ? (size_t)(end - text.ptr) : text.len;

    if (len && text.ptr[len - 1] == '\r')
        len--;
    return slice_of(text.ptr, len);
}

static void skip_line(struct dotenv *d)
{
    const char *end = d->rest.len ? memchr(d->rest.ptr, '\n', d->rest.len) : NULL;

    d->rest = end ? slice_from(d->rest, (size_t)(end - d->rest.ptr) + 1) : slice_of(NULL, 0);
    d->line++;
}

static bool is_name_byte(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

static struct slice take_name(struct slice *text)
{
    size_t len = 0;

    while (len < text->len && is_name_byte(text->ptr[len], len == 0))
        len++;
    struct slice name = slice_of(text->ptr, len);
    *text = slice_from(*text, len);
    return name;
}

/* "export NAME" is NAME; a variable called export ("export=1") stays itself. */
static struct slice take_exported_name(struct slice *text)
{
    struct slice name = take_name(text);

    if (!slice_eq(name, SLICE("export")) || text->len == 0 ||
        (text->ptr[0] != ' ' && text->ptr[0] != '\t'))
        return name;
    struct slice after = slice_trim(*text);
    if (after.len && after.ptr[0] == '=')
        return name;
    *text = after;
    return take_name(text);
}

/* ---- unquoted --------------------------------------------------------------------------------- */

static struct slice without_comment(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool begins = i > 0 && (text.ptr[i - 1] == ' ' || text.ptr[i - 1] == '\t');
        if (text.ptr[i] == '#' && begins)
            return slice_of(text.ptr, i);
    }
    return text;
}

/* ---- quoted ----------------------------------------------------------------------------------- */

/* Where the closing quote stands behind the opening one at 0, or 0. */
static size_t find_closing(struct slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == text.ptr[0])
            return i;
    }
    return 0;
}

/* What an escape stands for; 0: it is none, and both characters stay. */
static char escaped(char c, char quote)
{
    if (c == '\\' || c == quote)
        return c;
    if (quote == '\'')
        return 0;
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case '$': return '$';
    default: return 0;
    }
}

/* Returns the unescaped text in the arena; a NULL pointer when there is no memory. */
static struct slice unescape(struct arena *arena, struct slice text, char quote)
{
    char *copy = arena_copy(arena, text);
    size_t len = 0;

    for (size_t i = 0; copy && i < text.len; i++) {
        char plain = 0;
        if (text.ptr[i] == '\\' && i + 1 < text.len)
            plain = escaped(text.ptr[i + 1], quote);
        copy[len++] = plain ? plain : text.ptr[i];
        i += plain != 0;
    }
    return slice_of(copy, len);
}

static void advance(struct dotenv *d, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        d->line += d->rest.ptr[i] == '\n';
    d->rest = slice_from(d->rest, bytes);
}

/* `at` is where the opening quote stands in d->rest. */
static bool read_quoted(struct dotenv *d, size_t at, struct dotenv_line *line)
{
    struct slice text = slice_from(d->rest, at);
    size_t closing = find_closing(text);

    if (!closing) {
        line->problem = "the quote is not closed";
        skip_line(d);
        return true;
    }
    line->value = unescape(d->arena, slice_of(text.ptr + 1, closing - 1), text.ptr[0]);
    if (!line->value.ptr)
        return false;
    advance(d, at + closing + 1);
    struct slice after = slice_trim(line_of(d->rest));
    if (after.len && after.ptr[0] != '#')
        line->problem = "something follows the closing quote";
    skip_line(d);
    return true;
}

/* ---- lines ------------------------------------------------------------------------------------ */

static bool read_line(struct dotenv *d, struct slice text, struct dotenv_line *line)
{
    line->line = d->line;
    line->name = take_exported_name(&text);
    text = slice_trim(text);
    if (line->name.len == 0 || text.len == 0 || text.ptr[0] != '=') {
        line->problem = "expected NAME=value";
        skip_line(d);
        return true;
    }
    text = slice_from(text, 1);
    struct slice value = slice_trim(text);
    if (value.len && (value.ptr[0] == '"' || value.ptr[0] == '\''))
        return read_quoted(d, (size_t)(value.ptr - d->rest.ptr), line);
    line->value = slice_trim(without_comment(text));
    skip_line(d);
    return true;
}

bool dotenv_next(struct dotenv *d, struct dotenv_line *ret_line, bool *ret_no_memory)
{
    struct dotenv_line line = {0};

    while (d->rest.len) {
        struct slice text = slice_trim(line_of(d->rest));
        if (text.len == 0 || text.ptr[0] == '#') {
            skip_line(d);
            continue;
        }
        if (!read_line(d, text, &line)) {
            *ret_no_memory = true;
            return false;
        }
        if (line.value.len && memchr(line.value.ptr, '\0', line.value.len))
            line.problem = "the value has a zero byte";
        *ret_line = line;
        return true;
    }
    return false;
}
