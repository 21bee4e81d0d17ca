/* The engine against accounts with limits, driven by chance: what must hold after each event.
 *
 * The upstream is the obvious limiter: a bucket of requests and one of tokens for each
 * organisation, for each project, or for both, refilled by the nanosecond. Keys sit in projects,
 * projects in organisations; a few keys have caps or serve one model only. Requests arrive in bursts, wait,
 * are answered late and in any order, hang up; now and then headers lie or are missing, and a key
 * is put out for real.
 *
 * After each event: pool_check (reservations are those of attempts in flight, lines are by age, a
 * lease at most); nobody is asked who cools down, who is at his cap or serves another model; who
 * leaves a line was the first in it. In the end every request has ended exactly once, nothing is
 * reserved and nobody waits.
 *
 * SIMULATION_SEED and SIMULATION_EVENTS choose the seed and how many events there are.
 */
#include "pool_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "pool/headroom.h"
#include "pool/queue.h"

#define KEYS     8
#define PROJECTS 5
#define ORGS     3
#define MODELS   2
#define PLANS    48
#define EVENTS   100000
#define ROUND    5000 /* events on one pool */

struct source {
    double level, limit, rate; /* limit 0: none */
    int64_t at;
};

struct request {
    bool used, flying, waiting;
    struct plan plan;
    int model, cap_key, ends;
    int64_t until; /* of waiting, or of the answer */
    int64_t deadline;
    uint64_t epoch;
    bool refused;
    struct limit_report report;
};

struct world {
    uint64_t seed, event;
    struct rng rng;
    int64_t now;
    struct pool *pool;
    struct pool_options options;
    struct source requests[2][PROJECTS][MODELS], tokens[2][PROJECTS][MODELS];
    bool revoked[KEYS];
    int flying[KEYS];
    struct request plans[PLANS];
    uint64_t begun, ended, served, upstream_429, refused;
};

static struct world *failing;

static void expect_at(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "limits: SIMULATION_SEED=%llu, event %llu, line %d: %s\n",
            (unsigned long long)failing->seed, (unsigned long long)failing->event, line, what);
    fail();
}
#define expect(holds, what) expect_at(holds, what, __LINE__)

static unsigned chance(struct world *w, unsigned bound)
{
    return (unsigned)rng_below(&w->rng, bound);
}

static const int project_of[KEYS] = {0, 0, 1, 1, 2, 3, 4, 4};
static const int org_of[PROJECTS] = {0, 0, 1, 1, 2};
static const uint32_t cap_of[KEYS] = {0, 0, 0, 2, 0, 0, 0, 1};
static const struct slice models[MODELS] = {{"small", 5}, {"large", 5}};

static bool serves(int key, int model)
{
    return key != 5 || model == 0;
}

static void load(struct world *w)
{
    static const char *const projects[] = {"p0", "p1", "p2", "p3", "p4"};
    static const char *const orgs[] = {"o0", "o1", "o2"};
    struct key_spec specs[KEYS] = {0};

    for (int k = 0; k < KEYS; k++) {
        specs[k].identity = 500u + (unsigned)k;
        specs[k].cookie = (uint64_t)k;
        specs[k].organization = slice_str(orgs[org_of[project_of[k]]]);
        specs[k].project = slice_str(projects[project_of[k]]);
        specs[k].max_in_flight = cap_of[k];
        specs[k].weight = 1 + (unsigned)k % 3;
        specs[k].models = models;
        specs[k].model_count = serves(k, 1) ? 0 : 1;
    }
    assert_int_equal(pool_load(w->pool, specs, KEYS, w->now), STATUS_OK);
}

static void fill(struct world *w, struct source *s, double limit)
{
    *s = (struct source){
        .limit = limit, .level = limit, .rate = limit / (double)(60 * S), .at = w->now};
}

static void build_upstream(struct world *w)
{
    unsigned kind = chance(w, 3); /* limits of organisations, of projects, of both */

    for (int m = 0; m < MODELS; m++) {
        for (int p = 0; p < PROJECTS; p++) {
            fill(w, &w->requests[0][p][m], kind != 0 ? 5 + chance(w, 60) : 0);
            fill(w, &w->tokens[0][p][m], kind != 0 ? 2500 + chance(w, 40000) : 0);
            fill(w, &w->requests[1][p][m], kind != 1 ? 10 + chance(w, 120) : 0);
            fill(w, &w->tokens[1][p][m], kind != 1 ? 4000 + chance(w, 80000) : 0);
        }
    }
}

static void refill(struct world *w, struct source *s)
{
    s->level += s->rate * (double)(w->now - s->at);
    s->level = s->level > s->limit ? s->limit : s->level;
    s->at = w->now;
}

static void read_source(const struct source *s, struct limit_reading *r)
{
    if (s->limit <= 0)
        return;
    r->limit = (int64_t)s->limit;
    r->remaining = s->level > 0 ? (int64_t)s->level : 0;
    r->reset_ns = (int64_t)((s->limit - s->level) / s->rate);
}

static void lie(struct world *w, struct limit_report *report)
{
    struct limit_reading *r = &report->readings[chance(w, REPORT_DIMENSIONS)];

    switch (chance(w, 4)) {
    case 0: r->remaining = r->limit + 1 + chance(w, 9); break;
    case 1: r->remaining = -(int64_t)chance(w, 9); break;
    case 2: r->reset_ns = INT64_MAX; break;
    default: *r = (struct limit_reading){INT64_MAX, INT64_MAX, -5}; break;
    }
}

/* The upstream hears of the request at once and says so later. */
static void admit(struct world *w, struct request *r, int key)
{
    int p = project_of[key], o = org_of[p], m = r->model;
    double cost = (double)r->plan.route.costs[COST_TOKENS];
    struct source *all[] = {&w->requests[1][o][m], &w->tokens[1][o][m], &w->requests[0][p][m],
                            &w->tokens[0][p][m]};
    const double costs[] = {1, cost, 1, cost};
    bool two_levels = all[0]->limit > 0 && all[2]->limit > 0;

    r->refused = false;
    for (int i = 0; i < 4; i++) {
        refill(w, all[i]);
        r->refused |= all[i]->limit > 0 && all[i]->level < costs[i];
    }
    for (int i = 0; i < 4 && !r->refused; i++)
        all[i]->level -= all[i]->limit > 0 ? costs[i] : 0;
    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        r->report.readings[i] = (struct limit_reading){-1, -1, -1};
    for (int i = 0; i < 2; i++) {
        read_source(all[i]->limit > 0 ? all[i] : all[i + 2], &r->report.readings[i]);
        if (two_levels)
            read_source(all[i + 2], &r->report.readings[REPORT_PROJECT_REQUESTS + i]);
    }
    if (chance(w, 50) == 0)
        lie(w, &r->report);
}

static bool is_cooling(struct world *w, struct key *key, const struct route *route)
{
    for (enum scope s = SCOPE_KEY; s < SCOPE_COUNT; s++) {
        struct place place = {key_scope_node(w->pool, key, s), route_detail(route, s), s};
        const struct breaker *b = circuits_find(&w->pool->circuits, place);
        if (b && (s != SCOPE_ORG_MODEL_STREAM || route->stream) && b->state == CIRCUIT_OPEN)
            return true;
    }
    return false;
}

/* Those who are long overdue do not count, but for the one who asks. */
static const struct plan *first_in_line(const struct world *w, const struct plan *asking)
{
    const struct queue *q = queue_find(w->pool, &asking->route);

    if (!q)
        return NULL;
    for (struct list *at = q->plans.next; at != &q->plans; at = at->next) {
        const struct plan *plan = container_of(at, struct plan, line);
        if (plan == asking || w->now - plan->told_ns < QUEUE_GRACE_NS)
            return plan;
    }
    return NULL;
}

static void sent(struct world *w, struct request *r, key_id id)
{
    int key = (int)pool_key_cookie(w->pool, id);

    expect(!is_cooling(w, pool_key(w->pool, id), &r->plan.route), "a cooling bucket was asked");
    expect(cap_of[key] == 0 || w->flying[key] < (int)cap_of[key], "a key beyond its cap was asked");
    expect(serves(key, r->model), "a key was asked for a model it does not serve");
    expect(w->now < r->deadline, "sent after the deadline");
    r->flying = true;
    r->waiting = false;
    r->cap_key = key;
    w->flying[key]++;
    admit(w, r, key);
    r->until = w->now + 1 + (int64_t)rng_below(&w->rng, (uint64_t)(3 * S));
}

static void finish(struct world *w, struct request *r)
{
    expect(!r->flying, "ended in flight");
    plan_end(&r->plan, w->now);
    expect(r->plan.queue == NULL, "ended, and still in line");
    r->used = false;
    w->ended++;
}

static void ask(struct world *w, struct request *r)
{
    const struct plan *first = first_in_line(w, &r->plan);
    bool in_line = r->plan.queue != NULL;
    struct plan_step step, again;

    plan_next(&r->plan, w->now, &step);
    r->epoch = pool_epoch(w->pool);
    switch (step.action) {
    case PLAN_SEND:
        expect(!in_line || first == &r->plan, "left the line before the first in it");
        expect(in_line || !first || w->options.max_wait_ns == 0 || first->age > r->plan.age,
               "passed by a line");
        sent(w, r, step.key);
        return;
    case PLAN_WAIT:
        expect(step.until_ns > w->now, "a wait that is over already");
        expect(step.until_ns <= r->deadline, "a wait beyond the deadline");
        r->waiting = true;
        r->until = step.until_ns;
        return;
    case PLAN_RETURN:
    case PLAN_RETURN_KEPT:
    case PLAN_GIVE_UP: break;
    }
    plan_next(&r->plan, w->now, &again);
    expect(again.action == step.action, "an end that changes");
    if (step.action == PLAN_GIVE_UP && step.status == 429) {
        w->refused++;
        expect(step.retry_after_s >= 1 && step.retry_after_s <= 60, "an untrue Retry-After");
    }
    finish(w, r);
}

static void begin_one(struct world *w, struct request *r)
{
    struct plan_request request = {.stateless = true, .affinity = chance(w, 4)};

    *r = (struct request){.used = true, .model = (int)chance(w, MODELS)};
    request.model = models[r->model];
    request.stream = chance(w, 4) == 0;
    request.tokens = 1 + chance(w, 2000);
    r->deadline = request.deadline_ns = w->now + 1 + (int64_t)chance(w, 90) * S;
    plan_start(&r->plan, w->pool, &request, w->now);
    w->begun++;
    ask(w, r);
}

static void answer(struct world *w, struct request *r)
{
    static const struct verdict *const faults[] = {&server_error, &revoked, &cut_off};
    struct evidence evidence = {.status = 429};
    struct verdict v = r->refused ? limited : served;

    if (!r->refused && chance(w, 60) == 0)
        v = *faults[chance(w, 3)];
    if (chance(w, 20) != 0)
        plan_limits(&r->plan, &r->report, w->now);
    if (chance(w, 2))
        plan_usage(&r->plan, (int64_t)chance(w, 2000));
    if (chance(w, 8) == 0 && v.reaction == REACT_SUCCESS)
        plan_proven(&r->plan, w->now);
    w->flying[r->cap_key]--;
    w->upstream_429 += r->refused;
    w->served += v.reaction == REACT_SUCCESS;
    plan_hear(&r->plan, &v, &evidence, w->now);
    r->flying = false;
    ask(w, r);
}

static void hang_up(struct world *w, struct request *r)
{
    if (r->flying)
        w->flying[r->cap_key]--;
    plan_abandon(&r->plan, w->now);
    r->flying = false;
    finish(w, r);
}

static void probe(struct world *w)
{
    key_id key;
    int64_t due;

    if (!pool_probe_next(w->pool, w->now, &key, &due)) {
        expect(due > w->now, "a probe that is due already");
        return;
    }
    switch (chance(w, 4)) {
    case 0: pool_probe_hear(w->pool, key, NULL, NULL, w->now + 1); break;
    case 1: break; /* lost */
    default: pool_probe_hear(w->pool, key, &served, NULL, w->now + 1); break;
    }
    w->now++;
}

static void reconfigure(struct world *w)
{
    w->options.strategy = (enum strategy)chance(w, STRATEGY_HEADROOM + 1);
    w->options.affinity = chance(w, 2);
    w->options.queue_max = 1 + chance(w, 40);
    w->options.ramp_ns = chance(w, 2) ? 5 * S : 0;
    w->options.probe_interval_ns = chance(w, 2) ? 30 * S : 0;
    pool_configure(w->pool, &w->options);
}

/* The next thing that happens to a request that has begun; time leaps there. */
static struct request *next_due(struct world *w)
{
    struct request *first = NULL;

    for (int i = 0; i < PLANS; i++) {
        struct request *r = &w->plans[i];
        if (!r->used)
            continue;
        if (r->waiting && r->epoch != pool_epoch(w->pool))
            return r; /* woken */
        if (!first || r->until < first->until)
            first = r;
    }
    return first;
}

static void advance(struct world *w)
{
    struct request *r = next_due(w);

    if (!r)
        return;
    if ((!r->waiting || r->epoch == pool_epoch(w->pool)) && r->until > w->now)
        w->now = r->until;
    if (r->flying)
        answer(w, r);
    else
        ask(w, r);
}

static void step(struct world *w)
{
    unsigned what = chance(w, 100);
    struct request *r = &w->plans[chance(w, PLANS)];

    if (what < 30 && !r->used) {
        begin_one(w, r);
    } else if (what == 30 && r->used) {
        hang_up(w, r);
    } else if (what == 31) {
        reconfigure(w);
    } else if (what == 32) {
        w->now += (int64_t)rng_below(&w->rng, (uint64_t)(chance(w, 50) ? 5 * S : 4000 * S));
    } else if (what < 35) {
        probe(w);
    } else if (what == 35 && chance(w, 10) == 0) {
        load(w);
    } else {
        advance(w);
    }
    pool_check(w->pool);
}

static void check_clean(struct world *w)
{
    expect(w->begun == w->ended, "a request that did not end exactly once");
    expect(pool_waiting(w->pool) == 0, "somebody waits after the end");
    for (struct list *at = w->pool->buckets.next; at != &w->pool->buckets; at = at->next) {
        const struct bucket *b = container_of(at, struct bucket, all);
        expect(list_empty(&b->holds), "a reservation after the end");
        for (int i = 0; i < COST_COUNT; i++)
            expect(b->gauges[i].pending == 0, "something reserved after the end");
    }
}

static void run_round(struct world *w)
{
    assert_int_equal(pool_new(&w->options, &w->pool), STATUS_OK);
    load(w);
    build_upstream(w);
    for (uint64_t i = 0; i < ROUND; i++, w->event++)
        step(w);
    for (int i = 0; i < PLANS; i++)
        if (w->plans[i].used)
            hang_up(w, &w->plans[i]);
    pool_check(w->pool);
    check_clean(w);
    pool_free(w->pool);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void limits_hold(void **state)
{
    uint64_t seed = from_environment("SIMULATION_SEED", 1);
    uint64_t events = from_environment("SIMULATION_EVENTS", EVENTS);
    struct world *w = calloc(1, sizeof(*w));

    (void)state;
    assert_non_null(w);
    *w = (struct world){.seed = seed, .rng = {seed}, .now = 1};
    failing = w;
    pool_options_init(&w->options);
    w->options.lease_ns = 60 * S;
    while (w->event < events)
        run_round(w);
    printf("# %llu requests: %llu answers served, %llu of 429, %llu refused here\n",
           (unsigned long long)w->begun, (unsigned long long)w->served,
           (unsigned long long)w->upstream_429, (unsigned long long)w->refused);
    expect(w->served > w->upstream_429 * 10, "limits are found out by running into them");
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
