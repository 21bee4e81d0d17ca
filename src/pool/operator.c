#include "pool/operator.h"

#include "pool/queue.h"
#include "pool/state.h"

key_id pool_key_at(const struct pool *pool, size_t index)
{
    return pool->order[index]->id;
}

static bool set_disabled(struct pool *pool, struct key *key, bool disabled)
{
    if (key->disabled == disabled)
        return false;
    key->disabled = disabled;
    pool->disabled = disabled ? pool->disabled + 1 : pool->disabled - 1;
    tree_refresh_key(pool, key);
    queue_tell(pool); /* who waits for this key, or may have it now, asks again */
    return true;
}

bool pool_disable(struct pool *pool, key_id id, int64_t now_ns)
{
    struct key *key = pool_key(pool, id);
    bool changed = set_disabled(pool, key, true);

    if (changed)
        key->disabled_ns = now_ns;
    return changed;
}

bool pool_enable(struct pool *pool, key_id key)
{
    return set_disabled(pool, pool_key(pool, key), false);
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
