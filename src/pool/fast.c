#include "pool/fast.h"

#include <stdlib.h>

#include "pool/state.h"

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
    char *block = calloc(2, sizeof(struct pool_reader));
    struct pool_reader *reader;

    if (!block)
        return STATUS_NO_MEMORY;
    reader = (struct pool_reader *)(void *)(block +
                                            (sizeof(*reader) - (uintptr_t)block % sizeof(*reader)));
    reader->block = block;
    reader->pool = pool;
    reader->cursor = first_cursor(pool);
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

void fast_lend_rotation(struct pool_reader *reader)
{
    if (reader->pool->count > ROTATE_TOGETHER_MAX)
        TALLY_SET(&reader->pool->cursor, reader->cursor);
}

void fast_take_rotation(struct pool_reader *reader)
{
    reader->cursor = TALLY(&reader->pool->cursor);
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

static const struct bits *candidates(const struct view *view, const struct route *route)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct lane *lane = PEEK(&view->lanes[i]);
        if (lane && route_is(&lane->route, route))
            return &lane->worth;
    }
    return &view->ready;
}

static bool is_quiet(const struct node *node)
{
    return !PEEK(&node->breakers) && !PEEK(&node->metered);
}

/* Whether nothing on the key's path has a say in a request. */
static bool is_clean(const struct pool *pool, const struct key *key)
{
    const struct owner *project = PEEK(&key->project), *org = PEEK(&key->org);

    return is_quiet(&key->node) && PEEK(&key->proven) && !PEEK(&key->ruled) &&
           (!project || is_quiet(&project->node)) && (!org || is_quiet(&org->node)) &&
           is_quiet(&PEEK(&key->service)->node) && is_quiet(&pool->egress);
}

/* Both of the key's cache lines, to be written. */
static void fetch(const struct key *key)
{
    __builtin_prefetch(key, 1);
    __builtin_prefetch((const char *)key + KEY_LINE, 1);
}

/* Keys whose turn comes soon. */
static void fetch_ahead(struct pool_reader *reader, const struct view *view,
                        const struct bits *bits, size_t position)
{
    unsigned steps = 1;
    size_t ahead = reader->ahead;

    if (ahead <= position || ahead > position + AHEAD * BITS_PER_WORD) {
        ahead = position + 1;
        steps = AHEAD;
    }
    while (steps-- > 0) {
        size_t found = bits_next(bits, ahead);
        if (found == BITS_NONE)
            break;
        fetch(view->order[found]);
        ahead = found + 1;
    }
    reader->ahead = ahead;
}

static size_t *cursor_of(struct pool_reader *reader, const struct view *view)
{
    return view->count > ROTATE_TOGETHER_MAX ? &reader->cursor : &reader->pool->cursor;
}

static struct key *rotate(struct pool_reader *reader, const struct view *view,
                          const struct bits *bits, size_t first)
{
    size_t *cursor = cursor_of(reader, view);
    size_t start = TALLY(cursor), position;
    struct key *key;

    if (start < first || start >= view->count)
        start = first;
    position = bits_next(bits, start);
    if (position == BITS_NONE)
        position = bits_next(bits, first);
    if (position == BITS_NONE)
        return NULL;
    key = view->order[position];
    if (!is_clean(reader->pool, key))
        return NULL;
    TALLY_SET(cursor, position + 1);
    if (view->count > ROTATE_TOGETHER_MAX)
        fetch_ahead(reader, view, bits, position);
    return key;
}

static struct key *clean_at(const struct pool *pool, const struct view *view, size_t position)
{
    if (position == BITS_NONE || !is_clean(pool, view->order[position]))
        return NULL;
    return view->order[position];
}

/* What select_key would choose, if that is a clean key; else NULL. */
static struct key *choose(struct pool_reader *reader, const struct route *route, unsigned mode)
{
    const struct view *view = PEEK(&reader->pool->posted_view);
    const struct bits *bits = candidates(view, route);

    if (view->count == 0)
        return NULL;
    if (mode & MODE_FALLBACK && mode & MODE_ROTATE_ALL)
        return rotate(reader, view, bits, 0);
    if (bits_has(bits, 0))
        return clean_at(reader->pool, view, 0);
    if (!(mode & MODE_FALLBACK))
        return NULL;
    if (mode & MODE_ROTATE_FALLBACKS)
        return rotate(reader, view, bits, 1);
    return clean_at(reader->pool, view, bits_next(bits, 1));
}

/* Nothing is due, nothing waits: there is no reason to take the lock but the request's own. */
static bool is_calm(const struct pool *pool, int64_t now_ns)
{
    return !TALLY(&pool->pending) && !TALLY(&pool->waiting) &&
           TALLY(&pool->circuits.next_due_ns) > now_ns && TALLY(&pool->ramp_end_ns) <= now_ns;
}

bool fast_begin(struct pool_reader *reader, struct plan *plan, const struct plan_request *request,
                int64_t now_ns, struct plan_step *ret_step, uint64_t *ret_cookie)
{
    struct pool *pool = reader->pool;
    unsigned mode = TALLY(&pool->mode);
    struct key *key;

    plan_prepare(plan, pool, request, now_ns);
    if (!(mode & MODE_FAST) || now_ns >= request->deadline_ns || !is_calm(pool, now_ns))
        return false;
    key = choose(reader, &plan->route, mode);
    if (!key)
        return false;
    (void)key_count_in(key, now_ns);
    plan_sent(plan, key, TALLY(&pool->serial) | SERIAL_FAST, now_ns);
    *ret_step = (struct plan_step){.action = PLAN_SEND, .key = key->id};
    *ret_cookie = PEEK(&key->cookie);
    return true;
}

/* ---- success ----------------------------------------------------------------------------- */

static bool is_said(const struct owner *owner, struct slice name)
{
    return name.len == 0 || owner_is_named(owner, name);
}

/* Whether a success of this attempt tells the pool nothing but to count it. */
static bool is_no_news(const struct pool *pool, const struct key *key, struct slice organization,
                       struct slice project)
{
    return is_clean(pool, key) && !TALLY(&key->consecutive_errors) &&
           TALLY(&pool->oddity.at_ns) < 0 && is_said(PEEK(&key->org), organization) &&
           is_said(PEEK(&key->project), project);
}

bool fast_proven(struct pool_reader *reader, struct plan *plan, struct slice organization,
                 struct slice project)
{
    if (!plan_flies_alone(plan) ||
        !is_no_news(reader->pool, plan->flight.at, organization, project))
        return false;
    plan_is_proven(plan);
    return true;
}

bool fast_succeed(struct pool_reader *reader, struct plan *plan, struct slice organization,
                  struct slice project)
{
    struct key *key = plan->flight.at;

    if (!plan_flies_alone(plan) || !is_no_news(reader->pool, key, organization, project))
        return false;
    TALLY_ADD(&key->requests, 1);
    TALLY_SET(&reader->served, reader->served + 1);
    if (key_let_go(key, IN_FLIGHT_ONE + 1))
        pool_straggle(reader->pool);
    plan_served(plan);
    return true;
}
