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
#include "pool/pool.h"

/* Names longer than this are cut. */
#define OWNER_NAME_MAX 128

enum node_kind { NODE_EGRESS, NODE_SERVICE, NODE_ORGANIZATION, NODE_PROJECT, NODE_KEY };

/* A place breakers can hang on. `seen`, `gate` and `suspect` are the selection's notes and valid
 * only while `seen` is its number (select.c). */
struct node {
    struct breaker *breakers;
    uint64_t seen;
    uint64_t taboo; /* the selection for which everything below is out of the question */
    uint32_t open;  /* OPEN breakers here that stop every request of every key below */
    bool suspects;  /* a breaker here holds `suspect` to have failed alone */
    uint64_t suspect;
    uint8_t kind;
    uint8_t gate;
    bool metered; /* buckets of headroom may stand here (headroom.c) */
};

struct service {
    struct node node;
    uint32_t index;
    struct service *next;
};

struct owner { /* an organisation or a project */
    struct node node;
    struct service *service;
    struct owner *org;    /* of a project: its organisation, NULL while unknown */
    struct owner *next;   /* chain of the name table */
    struct list siblings; /* of a project: in its organisation's `projects` */
    struct list projects; /* of an organisation */
    struct list members;  /* keys directly below */
    uint32_t pins;        /* held by a pool_load in progress */
    uint32_t name_len;
    char name[];
};

struct key {
    struct node node;
    struct owner *project; /* NULL: its own */
    struct owner *org;     /* project's when there is one; NULL: its own or the project's own */
    struct service *service;
    struct list siblings; /* in the members of its project, else of its organisation */
    struct key *next;     /* chain of the identity table */
    uint64_t identity, cookie;
    uint64_t requests, successes;
    int64_t last_used_ns;
    int64_t proof_started_ns;
    uint64_t tried; /* the selection whose request has asked this key before */
    key_id id;
    uint32_t position;   /* in the configured order, or POSITION_NONE when retired */
    uint32_t references; /* attempts and trails that know the id */
    uint32_t in_flight;
    uint32_t consecutive_errors;
    bool proven; /* had an answer in this process */
    bool configured_org, configured_project;
    bool tried_for_good; /* … and its verdict does not allow a repetition */
    bool staged;         /* named by the pool_load in progress */
};

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
