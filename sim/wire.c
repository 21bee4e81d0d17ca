#include "sim/wire.h"

#include <stdio.h>

#include "base/number.h"

/* The texts of openai-protocol.md §2.2 and §10. */
static struct slice body_of(enum cause cause)
{
    switch (cause) {
    case CAUSE_REVOKED:
        return SLICE("{\"error\":{\"message\":\"Incorrect API key provided: sk-x***x.\",\"type\":"
                     "\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}");
    case CAUSE_QUOTA:
        return SLICE("{\"error\":{\"message\":\"You exceeded your current quota.\",\"type\":"
                     "\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}");
    case CAUSE_REQUESTS:
        return SLICE("{\"error\":{\"message\":\"Rate limit reached for m-1 on requests per min "
                     "(RPM).\",\"type\":\"requests\",\"param\":null,"
                     "\"code\":\"rate_limit_exceeded\"}}");
    case CAUSE_TOKENS:
        return SLICE("{\"error\":{\"message\":\"Rate limit reached for m-1 on tokens per min "
                     "(TPM).\",\"type\":\"tokens\",\"param\":null,"
                     "\"code\":\"rate_limit_exceeded\"}}");
    case CAUSE_TOO_LARGE:
        return SLICE("{\"error\":{\"message\":\"Request too large for m-1 on tokens per min (TPM): "
                     "Limit 1000, Requested 2000.\",\"type\":\"tokens\",\"param\":null,"
                     "\"code\":\"rate_limit_exceeded\"}}");
    case CAUSE_SLOW_DOWN:
        return SLICE("{\"error\":{\"message\":\"Slow down.\",\"type\":\"rate_limit_error\","
                     "\"param\":null,\"code\":\"slow_down\"}}");
    case CAUSE_OVERLOADED:
        return SLICE("{\"error\":{\"message\":\"The server is overloaded.\",\"type\":"
                     "\"service_unavailable_error\",\"param\":null,"
                     "\"code\":\"server_is_overloaded\"}}");
    case CAUSE_UNAVAILABLE:
    case CAUSE_SERVER:
        return SLICE("{\"error\":{\"message\":\"The server had an error.\",\"type\":"
                     "\"server_error\",\"param\":null,\"code\":null}}");
    case CAUSE_GATEWAY: return SLICE("<html><title>502 Bad Gateway</title></html>");
    case CAUSE_SERVED:
    case CAUSE_CONNECT:
    case CAUSE_RESET:
    case CAUSE_COUNT: break;
    }
    return slice_of(NULL, 0);
}

struct slice wire_org_name(uint32_t org, char out[WIRE_NAME_MAX])
{
    return slice_of(out, (size_t)snprintf(out, WIRE_NAME_MAX, "org-%u", org));
}

struct slice wire_project_name(uint32_t project, char out[WIRE_NAME_MAX])
{
    return slice_of(out, (size_t)snprintf(out, WIRE_NAME_MAX, "proj_%u", project));
}

struct header {
    struct hints *hints;
    int64_t wall_ms;
};

static void say_number(const struct header *h, struct slice name, int64_t value)
{
    char text[NUMBER_FORMAT_MAX];

    hints_field(h->hints, name, slice_of(text, number_format((uint64_t)value, text)), h->wall_ms);
}

/* As OpenAI writes durations: "120ms", "58.891s"; rounded up to the millisecond. */
static void say_duration(const struct header *h, struct slice name, int64_t ns)
{
    int64_t ms = (ns + MS - 1) / MS;
    char text[32];
    int len = ms < 1000 ? snprintf(text, sizeof text, "%lldms", (long long)ms)
                        : snprintf(text, sizeof text, "%lld.%03llds", (long long)(ms / 1000),
                                   (long long)(ms % 1000));

    hints_field(h->hints, name, slice_of(text, (size_t)len), h->wall_ms);
}

struct dimension_names {
    struct slice limit, remaining, reset;
};

#define NAMES(dimension)                                                                           \
    {                                                                                              \
        SLICE("x-ratelimit-limit-" dimension), SLICE("x-ratelimit-remaining-" dimension),          \
            SLICE("x-ratelimit-reset-" dimension)                                                  \
    }

static void say_limit(const struct header *h, const struct dimension_names *names,
                      const struct bucket_reading *reading)
{
    if (reading->limit <= 0)
        return;
    say_number(h, names->limit, reading->limit);
    say_number(h, names->remaining, reading->remaining);
    say_duration(h, names->reset, reading->reset_ns);
}

static void say_headers(const struct header *h, const struct reply *reply)
{
    static const struct dimension_names requests = NAMES("requests"), tokens = NAMES("tokens"),
                                        project_requests = NAMES("project-requests"),
                                        project_tokens = NAMES("project-tokens");
    char name[WIRE_NAME_MAX];

    if (reply->retry_after_ns > 0) {
        say_number(h, SLICE("retry-after-ms"), (reply->retry_after_ns + MS - 1) / MS);
        say_number(h, SLICE("retry-after"), (reply->retry_after_ns + SECOND - 1) / SECOND);
    }
    if (!reply->owned)
        return;
    hints_field(h->hints, SLICE("openai-organization"), wire_org_name(reply->org, name),
                h->wall_ms);
    hints_field(h->hints, SLICE("openai-project"), wire_project_name(reply->project, name),
                h->wall_ms);
    say_limit(h, &requests, &reply->requests);
    say_limit(h, &tokens, &reply->tokens);
    say_limit(h, &project_requests, &reply->project_requests);
    say_limit(h, &project_tokens, &reply->project_tokens);
}

void wire_read(const struct reply *reply, int64_t now_ns, struct hints *ret_hints,
               struct verdict *ret_verdict, struct evidence *ret_evidence)
{
    struct header h = {ret_hints, now_ns / MS};
    struct answer answer = {
        .transport = reply->transport,
        .request_sent = reply->transport == TRANSPORT_RESET,
        .status = reply->status,
        .content_type =
            reply->cause == CAUSE_GATEWAY ? SLICE("text/html") : SLICE("application/json"),
        .body = body_of(reply->cause),
        .hints = ret_hints,
        .family = FAMILY_CHAT,
        .wall_ms = h.wall_ms,
    };

    hints_init(ret_hints);
    if (reply->status != 0)
        say_headers(&h, reply);
    verdict_of(&answer, ret_verdict, ret_evidence);
}
