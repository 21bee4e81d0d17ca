#include "client/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "keyring/echo.h"
#include "openai/advice.h"

_Static_assert(SPAREKEY_ERROR_SYSTEM == -17, "a new status needs a text and, perhaps, a failure");

const char *sparekey_status_text(int status)
{
    switch (status) {
#define X(code, value, text)                                                                       \
    case value: return text;
        SPAREKEY_STATUS_TABLE(X)
#undef X
    default: return "unknown status";
    }
}

/* The least that every version of the struct has had. */
#define ERROR_SIZE_MIN offsetof(sparekey_error, attempt_count)

static void clear(sparekey_error *error, int code)
{
    size_t size = error->size;

    memset(error, 0, sizeof *error);
    error->size = size;
    error->code = code;
    error->retry_after_ms = -1;
}

void fault_init(sparekey_error *error)
{
    error->size = sizeof *error;
    clear(error, SPAREKEY_OK);
}

int fault_copy(sparekey_error *to, const sparekey_error *from)
{
    size_t size = to ? to->size : 0;

    if (size < ERROR_SIZE_MIN)
        return from->code;
    memcpy(to, from, size < sizeof *from ? size : sizeof *from);
    to->size = size;
    return from->code;
}

int fault_set(sparekey_error *error, int code, const char *format, ...)
{
    sparekey_error made;
    va_list arguments;

    fault_init(&made);
    made.code = code;
    va_start(arguments, format);
    (void)vsnprintf(made.message, sizeof made.message, format, arguments);
    va_end(arguments);
    return fault_copy(error, &made);
}

int fault_argument(sparekey_error *error, const char *argument, const char *wrong)
{
    return fault_set(error, SPAREKEY_ERROR_ARGUMENT, "%s: %s", argument, wrong);
}

int fault_status(sparekey_error *error, enum status status, int otherwise, const char *doing)
{
    int code = status == STATUS_NO_MEMORY ? SPAREKEY_ERROR_MEMORY : otherwise;

    return fault_set(error, code, "%s: %s", doing, status_text(status));
}

int fault_code(enum failure failure)
{
    switch (failure) {
    case FAILURE_CALLER:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT: return SPAREKEY_ERROR_REQUEST;
    case FAILURE_POLICY: return SPAREKEY_ERROR_POLICY;
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
    case FAILURE_EGRESS_IP:
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_REGION:
    case FAILURE_UNVERIFIED:
    case FAILURE_MODEL:
    case FAILURE_TIER:
    case FAILURE_DISABLED: return SPAREKEY_ERROR_KEYS;
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN: return SPAREKEY_ERROR_RATE_LIMITED;
    case FAILURE_QUOTA: return SPAREKEY_ERROR_QUOTA;
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER: return SPAREKEY_ERROR_SERVICE;
    case FAILURE_NETWORK:
    case FAILURE_CUT: return SPAREKEY_ERROR_NETWORK;
    case FAILURE_TIMEOUT: return SPAREKEY_ERROR_TIMEOUT;
    case FAILURE_ABANDONED: return SPAREKEY_ERROR_CANCELLED;
    case FAILURE_NONE:
    case FAILURE_GARBAGE:
    case FAILURE_COUNT: break;
    }
    return SPAREKEY_ERROR_ANSWER;
}

static void copy(char *to, size_t size, const char *from)
{
    (void)slice_copy(slice_str(from), to, size);
}

/* What went wrong, where the answer itself does not say. */
static void write_message(sparekey_error *error, const struct answer *answer,
                          const struct verdict *verdict, const char *detail)
{
    if (answer->transport != TRANSPORT_OK)
        (void)snprintf(error->message, sizeof error->message, "%s (%s%s%s)",
                       advice_on(verdict->failure), transport_name(answer->transport),
                       *detail ? ": " : "", detail);
    else
        (void)snprintf(error->message, sizeof error->message,
                       "the answer with status %d is no error in JSON: %s", answer->status,
                       advice_on(verdict->failure));
}

void fault_from_answer(sparekey_error *error, const struct answer *answer,
                       const struct verdict *verdict, const struct evidence *evidence,
                       struct slice secret, const char *detail)
{
    struct error_fields fields = {.code = ""};
    int64_t wait_ns;

    if (answer->transport == TRANSPORT_OK)
        error_fields_read(answer->in_stream ? SLICE("application/json") : answer->content_type,
                          answer->body, &fields);
    error->code = fault_code(verdict->failure);
    if (verdict->failure == FAILURE_TIER && evidence->status == 429)
        error->code = SPAREKEY_ERROR_SERVICE; /* the tier has no capacity left */
    error->http_status = evidence->status;
    copy(error->upstream_code, sizeof error->upstream_code, fields.code);
    copy(error->upstream_type, sizeof error->upstream_type, fields.type);
    copy(error->upstream_param, sizeof error->upstream_param, fields.param);
    copy(error->request_id, sizeof error->request_id, evidence->request_id);
    wait_ns = hints_asked_wait_ns(answer->hints, slice_str(fields.message));
    error->retry_after_ms = wait_ns == HINT_NONE ? -1 : wait_ns / 1000000;
    if (*fields.message && !fields.html)
        copy(error->message, sizeof error->message, fields.message);
    else
        write_message(error, answer, verdict, detail);
    echo_mask_error(secret, error->message, strlen(error->message));
    echo_mask_error(secret, error->upstream_code, strlen(error->upstream_code));
    echo_mask_error(secret, error->upstream_param, strlen(error->upstream_param));
}

void fault_from_plan(sparekey_error *error, const struct plan_step *step)
{
    error->code = fault_code(step->failure);
    error->retry_after_ms = step->retry_after_s ? (int64_t)step->retry_after_s * 1000 : -1;
    *error->upstream_code = *error->upstream_type = *error->upstream_param = '\0';
    if (step->failure == FAILURE_NONE || step->failure == FAILURE_COUNT)
        error->code = step->status == 429 ? SPAREKEY_ERROR_RATE_LIMITED : SPAREKEY_ERROR_KEYS;
    (void)snprintf(error->message, sizeof error->message, "%s (%u attempts)",
                   advice_on(step->failure), error->attempt_count);
}
