#include "pool/select.h"

#include "pool/counts.h"
#include "pool/headroom.h"

#include <stdlib.h>
#include <string.h>

struct look {
    struct pool *pool;
    const struct route *route;
    int64_t now_ns;
    bool repeat;          /* this pass is for keys that were asked before */
    bool rotate;          /* any ready key will do, so none is waited for */
    struct lane *lane;    /* of the route, or NULL while none is needed */
    struct key *soft;     /* ready, but suspected of failing alone */
    struct key *overdue;  /* ready, but its first answer ever is a long time coming */
    struct key *unproven; /* would be it, but its first answer is awaited */
    struct key *full;     /* would be it, but for its accounts' headroom; the first to have it */
    int64_t full_ns;      /* when that is */
    int64_t room_ns;      /* when any key has room again, INT64_MAX = none is full */
    double pace_per_s;    /* of all full accounts together */
    bool crowded;         /* a key is at its cap */
    bool scoring;         /* the best of many is wanted, not the first */
    unsigned scored;
    struct key *best;
    double best_score;
};

/* How many ready keys a strategy that compares keys looks at: among so many the best is good. */
#define SCORED_MAX 256

#define SCOPE_BIT(scope) (1u << (scope))
#define KEY_SCOPES       (SCOPE_BIT(SCOPE_KEY) | SCOPE_BIT(SCOPE_KEY_FAMILY))
#define PROJECT_SCOPES   (SCOPE_BIT(SCOPE_PROJECT) | SCOPE_BIT(SCOPE_PROJECT_MODEL))
#define ORG_SCOPES                                                                                 \
    (SCOPE_BIT(SCOPE_ORG) | SCOPE_BIT(SCOPE_ORG_MODEL) | SCOPE_BIT(SCOPE_ORG_MODEL_STREAM))
#define SERVICE_SCOPES (SCOPE_BIT(SCOPE_SERVICE) | SCOPE_BIT(SCOPE_SERVICE_MODEL))
#define EGRESS_SCOPES  SCOPE_BIT(SCOPE_EGRESS)

void select_begin(struct pool *pool, int64_t now_ns)
{
    if (TALLY(&pool->pending))
        pool_collect(pool);
    pool_apply_due(pool, now_ns);
    pool->stamp++;
}

/* What a selection knows of a key: its number and these, in one word of the key. */
enum {
    NOTE_TRIED = 1,    /* this request has asked the key before … */
    NOTE_FOR_GOOD = 2, /* … and a verdict does not allow a repetition */
    NOTE_TABOO = 4,    /* the key is its own project or organisation, and that is out */
    NOTE_BITS = 3,
};

static unsigned notes_of(const struct pool *pool, const struct key *key)
{
    return key->tried >> NOTE_BITS == pool->stamp ? (unsigned)(key->tried & 7) : 0;
}

static void note(const struct pool *pool, struct key *key, unsigned notes)
{
    key->tried = pool->stamp << NOTE_BITS | notes_of(pool, key) | notes;
}

static void condemn(const struct pool *pool, struct key *key, struct owner *owner)
{
    if (owner)
        owner->taboo = pool->stamp;
    else
        note(pool, key, NOTE_TABOO);
}

void select_tried(struct pool *pool, key_id id, bool may_repeat)
{
    struct key *key = pool_key(pool, id);

    note(pool, key, may_repeat ? NOTE_TRIED : NOTE_TRIED | NOTE_FOR_GOOD);
}

void select_only_project(struct pool *pool, key_id id)
{
    pool->only = key_project_node(pool_key(pool, id));
    pool->only_stamp = pool->stamp;
}

void select_avoid_project(struct pool *pool, key_id id)
{
    struct key *key = pool_key(pool, id);

    condemn(pool, key, key->project);
}

void select_avoid_org(struct pool *pool, key_id id)
{
    struct key *key = pool_key(pool, id);

    condemn(pool, key, key->org ? key->org : key->project);
}

void select_shun_org(struct pool *pool, key_id id)
{
    struct key *key = pool_key(pool, id);

    if (key->org)
        key->org->shunned = pool->stamp;
}

enum gate select_gate(const struct breaker *b, int64_t now_ns)
{
    switch ((enum circuit)b->state) {
    case CIRCUIT_OPEN: return GATE_OPEN;
    case CIRCUIT_HALF_OPEN: return breaker_leased(b, now_ns) ? GATE_BUSY : GATE_LEASE;
    case CIRCUIT_CLOSED: break;
    }
    return GATE_PASS;
}

struct breaker *select_breaker_at(const struct pool *pool, const struct route *route,
                                  struct node *node, enum scope scope)
{
    struct place place = {node, route_detail(route, scope), scope};

    if (scope == SCOPE_ORG_MODEL_STREAM && !route->stream)
        return NULL;
    return circuits_find(&pool->circuits, place);
}

bool select_concerns(const struct route *route, const struct breaker *b)
{
    if (b->place.scope == SCOPE_ORG_MODEL_STREAM && !route->stream)
        return false;
    return b->place.detail == route_detail(route, b->place.scope);
}

/* The worst of the node's breakers. */
static enum gate worst_at(const struct look *look, struct node *node, unsigned scopes,
                          bool *ret_suspects)
{
    enum gate worst = GATE_PASS;

    for (; scopes; scopes &= scopes - 1) {
        enum scope scope = (enum scope)__builtin_ctz(scopes);
        struct breaker *b = select_breaker_at(look->pool, look->route, node, scope);
        if (!b)
            continue;
        if (select_gate(b, look->now_ns) > worst)
            worst = select_gate(b, look->now_ns);
        *ret_suspects |= b->state == CIRCUIT_CLOSED && look->now_ns < b->due_ns;
    }
    return worst;
}

static struct notes *notes_at(struct pool *pool, struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_EGRESS: return &pool->egress_notes;
    case NODE_SERVICE: return &container_of(node, struct service, node)->notes;
    case NODE_ORGANIZATION:
    case NODE_PROJECT: return &container_of(node, struct owner, node)->notes;
    case NODE_KEY: break;
    }
    return NULL;
}

/* The same; where many keys share the node, it is looked up once a selection. */
static enum gate node_gate(const struct look *look, struct node *node, unsigned scopes)
{
    struct notes *notes;
    bool suspects = false;

    if (!node->breakers)
        return GATE_PASS;
    notes = notes_at(look->pool, node);
    if (!notes)
        return worst_at(look, node, scopes, &suspects);
    if (notes->seen != look->pool->stamp) {
        notes->suspects = false;
        notes->gate = (uint8_t)worst_at(look, node, scopes, &notes->suspects);
        notes->seen = look->pool->stamp;
    }
    return (enum gate)notes->gate;
}

static unsigned project_scopes(const struct key *key)
{
    return PROJECT_SCOPES | (key->org ? 0 : ORG_SCOPES);
}

static unsigned own_scopes(const struct key *key)
{
    return KEY_SCOPES | (key->project ? 0 : project_scopes(key));
}

static enum gate worse(enum gate a, enum gate b)
{
    return a > b ? a : b;
}

static struct lane *lane_find(const struct pool *pool, const struct route *route)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = pool->view->lanes[i];
        if (lane && route_is(&lane->route, route))
            return lane;
    }
    return NULL;
}

const struct bits *select_worth(const struct pool *pool, const struct route *route)
{
    const struct lane *lane = lane_find(pool, route);

    return lane ? &lane->worth : &pool->view->ready;
}

static void release_lane(struct garbage *garbage)
{
    struct lane *lane = container_of(garbage, struct lane, garbage);

    bits_fini(&lane->worth);
    free(lane);
}

/* NULL without memory: then every key is looked at. */
static struct lane *lane_make(struct pool *pool, const struct route *route)
{
    struct lane **place = &pool->view->lanes[pool->next_lane];
    struct lane *lane = malloc(sizeof(*lane)), *old = *place;

    if (!lane)
        return NULL;
    lane->garbage.release = release_lane;
    lane->route = *route;
    if (bits_copy(&pool->view->ready, &lane->worth) != STATUS_OK) {
        free(lane);
        return NULL;
    }
    POST(place, lane);
    if (old)
        pool_defer(pool, &old->garbage);
    pool->next_lane = (pool->next_lane + 1) % LANE_COUNT;
    return lane;
}

static void release_view(struct garbage *garbage)
{
    struct view *view = container_of(garbage, struct view, garbage);

    for (int i = 0; i < LANE_COUNT; i++)
        if (view->lanes[i])
            release_lane(&view->lanes[i]->garbage);
    bits_fini(&view->ready);
    free(view);
}

struct view *view_new(size_t count)
{
    struct view *view = calloc(1, sizeof(*view) + count * sizeof(*view->order));

    if (!view)
        return NULL;
    view->garbage.release = release_view;
    view->count = count;
    if (bits_init(&view->ready, count) == STATUS_OK)
        return view;
    free(view);
    return NULL;
}

void view_free(struct view *view)
{
    if (view)
        release_view(&view->garbage);
}

/* The key is out for this kind of request until something on its path changes. */
static void pass_over(struct look *look, const struct key *key)
{
    if (!look->lane)
        look->lane = lane_make(look->pool, look->route);
    if (look->lane)
        bits_remove(&look->lane->worth, key->position);
}

/* What the key and its accounts say; the bits have spoken for what stops every request. */
static enum gate account_gate(const struct look *look, struct key *key)
{
    enum gate worst = node_gate(look, &key->node, own_scopes(key));

    if (key->project)
        worst = worse(worst, node_gate(look, &key->project->node, project_scopes(key)));
    if (key->org)
        worst = worse(worst, node_gate(look, &key->org->node, ORG_SCOPES));
    return worst;
}

static enum gate key_gate(struct look *look, struct key *key)
{
    enum gate worst = account_gate(look, key);

    if (worst == GATE_OPEN)
        pass_over(look, key);
    worst = worse(worst, node_gate(look, &key->service->node, SERVICE_SCOPES));
    return worse(worst, node_gate(look, &look->pool->egress, EGRESS_SCOPES));
}

/* Whether the last failure of its kind was this key's alone. After key_gate. */
static bool node_suspects(const struct look *look, struct node *node, const struct key *key)
{
    const struct notes *notes;

    if (!node->breakers)
        return false;
    notes = notes_at(look->pool, node);
    if (notes && (notes->seen != look->pool->stamp || !notes->suspects))
        return false;
    for (const struct breaker *b = node->breakers; b; b = b->next)
        if (b->state == CIRCUIT_CLOSED && b->suspect == key->identity && look->now_ns < b->due_ns &&
            select_concerns(look->route, b))
            return true;
    return false;
}

static bool key_suspected(const struct look *look, struct key *key)
{
    return node_suspects(look, &key->node, key) ||
           node_suspects(look, key_project_node(key), key) ||
           node_suspects(look, key_org_node(key), key) ||
           node_suspects(look, &key->service->node, key) ||
           node_suspects(look, &look->pool->egress, key);
}

/* Whether the key's first answer ever is under way, and others could go elsewhere. */
static bool awaits_proof(const struct pool *pool, const struct key *key)
{
    return !key->proven && counts_in_flight(pool, key) && pool->count > 1 &&
           pool->options.fallback_enabled && pool->options.proof_wait_ns > 0;
}

/* When one more may be sent to a key without any answer yet; a time not after now: at once. After
 * each wait for its first answer twice as many may be under way as before: a dead key that is slow
 * to say so is asked a few times and not by everybody, and a slow good one holds up nobody long. */
static int64_t proof_until(const struct pool *pool, const struct key *key)
{
    uint32_t in_flight = counts_in_flight(pool, key);
    int64_t waits = 0;

    if (!awaits_proof(pool, key))
        return INT64_MIN;
    while (in_flight >> waits)
        waits++;
    return key->proof_started_ns + waits * pool->options.proof_wait_ns;
}

static bool is_taboo(const struct pool *pool, const struct owner *owner)
{
    return owner && owner->taboo == pool->stamp;
}

/* Whether the selection is bound to another project than the key's. */
static bool is_elsewhere(const struct pool *pool, const struct key *key)
{
    const struct node *project = key->project ? &key->project->node : &key->node;

    return pool->only_stamp == pool->stamp && pool->only != project;
}

bool select_is_ruled_out(const struct pool *pool, const struct key *key)
{
    return is_elsewhere(pool, key) || notes_of(pool, key) & (NOTE_FOR_GOOD | NOTE_TABOO) ||
           is_taboo(pool, key->project) || is_taboo(pool, key->org);
}

/* What it may ask, but not in this pass, is avoided, too. */
static bool key_avoided(const struct look *look, const struct key *key)
{
    bool tried = notes_of(look->pool, key) & NOTE_TRIED;

    return tried != look->repeat || select_is_ruled_out(look->pool, key);
}

static void note_full(struct look *look, struct key *key, int64_t ready_ns)
{
    if (ready_ns < look->room_ns)
        look->room_ns = ready_ns;
    if (look->full && ready_ns >= look->full_ns)
        return;
    if (!headroom_may_try(key, look->route, look->now_ns))
        return;
    look->full = key;
    look->full_ns = ready_ns;
}

/* Whether the key's accounts, and its own cap, have room for the request. */
static bool has_room(struct look *look, struct key *key)
{
    const struct key_rules *rules = rules_of(&look->pool->rules, key->id);
    int64_t ready_ns;

    if (rules && rules->max_in_flight &&
        counts_in_flight(look->pool, key) >= rules->max_in_flight) {
        look->crowded = true;
        return false;
    }
    if (look->pool->bucket_count == 0)
        return true;
    ready_ns = headroom_ready_ns(look->pool, key, look->route, look->now_ns, &look->pace_per_s);
    if (ready_ns > look->now_ns)
        note_full(look, key, ready_ns);
    return ready_ns <= look->now_ns;
}

static bool key_serves(const struct look *look, const struct key *key)
{
    return rules_allow(rules_of(&look->pool->rules, key->id), look->route->model);
}

static bool is_shunned(const struct look *look, const struct key *key)
{
    return key->org && key->org->shunned == look->pool->stamp;
}

/* An organisation's number in the rendezvous of affinity: the same in every process that shares
 * the seed. */
static uint64_t account_hash(const struct pool *pool, const struct key *key)
{
    const struct owner *owner = key->org ? key->org : key->project;

    return owner ? hash_bytes(&pool->hash_seed, owner_name(owner)) : key->identity;
}

/* The higher the better. */
static double score(const struct look *look, struct key *key)
{
    const struct pool *pool = look->pool;
    double in_flight = counts_in_flight(pool, key);
    uint64_t rank;

    if (pool->options.affinity && look->route->affinity) {
        rank = hash_mix(look->route->affinity, account_hash(pool, key));
        return (double)(rank >> 16) - in_flight / (in_flight + 1.0);
    }
    if (pool->options.strategy == STRATEGY_HEADROOM)
        return headroom_share(key, look->route, look->now_ns);
    return -in_flight / rules_weight(&pool->rules, key->id);
}

/* Of keys that all would do: whether enough of them have been compared. */
static bool compare(struct look *look, struct key *key)
{
    double own = score(look, key);

    if (!look->best || own > look->best_score) {
        look->best = key;
        look->best_score = own;
    }
    return ++look->scored >= SCORED_MAX;
}

/* Whether the first answer of the key that is waited for may be a matter of a moment. */
static bool worth_waiting_for(const struct look *look)
{
    return look->unproven &&
           look->now_ns < look->unproven->proof_started_ns + look->pool->options.proof_wait_ns;
}

/* Whether the search ends with this key: it is it, or it is the one to wait for. */
static bool consider(struct look *look, struct key *key)
{
    if (key_avoided(look, key) || !key_serves(look, key) || key_gate(look, key) >= GATE_BUSY ||
        !has_room(look, key))
        return false;
    if (proof_until(look->pool, key) > look->now_ns) {
        if (!look->unproven)
            look->unproven = key;
        return !look->rotate && worth_waiting_for(look);
    }
    if (key_suspected(look, key) || is_shunned(look, key)) {
        if (!look->soft)
            look->soft = key;
        return false;
    }
    if (awaits_proof(look->pool, key)) {
        if (!look->overdue)
            look->overdue = key;
        return false;
    }
    return !look->scoring || compare(look, key);
}

/* The first acceptable key of order[from … to). */
static struct key *scan(struct look *look, size_t from, size_t to)
{
    struct view *view = look->pool->view;

    while (from < to) {
        from = bits_next(look->lane ? &look->lane->worth : &view->ready, from);
        if (from >= to)
            break;
        if (consider(look, view->order[from]))
            return view->order[from];
        from++;
    }
    return NULL;
}

/* Round and round the positions first … count, from where the last one ended. */
static struct key *rotate(struct look *look, size_t first)
{
    struct pool *pool = look->pool;
    size_t cursor = TALLY(&pool->cursor); /* it is moved without the lock, too (fast.c) */
    size_t start = cursor >= first && cursor < pool->count ? cursor : first;
    struct key *key;

    look->rotate = true;
    key = scan(look, start, pool->count);
    return key ? key : scan(look, first, start);
}

static bool has_affinity(const struct look *look)
{
    return look->pool->options.affinity && look->route->affinity;
}

/* The best among the first SCORED_MAX ready ones from `start` on; of equals the first. */
static struct key *best_from(struct look *look, size_t first, size_t start)
{
    look->rotate = look->scoring = true;
    if (!scan(look, start, look->pool->count))
        (void)scan(look, first, start);
    return look->best;
}

static struct key *best(struct look *look, size_t first)
{
    const struct pool *pool = look->pool;
    size_t room = pool->count - first, start = first;

    if (room > SCORED_MAX && has_affinity(look))
        start += (size_t)(look->route->affinity % room); /* always the same ones */
    else if (!has_affinity(look) && TALLY(&pool->cursor) >= first &&
             TALLY(&pool->cursor) < pool->count)
        start = TALLY(&pool->cursor);
    return best_from(look, first, start);
}

static struct key *any_of(struct look *look, size_t first)
{
    switch (look->pool->options.strategy) {
    case STRATEGY_LEAST_LOADED:
    case STRATEGY_HEADROOM: return best(look, first);
    case STRATEGY_PRIMARY_FIRST:
    case STRATEGY_ROUND_ROBIN:
    case STRATEGY_WEIGHTED: break;
    }
    return has_affinity(look) ? best(look, first) : rotate(look, first);
}

static struct key *by_strategy(struct look *look)
{
    struct pool *pool = look->pool;
    struct key *key;

    if (!pool->options.fallback_enabled)
        return scan(look, 0, 1);
    if (pool->options.strategy != STRATEGY_PRIMARY_FIRST)
        return any_of(look, 0);
    key = scan(look, 0, 1);
    if (key || pool->count < 2)
        return key;
    return pool->options.rotation_enabled ? any_of(look, 1) : scan(look, 1, pool->count);
}

/* Weighted: as many turns in a row as the key weighs. */
static bool turn_over(struct pool *pool, const struct key *key)
{
    if (pool->options.strategy != STRATEGY_WEIGHTED)
        return true;
    if (pool->turn != key->position || pool->turns == 0)
        pool->turns = rules_weight(&pool->rules, key->id);
    pool->turn = key->position;
    return --pool->turns == 0;
}

/* The key after the one chosen is where the next rotation begins; the primary is no part of it
 * when it goes first anyway. */
static void advance_cursor(struct pool *pool, const struct key *key)
{
    if (key->position > 0 || pool->options.strategy != STRATEGY_PRIMARY_FIRST)
        TALLY_SET(&pool->cursor, key->position + (size_t)turn_over(pool, key));
}

static enum choice settle_full(const struct look *look, struct pick *ret_pick)
{
    if (!look->crowded && look->room_ns == INT64_MAX)
        return CHOICE_NONE;
    *ret_pick = (struct pick){.key = look->full ? look->full->id : KEY_NONE,
                              .until_ns = look->room_ns,
                              .pace_per_s = look->pace_per_s};
    return CHOICE_FULL;
}

/* The waiting for proof is decided here, for a key found by strategy, rotation or preference. */
static enum choice settle(struct look *look, struct key *key, struct pick *ret_pick)
{
    if (!key)
        key = look->soft ? look->soft : worth_waiting_for(look) ? look->unproven : look->overdue;
    if (!key)
        key = look->unproven;
    if (!key)
        return settle_full(look, ret_pick);
    if (key == look->unproven) {
        *ret_pick = (struct pick){.key = KEY_NONE, .until_ns = proof_until(look->pool, key)};
        return CHOICE_PROOF;
    }
    advance_cursor(look->pool, key);
    *ret_pick = (struct pick){.key = key->id};
    return CHOICE_KEY;
}

static bool may_stay(struct look *look, key_id prefer)
{
    struct key *key;

    if (prefer == KEY_NONE)
        return false;
    key = pool_key(look->pool, prefer);
    look->repeat = notes_of(look->pool, key) & NOTE_TRIED;
    if (key->position > 0 && !look->pool->options.fallback_enabled)
        return false; /* switched off meanwhile */
    return key->position != POSITION_NONE && bits_has(&look->pool->view->ready, key->position) &&
           !key_avoided(look, key) && key_serves(look, key) && key_gate(look, key) < GATE_BUSY &&
           has_room(look, key) && proof_until(look->pool, key) <= look->now_ns;
}

enum choice select_key(struct pool *pool, const struct route *route, key_id prefer, int64_t now_ns,
                       struct pick *ret_pick)
{
    struct look fresh = {.pool = pool,
                         .route = route,
                         .now_ns = now_ns,
                         .lane = lane_find(pool, route),
                         .room_ns = INT64_MAX};
    struct look again;
    struct look stay;
    struct pick full;
    enum choice choice;

    if (pool->count == 0)
        return CHOICE_NONE;
    stay = again = fresh;
    again.repeat = true;
    if (may_stay(&stay, prefer)) {
        *ret_pick = (struct pick){.key = prefer};
        return CHOICE_KEY;
    }
    fresh.lane = stay.lane;
    choice = settle(&fresh, by_strategy(&fresh), ret_pick);
    if (choice == CHOICE_KEY || choice == CHOICE_PROOF)
        return choice;
    full = *ret_pick;
    again.lane = fresh.lane;
    if (choice == CHOICE_NONE)
        return settle(&again, by_strategy(&again), ret_pick);
    choice = settle(&again, by_strategy(&again), ret_pick);
    if (choice == CHOICE_NONE || choice == CHOICE_FULL)
        *ret_pick = full; /* a fresh key with room again is better than one that was asked */
    return choice == CHOICE_NONE ? CHOICE_FULL : choice;
}
