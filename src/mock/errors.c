#include "mock/errors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "openai/verdict.h"

enum { MESSAGE_MAX = 1024, DEFAULT_RETRY_AFTER_MS = 1000 };

/* Texts as OpenAI words them, for the rows where the words matter or a person may read them; %m
 * model, %o organisation, %p project. The other rows say the words their own pattern asks for. */
static const struct {
    const char *row, *text;
} texts[] = {
    {"400_context_length", "This model's maximum context length is 128000 tokens. However, your "
                           "messages resulted in 130000 tokens."},
    {"400_unverified_stream", "Your organization must be verified to stream this model."},
    {"400_previous_response", "Previous response with id 'resp_0' not found."},
    {"400_conversation_locked", "Another process is currently operating on this conversation."},
    {"400_billing_hard_limit", "Billing hard limit has been reached."},
    {"401_no_key_sent", "You didn't provide an API key. You need to provide your API key in an "
                        "Authorization header using Bearer auth."},
    {"401_account_deactivated", "The OpenAI account associated with this API key has been "
                                "deactivated."},
    {"401_missing_scopes", "You have insufficient permissions for this operation. Missing scopes: "
                           "model.request."},
    {"401_ip_not_authorized", "Your IP address is not authorized to use this API key."},
    {"403_region", "Country, region, or territory not supported"},
    {"403_no_access_text", "Project `%p` does not have access to model `%m`"},
    {"403_unverified", "Your organization must be verified to use the model `%m`."},
    {"404_model_not_found", "The model `%m` does not exist or you do not have access to it."},
    {"413", "Maximum content size limit (26214400) exceeded (26214401 bytes read)"},
    {"429_insufficient_quota",
     "You exceeded your current quota, please check your plan and billing "
     "details."},
    {"429_credit_exhausted", "Your credit balance is exhausted."},
    {"429_org_spend_limit", "Organization %o has reached its monthly spend limit."},
    {"429_org_usage_limit", "Organization %o has reached the usage limit of its tier."},
    {"429_project_spend_limit", "Project %p has reached its monthly spend limit."},
    {"429_too_large", "Request too large for %m in organization %o on tokens per min (TPM): Limit "
                      "30000, Requested 90000. The input or output tokens must be reduced in order "
                      "to run successfully."},
    {"429_requests",
     "Rate limit reached for %m in organization %o on requests per min (RPM): Limit "
     "3, Used 3, Requested 1."},
    {"429_tokens", "Rate limit reached for %m in organization %o on tokens per min (TPM): Limit "
                   "30000, Used 29446, Requested 821."},
    {"429_slow_down", "Your request rate has ramped up too fast. Please slow down."},
    {"429_overloaded", "The engine is currently overloaded, please try again later."},
    {"500", "The server had an error while processing your request. Sorry about that!"},
    {"503_overloaded", "The model is overloaded. Please try again later."},
};

static const struct verdict_row *find_row(struct slice name)
{
    const struct verdict_row *row;
    for (unsigned i = 0; (row = verdict_row(i)); i++) {
        if (slice_eq(slice_str(row->name), name))
            return row;
    }
    return NULL;
}

/* Rows for transport failures, and the one for no status at all, are no answers. */
static bool is_answer(const struct verdict_row *row)
{
    return row->transport == TRANSPORT_OK &&
           (row->status || (row->name[0] >= '1' && row->name[0] <= '9'));
}

bool error_row_exists(struct slice name)
{
    const struct verdict_row *row = find_row(name);
    return row && is_answer(row);
}

const char *error_row_name(unsigned i)
{
    const struct verdict_row *row;
    for (unsigned at = 0; (row = verdict_row(at)); at++) {
        if (is_answer(row) && i-- == 0)
            return row->name;
    }
    return NULL;
}

/* A row's name begins with the status it is known from. The catch-alls are met at a status that no
 * other row names. */
static int status_of(const struct verdict_row *row)
{
    uint64_t status = 0;
    if (number_parse(slice_of(row->name, 3), 599, &status) == STATUS_OK)
        return (int)status;
    return row->status == 300   ? 302
           : row->status == 400 ? 418
           : row->status == 500 ? 507
                                : row->status;
}

static const char *default_type(int status)
{
    return status >= 500 ? "server_error" : "invalid_request_error";
}

/* The words a pattern asks for: "^the model *does not exist" as "the model … does not exist". */
static void spell_pattern(const char *pattern, char *out, size_t size)
{
    size_t len = 0;
    for (const char *p = pattern + (pattern[0] == '^'); *p && len + 3 < size; p++) {
        if (*p != '*') {
            out[len++] = *p;
            continue;
        }
        memcpy(out + len, "x ", 2);
        len += 2;
    }
    out[len] = '\0';
}

static void fill(const char *text, const struct error_subject *subject, char *out, size_t size)
{
    size_t len = 0;
    for (const char *p = text; *p && len + 1 < size; p++) {
        if (*p != '%' || !p[1]) {
            out[len++] = *p;
            continue;
        }
        const char *insert = *++p == 'm' ? subject->model
                             : *p == 'o' ? subject->organization
                                         : subject->project;
        len += slice_copy(slice_str(insert), out + len, size - len);
    }
    out[len] = '\0';
}

static void row_message(const struct verdict_row *row, const struct error_subject *subject,
                        char *out, size_t size)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i].row, row->name) == 0) {
            fill(texts[i].text, subject, out, size);
            return;
        }
    }
    spell_pattern(row->message ? row->message : "the mock was asked for this error", out, size);
}

static bool passes_by_itself(enum failure failure)
{
    return failure == FAILURE_RATE || failure == FAILURE_SLOW_DOWN || failure == FAILURE_OVERLOADED;
}

void error_retry_after(struct reply *reply, int64_t wait_ms)
{
    reply_field(reply, "retry-after", "%" PRId64, wait_ms <= 1000 ? 1 : (wait_ms + 999) / 1000);
    reply_field(reply, "retry-after-ms", "%" PRId64, wait_ms);
}

void error_row_answer(struct slice name, const struct error_subject *subject,
                      int64_t retry_after_ms, struct reply *reply)
{
    char message[MESSAGE_MAX];
    const struct verdict_row *row = find_row(name);
    if (!row) {
        error_plain(500, reply);
        return;
    }
    int status = status_of(row);
    if (row->when == WHEN_HTML) {
        error_html(status, reply);
    } else if (row->code && strcmp(row->code, "invalid_api_key") == 0) {
        error_invalid_key(subject->key, reply);
    } else {
        row_message(row, subject, message, sizeof(message));
        reply_error(reply, status, row->type ? row->type : default_type(status), row->code,
                    row->param, message);
    }
    reply->status = status;
    if (retry_after_ms >= 0)
        error_retry_after(reply, retry_after_ms);
    else if (passes_by_itself(row->verdict.failure))
        error_retry_after(reply, DEFAULT_RETRY_AFTER_MS);
}

void error_invalid_key(const char *key, struct reply *reply)
{
    char message[MESSAGE_MAX], masked[64];
    size_t len = strlen(key);

    /* First eight, stars, last four: what OpenAI echoes, and what a gateway must redact. */
    if (len > 16)
        snprintf(masked, sizeof(masked), "%.8s********************%s", key, key + len - 4);
    else
        snprintf(masked, sizeof(masked), "%.2s********", key);
    snprintf(message, sizeof(message),
             "Incorrect API key provided: %s. You can find your API key at "
             "https://platform.openai.com/account/api-keys.",
             masked);
    reply_error(reply, 401, "invalid_request_error", "invalid_api_key", NULL, message);
}

void error_plain(int status, struct reply *reply)
{
    char message[MESSAGE_MAX];
    if (status / 100 == 3)
        reply_field(reply, "location", "%s", "https://example.invalid/");
    snprintf(message, sizeof(message), "The mock was asked for status %d.", status);
    reply_error(reply, status, default_type(status), NULL, NULL, message);
}

static const char *html_title(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {
        {403, "Attention Required!"},   {413, "Request Entity Too Large"},
        {502, "Bad gateway"},           {503, "Service Temporarily Unavailable"},
        {504, "Gateway time-out"},      {520, "Web server is returning an unknown error"},
        {521, "Web server is down"},    {522, "Connection timed out"},
        {523, "Origin is unreachable"}, {524, "A timeout occurred"},
        {525, "SSL handshake failed"},  {526, "Invalid SSL certificate"},
    };
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Error";
}

void error_html(int status, struct reply *reply)
{
    char page[MESSAGE_MAX];
    snprintf(page, sizeof(page),
             "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>api.openai.com | %d: "
             "%s</title></head>\n"
             "<body><center><h1>%d %s</h1></center><hr><center>cloudflare</center></body></html>\n",
             status, html_title(status), status, html_title(status));
    reply->status = status;
    reply_field(reply, "server", "cloudflare");
    reply_field(reply, "cf-ray", "8f00000000000000-MCK");
    reply_bytes(reply, "text/html; charset=UTF-8", slice_str(page));
}
