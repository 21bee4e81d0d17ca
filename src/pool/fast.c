#include "pool/fast.h"

#include <stdlib.h>
#include <string.h>

#include "pool/counts.h"
#include "pool/ending.h"
#include "pool/headroom.h"

/* How many candidates ahead of its turn a key is fetched into the cache: at some 50 ns a request,
 * memory has answered by then. */
#define AHEAD 4

/* pool->mode */
enum {
    MODE_FAST = 1, /* the strategy needs no comparing of keys */
    MODE_FALLBACK = 2,
    MODE_ROTATE_FALLBACKS = 4,
    MODE_ROTATE_ALL = 8,
};

void fast_configure(struct pool *pool)
{
    const struct pool_options *o = &pool->options;
    bool all = o->strategy == STRATEGY_ROUND_ROBIN;
    bool plain = (all || o->strategy == STRATEGY_PRIMARY_FIRST) && !o->affinity;

    TALLY_SET(&pool->mode, (plain ? MODE_FAST : 0u) | (o->fallback_enabled ? MODE_FALLBACK : 0u) |
                               (o->rotation_enabled ? MODE_ROTATE_FALLBACKS : 0u) |
                               (all ? MODE_ROTATE_ALL : 0u));
}

bool fast_is_possible(const struct pool *pool)
{
    return pool->readers.first && TALLY(&pool->mode) & MODE_FAST;
}

/* ---- readers ----------------------------------------------------------------------------- */

/* Threads begin their own rotations far from each other: by the golden section. */
static size_t first_cursor(const struct pool *pool)
{
    uint64_t turn = 0;

    for (const struct pool_reader *r = pool->readers.first; r; r = r->next)
        turn += UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(((unsigned __int128)turn * pool->count) >> 64);
}

enum status pool_reader_new(struct pool *pool, struct pool_reader **ret_reader)
{
    char *block = calloc(1, 2 * sizeof(struct pool_reader) + COUNTS_APART * sizeof(struct counts));
    struct pool_reader *reader;

    if (!block)
        return STATUS_NO_MEMORY;
    reader = (struct pool_reader *)(void *)(block +
                                            (sizeof(*reader) - (uintptr_t)block % sizeof(*reader)));
    reader->block = block;
    reader->pool = pool;
    reader->cursor = first_cursor(pool);
    reader->left = BITS_NONE;
    reader->next = pool->readers.first;
    pool->readers.first = reader;
    *ret_reader = reader;
    return STATUS_OK;
}

void pool_reader_free(struct pool_reader *reader)
{
    struct pool_reader **at;

    if (!reader)
        return;
    for (at = &reader->pool->readers.first; *at != reader;)
        at = &(*at)->next;
    *at = reader->next;
    counts_hand_over(reader->pool, reader);
    free(reader->block);
}

void pool_enter(struct pool_reader *reader)
{
    reader_enter(reader, &reader->pool->readers);
}

void pool_leave(struct pool_reader *reader)
{
    reader_leave(reader);
}

static bool rotates_alone(size_t count)
{
    return count > ROTATE_TOGETHER_MAX;
}

/* Goes on where another thread has led the rotation meanwhile. */
static void meet(struct pool_reader *reader)
{
    size_t cursor = TALLY(&reader->pool->cursor);

    if (cursor != reader->left)
        reader->cursor = cursor;
}

static void leave_rotation(struct pool_reader *reader)
{
    reader->left = reader->cursor;
    TALLY_SET(&reader->pool->cursor, reader->cursor);
}

void fast_lend_rotation(struct pool_reader *reader)
{
    if (!rotates_alone(reader->pool->count))
        meet(reader);
    leave_rotation(reader);
}

void fast_take_rotation(struct pool_reader *reader)
{
    reader->cursor = reader->left = TALLY(&reader->pool->cursor);
}

uint32_t fast_count(struct pool *pool)
{
    uint64_t count = 0;

    for (struct pool_reader *r = pool->readers.first; r; r = r->next) {
        uint64_t served = TALLY(&r->served);
        count += served - r->counted;
        r->counted = served;
    }
    return count < UINT32_MAX / 2 ? (uint32_t)count : UINT32_MAX / 2;
}

/* ---- choosing ---------------------------------------------------------------------------- */

/* plan_model, from memory if the name was met before. */
static uint64_t model_of(struct pool_reader *reader, struct slice name)
{
    struct reader_model *known;

    if (name.len == 0 || name.len > READER_MODEL_LEN)
        return plan_model(reader->pool, name);
    known = &reader->models[(name.len + (unsigned char)name.ptr[name.len - 1]) % READER_MODELS];
    if (known->len != name.len || memcmp(known->name, name.ptr, name.len) != 0) {
        known->hash = plan_model(reader->pool, name);
        known->len = (uint32_t)name.len;
        memcpy(known->name, name.ptr, name.len);
    }
    return known->hash;
}

static const struct bits *candidates(const struct view *view, const struct route *route)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct lane *lane = PEEK(&view->lanes[i]);
        if (!lane)
            break; /* they are made in this order */
        if (route_is(&lane->route, route))
            return &lane->worth;
    }
    return &view->ready;
}

static bool is_quiet(const struct node *node)
{
    return !PEEK(&node->breakers);
}

/* Whether nothing on the key's path but its headroom has a say in a request. */
static bool is_clean(const struct pool *pool, const struct key *key)
{
    const struct owner *project = PEEK(&key->project), *org = PEEK(&key->org);

    return is_quiet(&key->node) && PEEK(&key->proven) && !PEEK(&key->ruled) &&
           (!project || is_quiet(&project->node)) && (!org || is_quiet(&org->node)) &&
           is_quiet(&PEEK(&key->service)->node) && is_quiet(&pool->egress);
}

/* A choice: a clean key, and where the rotation stands that led to it. */
struct aim {
    const struct view *view;
    const struct bits *bits;
    struct key *key;
    size_t position;
    bool rotates, meets;
};

/* Both of the key's cache lines, to be written. */
static void fetch(const struct key *key)
{
    __builtin_prefetch(key, 1);
    __builtin_prefetch((const char *)key + KEY_LINE, 1);
}

/* A key whose turn comes soon, and the bucket of one that was fetched before. */
static void fetch_one(struct pool_reader *reader, const struct view *view, size_t position)
{
    size_t before = reader->fetched[0];

    if (before < view->count)
        __builtin_prefetch(TALLY(&view->order[before]->node.buckets), 1);
    for (unsigned i = 1; i < READER_FETCHED; i++)
        reader->fetched[i - 1] = reader->fetched[i];
    reader->fetched[READER_FETCHED - 1] = position;
    fetch(view->order[position]);
}

/* Keys whose turn comes soon. */
static void fetch_ahead(struct pool_reader *reader, const struct aim *aim)
{
    unsigned steps = 1;
    size_t ahead = reader->ahead;

    if (ahead <= aim->position || ahead > aim->position + AHEAD * BITS_PER_WORD) {
        ahead = aim->position + 1;
        steps = AHEAD;
    }
    while (steps-- > 0) {
        size_t found = bits_next(aim->bits, ahead);
        if (found == BITS_NONE)
            break;
        fetch_one(reader, aim->view, found);
        ahead = found + 1;
    }
    reader->ahead = ahead;
}

static bool aim_at(const struct pool *pool, struct aim *aim, size_t position)
{
    if (position == BITS_NONE)
        return false;
    aim->key = aim->view->order[position];
    aim->position = position;
    return is_clean(pool, aim->key);
}

static bool rotate(struct pool_reader *reader, struct aim *aim, size_t first, int64_t now_ns)
{
    size_t start, position;

    aim->rotates = true;
    aim->meets = !rotates_alone(aim->view->count) && now_ns >= reader->meet_ns;
    if (aim->meets)
        meet(reader);
    start = reader->cursor;
    if (start < first || start >= aim->view->count)
        start = first;
    position = bits_next(aim->bits, start);
    if (position == BITS_NONE)
        position = bits_next(aim->bits, first);
    return aim_at(reader->pool, aim, position);
}

/* The key is taken: on to the next. */
static void move_on(struct pool_reader *reader, const struct aim *aim, int64_t now_ns)
{
    if (!aim->rotates)
        return;
    reader->cursor = aim->position + 1;
    if (aim->meets) {
        reader->meet_ns = now_ns + ROTATE_TOGETHER_NS;
        leave_rotation(reader);
    }
    if (rotates_alone(aim->view->count))
        fetch_ahead(reader, aim);
}

/* What select_key would choose, if that is a clean key. */
static bool choose(struct pool_reader *reader, const struct route *route, unsigned mode,
                   int64_t now_ns, struct aim *aim)
{
    aim->view = PEEK(&reader->pool->posted_view);
    aim->rotates = false;
    if (aim->view->count == 0)
        return false;
    aim->bits = candidates(aim->view, route);
    if (mode & MODE_FALLBACK && mode & MODE_ROTATE_ALL)
        return rotate(reader, aim, 0, now_ns);
    if (bits_has(aim->bits, 0))
        return aim_at(reader->pool, aim, 0);
    if (!(mode & MODE_FALLBACK))
        return false;
    if (mode & MODE_ROTATE_FALLBACKS)
        return rotate(reader, aim, 1, now_ns);
    return aim_at(reader->pool, aim, bits_next(aim->bits, 1));
}

/* Nothing is due, nothing waits: there is no reason to take the lock but the request's own. */
static bool is_calm(const struct pool *pool, int64_t now_ns)
{
    return !TALLY(&pool->pending) && !TALLY(&pool->waiting) &&
           TALLY(&pool->circuits.next_due_ns) > now_ns && TALLY(&pool->ramp_end_ns) <= now_ns;
}

/* The attempt, without leases and holding only what was drawn. The plan is fresh, so what is not set
 * here is zero, or drawn before. */
static void take_off(struct plan *plan, struct key *key, uint64_t serial, int64_t now_ns)
{
    plan_enter(plan, PLAN_IN_FLIGHT);
    plan->current = key->id;
    plan->flight.key = key->id;
    plan->flight.at = key;
    plan->flight.serial = serial;
    plan->flight.started_ns = now_ns;
    memcpy(plan->flight.costs, plan->route.costs, sizeof plan->flight.costs);
    plan->flight.tokens = -1;
}

bool fast_begin(struct pool_reader *reader, struct plan *plan, const struct plan_request *request,
                int64_t now_ns, struct plan_step *ret_step, uint64_t *ret_cookie)
{
    struct pool *pool = reader->pool;
    unsigned mode = TALLY(&pool->mode);
    struct aim aim;

    plan_prepare(plan, pool, request, model_of(reader, request->model), now_ns);
    if (!(mode & MODE_FAST) || now_ns >= request->deadline_ns || !is_calm(pool, now_ns) ||
        !choose(reader, &plan->route, mode, now_ns, &aim))
        return false;
    if (!headroom_is_unknown(aim.key) && !headroom_draw(aim.key, &plan->route, plan->flight.holds))
        return false; /* its turn stays its turn: under the lock it may get a new loan */
    counts_begin_apart(reader, aim.key, now_ns);
    take_off(plan, aim.key, TALLY(&pool->serial) | SERIAL_FAST, now_ns);
    move_on(reader, &aim, now_ns);
    *ret_step = (struct plan_step){.action = PLAN_SEND, .key = aim.key->id};
    *ret_cookie = PEEK(&aim.key->cookie);
    return true;
}

/* ---- success ----------------------------------------------------------------------------- */

static bool is_drawn(const struct hold *hold)
{
    return !hold->bucket || hold->birth;
}

/* Whether the attempt is the plan's only one, and still as it was begun here. */
static bool flies_alone(const struct plan *plan)
{
    return plan->phase == PLAN_IN_FLIGHT && plan->attempt_count == 0 && plan->flight.leases == 0 &&
           is_drawn(&plan->flight.holds[0]) && is_drawn(&plan->flight.holds[1]);
}

static bool is_said(const struct owner *owner, struct slice name)
{
    return name.len == 0 || owner_is_named(owner, name);
}

/* Whether what an answer said of limits is as good as known. Who waits in line waits for such news. */
static bool is_foretold(const struct pool *pool, const struct plan *plan,
                        const struct limit_report *limits)
{
    return !limits ||
           (!TALLY(&pool->waiting) && headroom_is_foretold(&plan->flight, &plan->route, limits));
}

/* Whether a success of this attempt tells the pool nothing but to count it. */
static bool is_no_news(const struct pool *pool, const struct plan *plan,
                       const struct answer_facts *facts)
{
    const struct key *key = plan->flight.at;

    return flies_alone(plan) && is_clean(pool, key) && !TALLY(&key->consecutive_errors) &&
           TALLY(&pool->oddity.at_ns) < 0 && is_said(PEEK(&key->org), facts->organization) &&
           is_said(PEEK(&key->project), facts->project) && is_foretold(pool, plan, facts->limits);
}

static void note_usage(struct plan *plan, const struct answer_facts *facts)
{
    if (facts->tokens > 0)
        plan->flight.tokens = facts->tokens;
}

bool fast_proven(struct pool_reader *reader, struct plan *plan, const struct answer_facts *facts)
{
    if (!is_no_news(reader->pool, plan, facts))
        return false;
    note_usage(plan, facts);
    plan->proven = true;
    return true;
}

/* It has ended well, and with it the plan; of its ending all else is as it was made. */
static void land(struct plan *plan)
{
    plan->current = KEY_NONE;
    plan_enter(plan, PLAN_DECIDED);
    plan->ending.action = PLAN_RETURN;
    plan->ending.key = KEY_NONE;
}

bool fast_succeed(struct pool_reader *reader, struct plan *plan, const struct answer_facts *facts)
{
    struct key *key = plan->flight.at;

    if (!is_no_news(reader->pool, plan, facts))
        return false;
    note_usage(plan, facts);
    if (plan->flight.holds[0].bucket || plan->flight.holds[1].bucket)
        headroom_return(&plan->flight);
    TALLY_SET(&reader->served, reader->served + 1);
    counts_end_apart(reader, key);
    if (TALLY(&key->position) == POSITION_NONE)
        pool_straggle(reader->pool);
    land(plan);
    return true;
}
