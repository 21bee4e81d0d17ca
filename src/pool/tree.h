/* Who owns what: service → organisation → project → key.
 *
 *     struct egress node ── struct service ── struct owner (organisation) ── struct owner (project)
 *                                                   └── keys of no known project    └── keys
 *
 * Only owners with a name have an object. A key whose project is unknown is its own project, and
 * one whose organisation is unknown its own organisation: the breakers of those scopes hang on the
 * key's node itself (or on the project's, when the project is known and its organisation is not).
 * So an unknown owner costs nothing, and learning it is moving breakers from one node to another.
 *
 * Owners are counted by their members and vanish with the last one, their breakers with them.
 */
#ifndef SPAREKEY_POOL_TREE_H
#define SPAREKEY_POOL_TREE_H

#include "base/list.h"
#include "pool/atomic.h"
#include "pool/pool.h"
#include "pool/readers.h"

/* Names longer than this are cut. */
#define OWNER_NAME_MAX 128

enum node_kind { NODE_EGRESS, NODE_SERVICE, NODE_ORGANIZATION, NODE_PROJECT, NODE_KEY };

/* A place breakers and buckets can hang on. */
struct node {
    struct breaker *breakers; /* posted: seen without the lock */
    struct bucket *buckets;   /* of headroom (headroom.h); posted, too */
    uint8_t open;             /* OPEN breakers here that stop every request of every key below */
    uint8_t kind;
    uint32_t pins; /* of an owner: a pool_load in progress; of a key: trails and probes that know
                      its id. It stays, though nothing else keeps it */
};

/* What the current selection knows of a node that keys share; valid while `seen` is its number. */
struct notes {
    uint64_t seen;
    bool suspects; /* a breaker here holds some key to have failed alone */
    uint8_t gate;
};

struct service {
    struct node node;
    struct notes notes;
    uint32_t index;
    bool ramping;    /* its trouble has ended: traffic comes back by and by (ramp.h) */
    int64_t ramp_ns; /* since then */
    int64_t sent_ns; /* the last request of the ramp */
    struct service *next;
};

struct owner {              /* an organisation or a project */
    struct garbage garbage; /* whoever looks without the lock may still have it in hand */
    struct node node;
    struct notes notes;
    uint64_t taboo;   /* the selection for which everything below is out of the question */
    uint64_t shunned; /* the selection that uses its keys only if it must */
    struct service *service;
    struct owner *org;    /* of a project: its organisation, NULL while unknown */
    struct owner *next;   /* chain of the name table */
    struct list siblings; /* of a project: in its organisation's `projects` */
    struct list projects; /* of an organisation */
    key_id members;       /* keys directly below: the first, and on by next_sibling */
    uint32_t name_len;
    char name[];
};

#define KEY_LINE 64 /* bytes of a cache line */

/* Two cache lines, and what few keys have must find a place elsewhere: there may be a million. */
struct key {
    struct node node;
    struct counts counts;  /* … and those of the readers (counts.h) */
    struct owner *project; /* NULL: its own */
    struct owner *org;     /* project's when there is one; NULL: its own or the project's own */

    struct service *service;
    uint64_t identity, cookie;
    uint32_t position; /* in the configured order, or POSITION_NONE when retired; posted */
    key_id id;
    uint32_t failures : 27; /* requests that were no success */
    uint32_t disabled : 1;  /* by an operator (operator.h) */
    uint32_t used : 1;
    uint32_t configured_org : 1, configured_project : 1;
    uint32_t staged : 1; /* named by the pool_load in progress */
    uint16_t consecutive_errors;
    bool proven; /* had an answer in this process */
    bool ruled;  /* there are rules for it (rules.h); posted */
    union {
        int64_t proof_started_ns; /* when its first request was sent … */
        int64_t disabled_ns;      /* … or, while it is disabled and sent none, since when */
    };
    uint64_t tried; /* the selection whose request has asked this key before, with its notes */
    key_id next_sibling, previous_sibling; /* members of its project, else of its organisation */
} __attribute__((aligned(128)));

#define POSITION_NONE UINT32_MAX

/* The node that stands for the key's project, organisation. */
static inline struct node *key_project_node(struct key *key)
{
    return key->project ? &key->project->node : &key->node;
}

static inline struct node *key_org_node(struct key *key)
{
    return key->org ? &key->org->node : key_project_node(key);
}

static inline struct slice owner_name(const struct owner *owner)
{
    return owner ? slice_of(owner->name, owner->name_len) : slice_of(NULL, 0);
}

static inline void key_count_error(struct key *key)
{
    if (key->consecutive_errors < UINT16_MAX)
        TALLY_SET(&key->consecutive_errors, (uint16_t)(key->consecutive_errors + 1));
}

static inline void key_forget_errors(struct key *key)
{
    if (key->consecutive_errors)
        TALLY_SET(&key->consecutive_errors, 0);
}

/* Names are kept cut, so they are compared cut. */
static inline bool owner_is_named(const struct owner *owner, struct slice name)
{
    return slice_eq(owner_name(owner),
                    slice_of(name.ptr, name.len < OWNER_NAME_MAX ? name.len : OWNER_NAME_MAX));
}

/* The service with this index, made when new. NULL: out of memory. */
struct service *tree_service(struct pool *pool, uint32_t index);

/* The owners with these names, made when new and pinned; NULL for an empty name.
 * STATUS_NO_MEMORY: nothing is pinned. */
NODISCARD
enum status tree_owners(struct pool *pool, struct service *service, struct slice org,
                        struct slice project, struct owner **ret_org, struct owner **ret_project);
void tree_unpin(struct pool *pool, struct owner *owner);

/* Gives the key other owners. What was open on the key for want of a known owner goes along to
 * that owner, where its siblings share it. */
void tree_rehome(struct pool *pool, struct key *key, struct owner *org, struct owner *project);

/* A project without a known organisation now belongs to `org`: every key in it, and what is open,
 * goes along; into the project of the same name there, if there is one. */
void tree_adopt(struct pool *pool, struct owner *project, struct owner *org);

/* Takes the key out of its owners' lists. */
void tree_leave(struct pool *pool, struct key *key);

/* Sets or clears the availability bit of the key, of every key below the node, and makes them
 * worth a look in every lane. */
void tree_refresh_key(struct pool *pool, struct key *key);
void tree_refresh(struct pool *pool, struct node *node);

/* Removes every breaker that hangs on the node. */
void tree_clear(struct pool *pool, struct node *node);

#endif
