#include "client/perform.h"

#include "client/compose.h"
#include "client/fault.h"
#include "client/loop.h"

int perform_check(sparekey_client *client, const sparekey_call_options *call,
                  sparekey_result **ret_result, sparekey_call_options *ret_call,
                  sparekey_error *error)
{
    if (!client)
        return fault_argument(error, "client", "is NULL");
    *ret_call = sparekey_call_options_init();
    int code = check_options(error, ret_call, sizeof *ret_call, call);
    if (code != SPAREKEY_OK)
        return code;
    if (!ret_result && !ret_call->on_done)
        return fault_argument(error, "ret_result", "is NULL, and there is no on_done");
    if (ret_result && ret_call->on_done)
        return fault_argument(error, "ret_result", "must be NULL when there is an on_done");
    if (ret_call->loop && !ret_call->on_done)
        return fault_argument(error, "options.loop", "needs an on_done");
    if (ret_call->loop && ret_call->loop->client != client)
        return fault_argument(error, "options.loop", "belongs to another client");
    if (ret_call->timeout_ms < 0)
        return fault_argument(error, "options.timeout_ms", "is negative");
    code = client_usable(client);
    return code == SPAREKEY_OK ? code : fault_set(error, code, "%s", sparekey_status_text(code));
}

bool perform_streams(const sparekey_call_options *call)
{
    return call->on_text || call->on_event;
}

static int no_memory(sparekey_error *error)
{
    return fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
}

/* ---- now --------------------------------------------------------------------------------- */

static int run(struct lane *lane, struct call *call, sparekey_result **ret_result,
               sparekey_error *error)
{
    struct pool_reader *before = lane_begin(lane);

    call_begin(call, lane);
    while (!call->ended)
        lane_turn(lane, -1);
    notices_tell(&lane->client->notices);
    lane_end(lane, before);
    if (!call->result)
        return fault_copy(error, &call->error);
    *ret_result = call->result;
    call->result = NULL;
    return SPAREKEY_OK;
}

static int perform_now(sparekey_client *client, struct request *request,
                       const sparekey_call_options *options, sparekey_result **ret_result,
                       sparekey_error *error)
{
    struct lane *lane = client_enter(client);

    if (!lane)
        return fault_set(error, SPAREKEY_ERROR_SYSTEM,
                         "no memory or no descriptors for another thread's requests (ulimit -n)");
    struct call *call = lane_take_call(lane);
    int code = call ? call_prepare(call, request, options, error) : no_memory(error);
    if (code == SPAREKEY_OK)
        code = run(lane, call, ret_result, error);
    if (call)
        lane_return_call(lane, call);
    client_leave(client, lane);
    return code;
}

/* ---- later ------------------------------------------------------------------------------- */

static int perform_later(sparekey_client *client, struct request *request,
                         const sparekey_call_options *options, sparekey_error *error)
{
    struct lane *lane = options->loop ? options->loop->lane : NULL;
    int code = lane ? SPAREKEY_OK : client_background(client, &lane);

    if (code != SPAREKEY_OK)
        return fault_set(error, code, "the client's thread cannot be started");
    struct call *call = call_new(client);
    code = call ? call_prepare(call, request, options, error) : no_memory(error);
    if (code == SPAREKEY_OK)
        lane_post(lane, call);
    else
        call_free(call);
    return code;
}

int perform(sparekey_client *client, struct request *request, int composed,
            const sparekey_call_options *call, sparekey_result **ret_result, sparekey_error *error)
{
    int code = composed;

    if (code == SPAREKEY_OK && call->on_done)
        code = perform_later(client, request, call, error);
    else if (code == SPAREKEY_OK)
        code = perform_now(client, request, call, ret_result, error);
    buffer_clear(&request->path);
    buffer_clear(&request->body);
    return code;
}
