/* News: what has changed at breakers, kept until somebody asks.
 *
 * The engine tells nobody; the caller takes the news after a call that may have changed something
 * (the gateway's keyring does, under its lock) and passes them on. News that nobody takes are
 * overwritten, the oldest first, and counted: they are for people, no decision rests on them.
 *
 * A transition names whose breaker it was by value, because key and account may be gone before the
 * news are read.
 */
#ifndef SPAREKEY_POOL_NEWS_H
#define SPAREKEY_POOL_NEWS_H

#include "pool/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NEWS_MAX       64   /* transitions kept for who asks later; a power of two */
#define NEWS_LOOKS_MAX 4096 /* keys looked at by pool_any_ready when a service is out */
#define NEWS_NAME_MAX  96 /* bytes of an account's name, with its terminator; longer ones are cut */

struct pool_transition {
    enum circuit from, to;
    enum scope scope;
    enum failure reason;
    key_id key; /* whose breaker it is, where the scope or an unknown owner makes it a key's; else
                   KEY_NONE */
    uint32_t service;            /* of every scope but SCOPE_EGRESS */
    char account[NEWS_NAME_MAX]; /* the organisation or project; "" where it is none */
    int64_t at_ns;               /* when the breaker left CLOSED */
    int64_t until_ns;            /* to == CIRCUIT_OPEN: its end */
    struct evidence evidence;
};

struct news {
    struct pool_transition items[NEWS_MAX];
    uint64_t told, taken; /* running numbers: of the next one written, of the next one read */
    uint64_t lost;
};

/* The oldest transition not taken yet; false when there is none. */
bool pool_news_next(struct pool *pool, struct pool_transition *ret);

/* Whether pool_news_next has something; cheap. */
bool pool_has_news(const struct pool *pool);

/* The caller's handle of the key whose breaker it is; false where it is no key's, or the key is
 * loaded no more. Sure only before the pool is called again. */
bool pool_news_cookie(const struct pool *pool, const struct pool_transition *t,
                      uint64_t *ret_cookie);

/* Transitions overwritten before anybody took them, since the beginning. */
uint64_t pool_news_lost(const struct pool *pool);

/* Whether any loaded key may serve a request that asks for nothing special: none of the breakers
 * of its key, project, organisation or service stands open. O(log64 keys); of several services with
 * NEWS_LOOKS_MAX keys out in a row for their service, it takes the next one to be ready. */
bool pool_any_ready(const struct pool *pool);

#ifdef __cplusplus
}
#endif
#endif
