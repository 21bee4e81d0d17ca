#include "pool/tree.h"

#include <stdlib.h>
#include <string.h>

#include "pool/headroom.h"
#include "pool/probe.h"
#include "pool/state.h"

struct service *tree_service(struct pool *pool, uint32_t index)
{
    struct service *s = pool->services;

    while (s && s->index != index)
        s = s->next;
    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->node.kind = NODE_SERVICE;
    s->index = index;
    s->next = pool->services;
    pool->services = s;
    return s;
}

/* An owner's identity: a project of an unknown organisation is another than one of a known. */
struct owner_key {
    struct service *service;
    struct owner *org;
    struct slice name;
    enum node_kind kind;
};

static size_t name_bucket(const struct pool *pool, const struct owner_key *who)
{
    uint64_t hash = hash_bytes(&pool->hash_seed, who->name);

    hash = hash_mix(hash, (uintptr_t)who->service);
    hash = hash_mix(hash, (uintptr_t)who->org);
    return (size_t)hash_mix(hash, who->kind) & (pool->name_buckets - 1);
}

static struct owner_key identity_of(const struct owner *owner)
{
    return (struct owner_key){owner->service, owner->org, owner_name(owner), owner->node.kind};
}

static bool owner_is(const struct owner *owner, const struct owner_key *who)
{
    return owner->service == who->service && owner->org == who->org &&
           owner->node.kind == who->kind && slice_eq(owner_name(owner), who->name);
}

static struct owner *owner_find(const struct pool *pool, const struct owner_key *who)
{
    struct owner *owner = pool->names[name_bucket(pool, who)];

    while (owner && !owner_is(owner, who))
        owner = owner->next;
    return owner;
}

static void name_link(struct pool *pool, struct owner *owner)
{
    struct owner_key who = identity_of(owner);
    size_t bucket = name_bucket(pool, &who);

    owner->next = pool->names[bucket];
    pool->names[bucket] = owner;
}

static void name_unlink(struct pool *pool, struct owner *owner)
{
    struct owner_key who = identity_of(owner);
    struct owner **at = &pool->names[name_bucket(pool, &who)];

    while (*at != owner)
        at = &(*at)->next;
    *at = owner->next;
}

/* As with breakers: longer chains are only slower. */
static void grow_names(struct pool *pool)
{
    size_t old_count = pool->name_buckets;
    struct owner **old = pool->names;
    struct owner **bigger = calloc(old_count * 2, sizeof(*bigger));

    if (!bigger)
        return;
    pool->names = bigger;
    pool->name_buckets = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct owner *owner = old[i], *next; owner; owner = next) {
            next = owner->next;
            name_link(pool, owner);
        }
    }
    free(old);
}

static struct owner *owner_new(struct pool *pool, const struct owner_key *who)
{
    struct owner *owner = calloc(1, sizeof(*owner) + who->name.len);

    if (!owner)
        return NULL;
    owner->node.kind = (uint8_t)who->kind;
    owner->service = who->service;
    owner->org = who->org;
    owner->name_len = (uint32_t)who->name.len;
    memcpy(owner->name, who->name.ptr, who->name.len);
    list_init(&owner->siblings);
    list_init(&owner->projects);
    owner->members = KEY_NONE;
    if (owner->org)
        list_append(&owner->org->projects, &owner->siblings);
    if (pool->name_count++ >= pool->name_buckets)
        grow_names(pool);
    name_link(pool, owner);
    return owner;
}

static void release_owner(struct garbage *garbage)
{
    free(container_of(garbage, struct owner, garbage));
}

static void owner_collect(struct pool *pool, struct owner *owner)
{
    struct owner *org;

    if (!owner || owner->node.pins || owner->members != KEY_NONE || !list_empty(&owner->projects))
        return;
    org = owner->org;
    tree_clear(pool, &owner->node);
    name_unlink(pool, owner);
    list_remove(&owner->siblings);
    pool->name_count--;
    owner->garbage.release = release_owner;
    pool_defer(pool, &owner->garbage);
    owner_collect(pool, org);
}

static struct slice cut_name(struct slice name)
{
    return slice_of(name.ptr, name.len < OWNER_NAME_MAX ? name.len : OWNER_NAME_MAX);
}

static struct owner *owner_pinned(struct pool *pool, const struct owner_key *who)
{
    struct owner *owner = owner_find(pool, who);

    if (!owner)
        owner = owner_new(pool, who);
    if (owner)
        owner->node.pins++;
    return owner;
}

enum status tree_owners(struct pool *pool, struct service *service, struct slice org,
                        struct slice project, struct owner **ret_org, struct owner **ret_project)
{
    struct owner *o = NULL, *p = NULL;

    if (org.len) {
        o = owner_pinned(pool,
                         &(struct owner_key){service, NULL, cut_name(org), NODE_ORGANIZATION});
        if (!o)
            return STATUS_NO_MEMORY;
    }
    if (project.len) {
        p = owner_pinned(pool, &(struct owner_key){service, o, cut_name(project), NODE_PROJECT});
        if (!p) {
            tree_unpin(pool, o);
            return STATUS_NO_MEMORY;
        }
    }
    *ret_org = o;
    *ret_project = p;
    return STATUS_OK;
}

void tree_unpin(struct pool *pool, struct owner *owner)
{
    if (!owner)
        return;
    owner->node.pins--;
    owner_collect(pool, owner);
}

static bool scope_of_project(enum scope scope)
{
    return scope == SCOPE_PROJECT || scope == SCOPE_PROJECT_MODEL;
}

static bool scope_of_org(enum scope scope)
{
    return scope == SCOPE_ORG || scope == SCOPE_ORG_MODEL || scope == SCOPE_ORG_MODEL_STREAM;
}

/* Of two breakers that turn out to stand at one place, whether `a` weighs more. */
static bool outweighs(const struct breaker *a, const struct breaker *b)
{
    static const int weight[] = {[CIRCUIT_CLOSED] = 0, [CIRCUIT_HALF_OPEN] = 1, [CIRCUIT_OPEN] = 2};

    if (a->state != b->state)
        return weight[a->state] > weight[b->state];
    return a->state == CIRCUIT_OPEN && a->due_ns > b->due_ns;
}

static void count_open(struct node *node, const struct breaker *b, int by)
{
    if (b->state == CIRCUIT_OPEN && !scope_has_detail(b->place.scope))
        node->open = (uint8_t)(node->open + by);
}

static void discard(struct pool *pool, struct breaker *b)
{
    count_open(b->place.node, b, -1);
    probe_forget(pool, b);
    circuits_remove(&pool->circuits, b);
}

static void move_breaker(struct pool *pool, struct breaker *b, struct node *to)
{
    struct place place = {to, b->place.detail, b->place.scope};
    struct breaker *there = circuits_find(&pool->circuits, place);

    if (there && !outweighs(b, there)) {
        discard(pool, b);
        return;
    }
    if (there)
        discard(pool, there);
    count_open(b->place.node, b, -1);
    circuits_rehang(&pool->circuits, b, to);
    count_open(to, b, +1);
}

/* Those of a level only: what is said of the key itself stays with the key. */
static void move_breakers(struct pool *pool, struct node *from, struct node *to,
                          bool (*of_level)(enum scope))
{
    uint8_t open_before = to->open;

    if (from == to)
        return;
    for (struct breaker *b = from->breakers, *next; b; b = next) {
        next = b->next;
        if (of_level(b->place.scope))
            move_breaker(pool, b, to);
    }
    if (to->open != open_before)
        tree_refresh(pool, to);
}

/* Breakers and buckets of one level. */
static void move_level(struct pool *pool, struct node *from, struct node *to,
                       enum bucket_level level)
{
    move_breakers(pool, from, to, level == LEVEL_ORG ? scope_of_org : scope_of_project);
    headroom_move(pool, from, to, level);
}

void tree_clear(struct pool *pool, struct node *node)
{
    while (node->breakers)
        discard(pool, node->breakers);
    headroom_clear(pool, node);
}

void tree_refresh_key(struct pool *pool, struct key *key)
{
    bool open =
        key->disabled || key->node.open || key_project_node(key)->open || key_org_node(key)->open;
    void (*change)(struct bits *, size_t) = open ? bits_remove : bits_add;

    if (key->position == POSITION_NONE)
        return;
    change(&pool->view->ready, key->position);
    for (int i = 0; i < LANE_COUNT; i++)
        if (pool->view->lanes[i])
            change(&pool->view->lanes[i]->worth, key->position);
}

static void refresh_members(struct pool *pool, struct owner *owner)
{
    for (key_id id = owner->members; id != KEY_NONE; id = pool_key(pool, id)->next_sibling)
        tree_refresh_key(pool, pool_key(pool, id));
}

static void refresh_org(struct pool *pool, struct owner *org)
{
    refresh_members(pool, org);
    for (struct list *at = org->projects.next; at != &org->projects; at = at->next)
        refresh_members(pool, container_of(at, struct owner, siblings));
}

void tree_refresh(struct pool *pool, struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_KEY: tree_refresh_key(pool, container_of(node, struct key, node)); break;
    case NODE_PROJECT: refresh_members(pool, container_of(node, struct owner, node)); break;
    case NODE_ORGANIZATION: refresh_org(pool, container_of(node, struct owner, node)); break;
    case NODE_SERVICE:
    case NODE_EGRESS: break; /* looked at once a selection, not once a key */
    }
}

/* The owner in whose list of members the key is, or NULL. */
static struct owner *list_of(const struct key *key)
{
    return key->project ? key->project : key->org;
}

static void unlist(struct pool *pool, struct key *key)
{
    struct owner *owner = list_of(key);

    if (!owner)
        return;
    if (key->previous_sibling == KEY_NONE)
        owner->members = key->next_sibling;
    else
        pool_key(pool, key->previous_sibling)->next_sibling = key->next_sibling;
    if (key->next_sibling != KEY_NONE)
        pool_key(pool, key->next_sibling)->previous_sibling = key->previous_sibling;
}

static void enlist(struct pool *pool, struct key *key)
{
    struct owner *owner = list_of(key);

    if (!owner)
        return;
    key->previous_sibling = KEY_NONE;
    key->next_sibling = owner->members;
    if (owner->members != KEY_NONE)
        pool_key(pool, owner->members)->previous_sibling = key->id;
    owner->members = key->id;
}

static void join(struct pool *pool, struct key *key, struct owner *org, struct owner *project)
{
    unlist(pool, key);
    POST(&key->org, org);
    POST(&key->project, project);
    enlist(pool, key);
}

void tree_leave(struct pool *pool, struct key *key)
{
    struct owner *org = key->org, *project = key->project;

    join(pool, key, NULL, NULL);
    /* An organisation goes with its last project, so look at it only when there is none. */
    owner_collect(pool, project ? project : org);
}

void tree_rehome(struct pool *pool, struct key *key, struct owner *org, struct owner *project)
{
    struct owner *old_org = key->org, *old_project = key->project;
    bool own_project = !old_project;
    bool own_org = key_org_node(key) == &key->node;

    if (old_org == org && old_project == project)
        return;
    join(pool, key, org, project);
    if (own_project)
        move_level(pool, &key->node, key_project_node(key), LEVEL_PROJECT);
    if (own_org)
        move_level(pool, &key->node, key_org_node(key), LEVEL_ORG);
    tree_refresh_key(pool, key);
    owner_collect(pool, old_project ? old_project : old_org);
}

/* Two projects that turn out to be one. */
static void merge_project(struct pool *pool, struct owner *from, struct owner *into)
{
    from->node.pins++;
    move_level(pool, &from->node, &into->node, LEVEL_PROJECT);
    move_level(pool, &from->node, &into->org->node, LEVEL_ORG);
    while (from->members != KEY_NONE) {
        struct key *key = pool_key(pool, from->members);
        join(pool, key, into->org, into);
        tree_refresh_key(pool, key);
    }
    tree_unpin(pool, from);
}

void tree_adopt(struct pool *pool, struct owner *project, struct owner *org)
{
    struct owner *there = owner_find(
        pool, &(struct owner_key){project->service, org, owner_name(project), NODE_PROJECT});

    if (there) {
        merge_project(pool, project, there);
        return;
    }
    name_unlink(pool, project);
    project->org = org;
    name_link(pool, project);
    list_append(&org->projects, &project->siblings);
    for (key_id id = project->members; id != KEY_NONE; id = pool_key(pool, id)->next_sibling)
        POST(&pool_key(pool, id)->org, org);
    move_level(pool, &project->node, &org->node, LEVEL_ORG);
    refresh_members(pool, project);
}
