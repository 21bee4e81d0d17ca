#include "gateway/keys_route.h"

#include <stdlib.h>

#include "gateway/health.h"

struct order_name {
    struct slice verb;
    enum key_order order;
};

static const struct order_name orders[] = {
    {SLICE("reset"), KEY_ORDER_RESET},
    {SLICE("disable"), KEY_ORDER_DISABLE},
    {SLICE("enable"), KEY_ORDER_ENABLE},
};

/* One order under way. */
struct errand {
    const struct order_name *order;
    char id[KEY_NAME_MAX];
    int64_t now_ns;
    enum key_match match;
    struct key_status key;
    enum status status;
    struct buffer text; /* what is answered */
};

static const struct order_name *order_find(struct slice verb)
{
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (slice_eq(orders[i].verb, verb))
            return &orders[i];
    return NULL;
}

static void carry_out(struct own_request *own)
{
    struct errand *e = own->state;

    e->match =
        keyring_order(own->worker->shared->keyring, e->id, e->order->order, e->now_ns, &e->key);
    if (e->match == KEY_MATCH_ONE)
        e->status = health_key(&e->key, e->now_ns, &e->text);
}

static void reply(struct own_request *own)
{
    struct errand *e = own->state;

    own->state = NULL;
    switch (e->match) {
    case KEY_MATCH_NONE:
        own_reply_error(own, 404, "unknown_key",
                        "No key has this name, mask or place; see /api/openai/health.");
        break;
    case KEY_MATCH_MANY:
        own_reply_error(own, 409, "ambiguous_key",
                        "More than one key is shown by this mask; use its name.");
        break;
    case KEY_MATCH_ONE:
        if (e->status == STATUS_OK)
            own_reply_json(own, 200, buffer_slice(&e->text));
        else
            own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory.");
        break;
    }
    buffer_clear(&e->text);
    free(e);
}

/* "{id}/{verb}" behind the prefix. The id may hold slashes: the last one counts. */
static bool split(struct slice rest, struct slice *ret_id, struct slice *ret_verb)
{
    const char *slash = memrchr(rest.ptr, '/', rest.len);

    if (!slash || slash == rest.ptr)
        return false;
    *ret_id = slice_of(rest.ptr, (size_t)(slash - rest.ptr));
    *ret_verb = slice_from(rest, ret_id->len + 1);
    return true;
}

void keys_route_answer(struct own_request *own)
{
    struct slice rest = slice_from(own->path, sizeof KEYS_ROUTE_PREFIX - 1), id, verb;
    const struct order_name *order = split(rest, &id, &verb) ? order_find(verb) : NULL;
    struct errand *e = order ? calloc(1, sizeof *e) : NULL;

    if (!order) {
        own_reply_error(own, 404, "unknown_order",
                        "The path must be " KEYS_ROUTE_PREFIX "{id}/reset, disable or enable.");
        return;
    }
    if (!e) {
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
        return;
    }
    e->order = order;
    (void)slice_unescape(id, true, e->id, sizeof e->id);
    e->now_ns = net_now_ns(&own->worker->loop);
    own->state = e;
    own_background(own, carry_out, reply);
}
