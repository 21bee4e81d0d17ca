#include "pool/operator.h"

#include "pool/queue.h"
#include "pool/state.h"

key_id pool_key_at(const struct pool *pool, size_t index)
{
    return pool->order[index]->id;
}

static void set_disabled(struct pool *pool, key_id id, bool disabled)
{
    struct key *key = pool_key(pool, id);

    if (key->disabled == disabled)
        return;
    key->disabled = disabled;
    tree_refresh_key(pool, key);
    queue_tell(pool); /* who waits for this key, or may have it now, asks again */
}

void pool_disable(struct pool *pool, key_id key)
{
    set_disabled(pool, key, true);
}

void pool_enable(struct pool *pool, key_id key)
{
    set_disabled(pool, key, false);
}

static void close_all(struct pool *pool, const struct node *node)
{
    while (node->breakers)
        circuit_close(pool, node->breakers);
}

void pool_reset(struct pool *pool, key_id id)
{
    struct key *key = pool_key(pool, id);

    close_all(pool, &key->node);
    close_all(pool, key_project_node(key));
    close_all(pool, key_org_node(key));
    key_forget_errors(key);
    queue_tell(pool);
}
