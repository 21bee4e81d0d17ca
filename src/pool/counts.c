#include "pool/counts.h"

/* The next reader that counts for this key, from `r` on. */
static const struct pool_reader *counting(const struct pool_reader *r, const struct key *key)
{
    return key->id < COUNTS_APART ? r : NULL;
}

uint64_t counts_ended(const struct pool *pool, const struct key *key)
{
    uint64_t ended = PEEK(&key->counts.ended);

    for (const struct pool_reader *r = counting(pool->readers.first, key); r; r = r->next)
        ended += PEEK(&r->counts[key->id].ended);
    return ended;
}

uint32_t counts_in_flight(const struct pool *pool, const struct key *key)
{
    uint64_t ended = counts_ended(pool, key); /* before what began */
    uint64_t begun = TALLY(&key->counts.begun);

    for (const struct pool_reader *r = counting(pool->readers.first, key); r; r = r->next)
        begun += TALLY(&r->counts[key->id].begun);
    return (uint32_t)(begun - ended);
}

int64_t counts_last_used_ns(const struct pool *pool, const struct key *key)
{
    int64_t last_ns = TALLY(&key->counts.last_used_ns);

    for (const struct pool_reader *r = counting(pool->readers.first, key); r; r = r->next) {
        const struct counts *c = &r->counts[key->id];
        if (TALLY(&c->begun) && TALLY(&c->last_used_ns) > last_ns)
            last_ns = TALLY(&c->last_used_ns);
    }
    return last_ns;
}

void counts_forget(struct pool *pool, const struct key *key)
{
    if (key->id >= COUNTS_APART)
        return;
    for (struct pool_reader *r = pool->readers.first; r; r = r->next) {
        struct counts *c = &r->counts[key->id];
        TALLY_SET(&c->begun, 0);
        TALLY_SET(&c->ended, 0);
        TALLY_SET(&c->last_used_ns, 0);
    }
}

void counts_hand_over(struct pool *pool, const struct pool_reader *reader)
{
    for (key_id id = 0; id < COUNTS_APART && id < pool->keys.used; id++) {
        const struct counts *from = &reader->counts[id];
        struct counts *to = &pool_key(pool, id)->counts;

        if (!from->begun && !from->ended)
            continue;
        if (from->begun && from->last_used_ns > to->last_used_ns)
            TALLY_SET(&to->last_used_ns, from->last_used_ns);
        TALLY_ADD(&to->begun, from->begun);
        __atomic_fetch_add(&to->ended, from->ended, __ATOMIC_RELEASE);
    }
}
