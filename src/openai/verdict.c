#include "openai/verdict.h"

#include "base/number.h"

/* How an answer is read and looked up; what it then means stands in verdict_rows.c. */

const char *transport_name(enum transport transport)
{
    static const char *const names[] = {
#define X(code, name) [code] = name,
        TRANSPORT_TABLE(X)
#undef X
    };
    return (unsigned)transport < TRANSPORT_COUNT ? names[transport] : "unknown";
}

/* ---- errors inside a 200 stream ---- */

struct natural {
    const char *word;
    int status;
};

/* The status each code would have had as an answer of its own: rows may ask for it, and so may the
 * caller, who gets the error as such an answer when nothing of the stream has been seen yet. */
static const struct natural code_status[] = {
    {"rate_limit_exceeded", 429},
    {"slow_down", 429},
    {"resource_unavailable", 429},
    {"insufficient_quota", 429},
    {"server_is_overloaded", 503},
    {"server_error", 500},
    {"vector_store_timeout", 500},
    {"failed_to_download_image", 400},
    {"unsupported_value", 400},
    {"data_residency_mismatch", 400},
    {"invalid_image", 400},
    {"invalid_image_format", 400},
    {"invalid_base64_image", 400},
    {"invalid_image_url", 400},
    {"image_too_large", 400},
    {"image_too_small", 400},
    {"image_parse_error", 400},
    {"invalid_image_mode", 400},
    {"image_file_too_large", 400},
    {"unsupported_image_media_type", 400},
    {"empty_image_file", 400},
    {"image_file_not_found", 400},
    {"context_length_exceeded", 400},
    {"model_not_found", 404},
    {"not_found", 404},
    {"invalid_api_key", 401},
    {"account_deactivated", 401},
    {"unsupported_country_region_territory", 403},
    {"content_policy_violation", 400},
    {"invalid_prompt", 400},
    {"cyber_policy", 400},
    {"bio_policy", 400},
    {"misalignment_policy_violation", 400},
    {"moderation_blocked", 400},
    {"image_content_policy_violation", 400},
    {"content_filter", 400},
    {"previous_response_not_found", 400},
    {"conversation_locked", 400},
    {"invalid_encrypted_content", 400},
    {"billing_hard_limit_reached", 400},
    {"credit_balance_exhausted", 429},
    {"organization_spend_limit_exceeded", 429},
    {"organization_usage_limit_exceeded", 429},
    {"project_spend_limit_exceeded", 429},
};

static const struct natural type_status[] = {
    {"tokens", 429},
    {"requests", 429},
    {"images", 429},
    {"input-images", 429},
    {"rate_limit_error", 429},
    {"insufficient_quota", 429},
    {"service_unavailable_error", 503},
    {"server_error", 500},
    {"authentication_error", 401},
    {"request_forbidden", 403},
    {"invalid_request_error", 400},
};

static int find_natural(const struct natural *table, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].word, word) == 0)
            return table[i].status;
    }
    return 0;
}

static int natural_status(const struct error_fields *fields)
{
    int status = find_natural(code_status, sizeof code_status / sizeof *code_status, fields->code);
    uint64_t number;

    if (!status && number_parse(slice_str(fields->code), 599, &number) == STATUS_OK &&
        number >= 400)
        status = (int)number;
    if (!status)
        status = find_natural(type_status, sizeof type_status / sizeof *type_status, fields->type);
    if (!status && slice_contains_nocase(slice_str(fields->message), SLICE("overloaded")))
        status = 503;
    if (!status && slice_contains_nocase(slice_str(fields->message), SLICE("rate limit")))
        status = 429;
    return status ? status : 500;
}

/* ---- matching ---- */

/* What is looked at: the answer with its oddities ironed out. */
struct subject {
    enum transport transport; /* TRANSPORT_OK: an answer with a status */
    int status;
    struct error_fields fields;
    bool over_bucket;
};

/* Whether `pattern`, lower-case, occurs in `text`: "^" at its front ties it to the beginning, "*"
 * stands for any gap. */
static bool message_matches(const char *pattern, struct slice text)
{
    bool anchored = *pattern == '^';
    struct slice rest = slice_str(pattern + anchored);

    while (rest.len) {
        const char *star = memchr(rest.ptr, '*', rest.len);
        struct slice part = slice_of(rest.ptr, star ? (size_t)(star - rest.ptr) : rest.len);
        size_t at = 0;
        while (at + part.len <= text.len && !slice_ieq(slice_of(text.ptr + at, part.len), part)) {
            if (anchored)
                return false;
            at++;
        }
        if (at + part.len > text.len)
            return false;
        anchored = false;
        text = slice_from(text, at + part.len);
        rest = slice_from(rest, part.len + (star != NULL));
    }
    return true;
}

/* The number behind `word` in an error message: "Limit 30000", "Requested: 1,024". -1 if none. */
static int64_t number_behind(struct slice text, struct slice word)
{
    int64_t value = -1;
    size_t i = 0;

    while (i + word.len <= text.len && !slice_ieq(slice_of(text.ptr + i, word.len), word))
        i++;
    i += word.len;
    while (i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == ':'))
        i++;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ',' && i + 1 < text.len && text.ptr[i + 1] >= '0' && text.ptr[i + 1] <= '9')
            continue;
        if (c < '0' || c > '9' || value > INT64_MAX / 100)
            break;
        value = (value < 0 ? 0 : value) * 10 + (c - '0');
    }
    return value;
}

/* More requested than the bucket holds when full. With both numbers there, they decide. */
static bool over_bucket(struct slice message)
{
    int64_t limit = number_behind(message, SLICE("limit "));
    int64_t requested = number_behind(message, SLICE("requested "));

    if (limit >= 0 && requested >= 0)
        return requested > limit;
    return slice_contains_nocase(message, SLICE("request too large"));
}

static bool equal_if_set(const char *want, const char *have)
{
    return !want || strcmp(want, have) == 0;
}

static bool status_matches(const struct verdict_row *row, int status)
{
    int to = row->status_to ? row->status_to : row->status;
    return row->status == 0 || (status >= row->status && status <= to);
}

static bool row_matches(const struct verdict_row *row, const struct subject *s)
{
    const struct error_fields *f = &s->fields;

    if (row->transport != s->transport)
        return false;
    if (s->transport != TRANSPORT_OK)
        return true;
    if ((row->when == WHEN_HTML && !f->html) || (row->when == WHEN_OVER_BUCKET && !s->over_bucket))
        return false;
    return status_matches(row, s->status) && equal_if_set(row->code, f->code) &&
           equal_if_set(row->type, f->type) && equal_if_set(row->param, f->param) &&
           (!row->message || message_matches(row->message, slice_str(f->message)));
}

/* How telling a row is, by the most exact thing it looks at; 0 is the most. */
static unsigned row_tier(const struct verdict_row *row)
{
    if (row->when == WHEN_HTML)
        return 0;
    if (row->code || row->when == WHEN_OVER_BUCKET) /* its numbers are as exact as a code */
        return 1;
    if (row->param)
        return 2;
    if (row->type)
        return 3;
    return row->message ? 4 : 5;
}

static const struct verdict_row *find_row(const struct subject *subject)
{
    const struct verdict_row *best = NULL, *row;

    for (unsigned i = 0; (row = verdict_row(i)); i++) {
        if ((!best || row_tier(row) < row_tier(best)) && row_matches(row, subject))
            best = row;
    }
    return best; /* never NULL: the table's last row matches every status */
}

/* ---- the verdict ---- */

static void examine(const struct answer *answer, struct subject *ret)
{
    *ret = (struct subject){.transport = answer->transport, .status = answer->status};
    if ((unsigned)ret->transport >= TRANSPORT_COUNT)
        ret->transport = TRANSPORT_GARBAGE;
    if (answer->truncated_stream && ret->transport == TRANSPORT_OK)
        ret->transport = TRANSPORT_CUT; /* a clean end, but too early */
    /* An error event, or the head of an error answer, says enough even if its end never came. */
    if (answer->in_stream || ret->status >= 300)
        ret->transport = TRANSPORT_OK;
    if (ret->transport != TRANSPORT_OK)
        return;
    error_fields_read(answer->content_type, answer->body, &ret->fields);
    if (answer->in_stream) {
        ret->status = natural_status(&ret->fields);
        ret->fields.html = false;
    }
    ret->over_bucket = over_bucket(slice_str(ret->fields.message));
}

static void fill_evidence(const struct answer *answer, const struct subject *subject,
                          struct evidence *ret)
{
    const char *code = subject->transport == TRANSPORT_OK ? subject->fields.code
                                                          : transport_name(subject->transport);

    memset(ret, 0, sizeof *ret);
    ret->status = subject->transport == TRANSPORT_OK ? subject->status : 0;
    ret->wall_ms = answer->wall_ms;
    slice_copy(slice_str(code), ret->code, sizeof ret->code);
    slice_copy(slice_str(answer->hints->request_id), ret->request_id, sizeof ret->request_id);
}

static bool is_rate(enum failure failure)
{
    return failure == FAILURE_RATE || failure == FAILURE_SLOW_DOWN;
}

void verdict_of(const struct answer *answer, struct verdict *ret_verdict,
                struct evidence *ret_evidence)
{
    struct subject subject;

    examine(answer, &subject);
    fill_evidence(answer, &subject, ret_evidence);
    if (subject.transport == TRANSPORT_OK && subject.status >= 101 && subject.status < 300) {
        *ret_verdict = (struct verdict){.reaction = REACT_SUCCESS, .wait_ns = -1};
        return;
    }

    const struct verdict_row *row = find_row(&subject);
    struct slice message = slice_str(subject.fields.message);
    *ret_verdict = row->verdict;
    if (row->unsafe_if_stateful && family_stateful(answer->family))
        ret_verdict->maybe_ran = true;
    if (subject.transport != TRANSPORT_OK && !answer->request_sent)
        ret_verdict->maybe_ran = false;
    if (is_rate(row->verdict.failure))
        ret_verdict->wait_ns = hints_wait_ns(answer->hints, message);
    else if (row->verdict.reaction != REACT_RETURN)
        ret_verdict->wait_ns = hints_asked_wait_ns(answer->hints, message);
}
