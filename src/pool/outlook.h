/* What a request that found no key can hope for: what stands in the way of each key, and which way
 * clears first.
 *
 * Of a pool of up to OUTLOOK_KEYS keys every one is looked at. Of a larger one those that can tell
 * most, OUTLOOK_SAMPLE of each: the first in order, those that are not out but in use, and those
 * whose breakers are due first, in the order of time until no later one can come sooner. So what a
 * refusal costs under the lock does not grow with the keys beyond that, and what it says is the
 * truth about the keys looked at: time may bring another key back sooner, never later; and not
 * sooner either, unless OUTLOOK_SAMPLE breakers that do not concern the request are due before.
 *
 * Cost: some hundred nanoseconds a key that is not in the cache. Its breakers are found by its
 * nodes, where they are few, and not in the table of all.
 */
#ifndef SPAREKEY_POOL_OUTLOOK_H
#define SPAREKEY_POOL_OUTLOOK_H

#include "pool/state.h"

#define OUTLOOK_KEYS   1024
#define OUTLOOK_SAMPLE 256
/* A node with more breakers than this (of models, which callers name) has them looked up. */
#define OUTLOOK_RING 8

struct outlook {
    bool in_use;          /* a key it may use is half-open and being tried by another request */
    int64_t service_ns;   /* first end of a service's trouble where nothing else is wrong, or -1 */
    int64_t usable_ns;    /* when time alone first brings back a key this request may use, or -1 */
    int64_t recovery_ns;  /* when time alone first brings any key back, or -1 */
    enum failure cooling; /* … and what it recovers from */
    enum failure dead;    /* FAILURE_NONE, or what an operator must mend */
    unsigned looks;       /* keys looked at, some more than once */
};

/* After select_key of the same selection answered CHOICE_NONE or CHOICE_FULL. */
void outlook_see(struct pool *pool, const struct route *route, int64_t now_ns,
                 struct outlook *ret_outlook);

#endif
