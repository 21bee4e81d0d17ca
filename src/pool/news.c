#include "pool/news.h"

#include "pool/breaker.h"
#include "pool/state.h"

_Static_assert((NEWS_MAX & (NEWS_MAX - 1)) == 0, "numbers are places modulo NEWS_MAX");

static void name_account(struct pool_transition *t, const struct owner *owner)
{
    (void)slice_copy(owner_name(owner), t->account, sizeof t->account);
    t->service = owner->service->index;
}

/* Whose node it is: the kind tells what it is embedded in. */
static void name_place(struct pool_transition *t, const struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_KEY: {
        const struct key *key = container_of(node, struct key, node);
        t->key = key->id;
        t->service = key->service->index;
        return;
    }
    case NODE_ORGANIZATION:
    case NODE_PROJECT: name_account(t, container_of(node, struct owner, node)); return;
    case NODE_SERVICE: t->service = container_of(node, struct service, node)->index; return;
    case NODE_EGRESS: return;
    }
}

void news_tell(struct pool *pool, const struct breaker *b, enum circuit from)
{
    struct news *news = &pool->news;
    struct pool_transition *t = &news->items[news->told % NEWS_MAX];

    *t = (struct pool_transition){
        .from = from,
        .to = (enum circuit)b->state,
        .scope = b->place.scope,
        .reason = (enum failure)b->reason,
        .key = KEY_NONE,
        .at_ns = b->since_ns,
        .until_ns = b->state == CIRCUIT_OPEN ? b->due_ns : 0,
        .evidence = b->evidence,
    };
    name_place(t, b->place.node);
    news->told++;
}

bool pool_has_news(const struct pool *pool)
{
    return pool->news.taken != pool->news.told;
}

bool pool_news_next(struct pool *pool, struct pool_transition *ret)
{
    struct news *news = &pool->news;

    if (news->taken == news->told)
        return false;
    if (news->told - news->taken > NEWS_MAX) {
        news->lost += news->told - news->taken - NEWS_MAX;
        news->taken = news->told - NEWS_MAX;
    }
    *ret = news->items[news->taken++ % NEWS_MAX];
    return true;
}

bool pool_news_cookie(const struct pool *pool, const struct pool_transition *t,
                      uint64_t *ret_cookie)
{
    if (t->key == KEY_NONE || t->key >= pool->keys.used)
        return false;
    const struct key *key = pool_key(pool, t->key);
    if (!key->used || key->position == POSITION_NONE)
        return false;
    *ret_cookie = key->cookie;
    return true;
}

uint64_t pool_news_lost(const struct pool *pool)
{
    const struct news *news = &pool->news;
    uint64_t waiting = news->told - news->taken;

    return news->lost + (waiting > NEWS_MAX ? waiting - NEWS_MAX : 0);
}

/* With one service, which is all but every pool, two looks are the whole answer. */
bool pool_any_ready(const struct pool *pool)
{
    size_t at = bits_next(&pool->view->ready, 0);

    if (pool->egress.open || at == BITS_NONE)
        return false;
    for (unsigned looks = 0; at != BITS_NONE && looks < NEWS_LOOKS_MAX; looks++) {
        const struct service *service = pool->order[at]->service;
        if (!service->node.open)
            return true;
        if (!service->next && pool->services == service)
            return false;
        at = bits_next(&pool->view->ready, at + 1);
    }
    return at != BITS_NONE;
}
