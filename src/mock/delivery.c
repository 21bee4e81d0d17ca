#include "mock/delivery.h"

static size_t units(const struct reply *reply)
{
    return reply->form == STREAM_FORM_NONE ? reply->body.len : reply->frame_count;
}

/* After how many units an answer is in its middle: after `after` events, or the first one with
 * content; after half of a body. */
static size_t middle(const struct reply *reply, const struct fault *fault)
{
    if (reply->form == STREAM_FORM_NONE)
        return reply->body.len / 2;
    size_t count = fault->after >= 0                        ? (size_t)fault->after
                   : reply->first_content == REPLY_NO_FRAME ? 0
                                                            : reply->first_content + 1;
    return count < reply->frame_count ? count : reply->frame_count;
}

static const char *error_message(const struct fault *fault)
{
    /* The words a client would fall back to when it does not know the code. */
    return slice_contains_nocase(slice_str(fault->code), SLICE("rate_limit"))
               ? "Rate limit reached. Please try again in 1s."
           : slice_contains_nocase(slice_str(fault->code), SLICE("quota"))
               ? "You exceeded your current quota, please check your plan and billing details."
           : slice_contains_nocase(slice_str(fault->code), SLICE("overloaded"))
               ? "The model is overloaded. Please try again later."
               : "The server had an error while processing your request.";
}

static const char *error_type(const struct fault *fault)
{
    return slice_contains_nocase(slice_str(fault->code), SLICE("rate_limit")) ? "tokens"
           : slice_contains_nocase(slice_str(fault->code), SLICE("quota"))    ? "insufficient_quota"
           : slice_contains_nocase(slice_str(fault->code), SLICE("overloaded"))
               ? "service_unavailable_error"
               : "server_error";
}

static void fail_in_stream(struct reply *reply, const struct fault *fault, bool after_content)
{
    if (reply->form == STREAM_FORM_NONE || reply->first_content == REPLY_NO_FRAME)
        return;
    reply_cut(reply, reply->first_content + (after_content ? 1 : 0));
    reply_stream_error(reply, error_type(fault), fault->code, error_message(fault), fault->nested);
}

static void cut_events(struct reply *reply, size_t count)
{
    if (reply->form != STREAM_FORM_NONE && count != REPLY_NO_FRAME)
        reply_cut(reply, count);
}

static void no_answer(struct delivery *delivery, enum ending ending)
{
    delivery->head = false;
    delivery->stop = 0;
    delivery->ending = ending;
}

static void stop_in_middle(struct delivery *delivery, const struct reply *reply,
                           const struct fault *fault, enum ending ending)
{
    delivery->stop = middle(reply, fault);
    delivery->ending = ending;
}

static void raw(struct delivery *delivery, const char *bytes, enum ending ending)
{
    no_answer(delivery, ending);
    delivery->raw = bytes;
}

/* Faults that change the reply itself, before its size is taken. */
static void change_reply(struct reply *reply, const struct fault *fault)
{
    switch ((int)fault->kind) {
    case FAULT_ERROR_BEFORE_CONTENT: fail_in_stream(reply, fault, false); break;
    case FAULT_ERROR_AFTER_CONTENT: fail_in_stream(reply, fault, true); break;
    case FAULT_MISSING_TERMINAL: cut_events(reply, reply->terminal); break;
    case FAULT_MISSING_DONE:
        cut_events(reply, reply->frame_count ? reply->frame_count - 1 : 0);
        break;
    case FAULT_EMPTY_BODY:
        reply->body.len = 0;
        reply->frame_count = 0;
        reply_stream(reply, STREAM_FORM_NONE);
        break;
    case FAULT_TRUNCATED_JSON:
        if (reply->form == STREAM_FORM_NONE)
            reply->body.len /= 2;
        break;
    default: break;
    }
}

static void change_delivery(struct delivery *d, const struct reply *reply,
                            const struct fault *fault)
{
    switch ((int)fault->kind) {
    case FAULT_RESET_BEFORE_HEAD: no_answer(d, ENDING_RESET); break;
    case FAULT_CLOSE_BEFORE_HEAD: no_answer(d, ENDING_ABORT); break;
    case FAULT_RESET_IN_HEAD: raw(d, "HTTP/1.1 200 OK\r\nContent-Ty", ENDING_RESET); break;
    case FAULT_GARBAGE: raw(d, "\x16\x03\x01 SSH-2.0-what is HTTP?\r\n\r\n", ENDING_ABORT); break;
    case FAULT_RESET_AFTER_HEAD:
        d->stop = 0;
        d->ending = ENDING_RESET;
        break;
    case FAULT_RESET_STREAM:
    case FAULT_RESET_MID_BODY: stop_in_middle(d, reply, fault, ENDING_RESET); break;
    case FAULT_CUT_STREAM:
    case FAULT_CUT_MID_BODY: stop_in_middle(d, reply, fault, ENDING_ABORT); break;
    case FAULT_STALL_BEFORE_HEAD: d->stall_at_head = true; break;
    case FAULT_STALL_MID_BODY:
        d->stop = middle(reply, fault);
        d->stall_at_stop = true;
        break;
    case FAULT_WRONG_LENGTH:
        if (!d->stream)
            d->length /= 2;
        break;
    default: break;
    }
}

void delivery_plan(struct delivery *delivery, struct reply *reply, const struct fault *fault)
{
    if (fault)
        change_reply(reply, fault);
    *delivery = (struct delivery){
        .head = true,
        .stream = reply->form != STREAM_FORM_NONE,
        .length = reply->form == STREAM_FORM_NONE ? (int64_t)reply->body.len : -1,
        .stop = units(reply),
        .ending = ENDING_WHOLE,
    };
    if (fault)
        change_delivery(delivery, reply, fault);
    delivery->whole = delivery->ending == ENDING_WHOLE;
}
