/* Which key serves this request now.
 *
 * A selection has a number (pool->stamp); notes on nodes and keys carry it, so that a new
 * selection starts with a clean slate for free. Begin one, mark what the request has been through,
 * then choose, and, when there is nothing to choose, ask for the outlook (outlook.h).
 *
 * Cost: set bits of `ready` are visited by count-trailing-zeros, so keys that are out as a whole
 * cost 1/64 of a word. A key that is out for this model only costs one look, one for all keys of
 * its project or organisation, and then no more until that changes (struct lane).
 */
#ifndef SPAREKEY_POOL_SELECT_H
#define SPAREKEY_POOL_SELECT_H

#include "pool/state.h"

/* Applies what is due and begins a selection. */
void select_begin(struct pool *pool, int64_t now_ns);

/* Marks: this key has been asked; the failure of this attempt condemned its whole project, its
 * whole organisation. Shunned: keys of that organisation only if no other can be had. */
void select_tried(struct pool *pool, key_id key, bool may_repeat);
void select_shun_org(struct pool *pool, key_id key);
void select_only_project(struct pool *pool, key_id id); /* every other project is out */
void select_avoid_project(struct pool *pool, key_id key);
void select_avoid_org(struct pool *pool, key_id key);

enum choice {
    CHOICE_KEY,
    CHOICE_PROOF, /* the right key is unproven and being asked: wait for that answer */
    CHOICE_FULL,  /* those that could serve it are out of headroom, or at their caps */
    CHOICE_NONE,
};

struct pick {
    key_id key;        /* CHOICE_KEY; CHOICE_FULL: the one to try if need be, or KEY_NONE */
    int64_t until_ns;  /* CHOICE_PROOF: when waiting ends; CHOICE_FULL: when there is room,
                          INT64_MAX where only the end of another request can tell */
    double pace_per_s; /* CHOICE_FULL: how many such requests find room a second, 0 = unknown */
};

/* `prefer`: the key to stay with if it is ready, or KEY_NONE. */
enum choice select_key(struct pool *pool, const struct route *route, key_id prefer, int64_t now_ns,
                       struct pick *ret_pick);

/* For outlook.c. */

/* What a breaker says to a request, from the best to the worst. */
enum gate {
    GATE_PASS,
    GATE_LEASE, /* half-open: whoever passes takes the lease */
    GATE_BUSY,  /* half-open, and the lease is out */
    GATE_OPEN,
};

enum gate select_gate(const struct breaker *b, int64_t now_ns);

/* The breaker of this scope on this node that concerns the request, or NULL. */
struct breaker *select_breaker_at(const struct pool *pool, const struct route *route,
                                  struct node *node, enum scope scope);

/* Whether a breaker says something about requests of this route. */
bool select_concerns(const struct route *route, const struct breaker *b);

/* The keys that are worth a look for this kind of request: all that are not out, as far as is known. */
const struct bits *select_worth(const struct pool *pool, const struct route *route);

/* Whether this request must not ask the key (again), by the marks of this selection. */
bool select_is_ruled_out(const struct pool *pool, const struct key *key);

#endif
