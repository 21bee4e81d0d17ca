/* What the tests of this room share: a pool of named keys, verdicts by class, a clock. */
#ifndef SPAREKEY_TESTS_POOL_TEST_H
#define SPAREKEY_TESTS_POOL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/plan.h"

#define MS  INT64_C(1000000)
#define S   (1000 * MS)
#define FAR (INT64_C(1000000) * S)

/* Owners "" are unknown. */
struct owner_names {
    const char *org, *project;
};

static inline struct pool *pool_of(const struct pool_options *options, size_t count,
                                   const struct owner_names *owners)
{
    struct key_spec specs[64] = {0};
    struct pool *pool;

    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        specs[i].identity = 1000 + i;
        specs[i].cookie = i;
        if (owners) {
            specs[i].organization = slice_str(owners[i].org);
            specs[i].project = slice_str(owners[i].project);
        }
    }
    assert_int_equal(pool_new(options, &pool), STATUS_OK);
    assert_int_equal(pool_load(pool, specs, count, 0), STATUS_OK);
    pool_check(pool);
    return pool;
}

static inline struct pool_options options_of(enum strategy strategy)
{
    struct pool_options options;

    pool_options_init(&options);
    options.strategy = strategy;
    options.proof_wait_ns = 0;
    options.max_wait_ns = 0; /* tests of waiting turn it on */
    return options;
}

static inline void begin_with(struct plan *plan, struct pool *pool, struct plan_request request,
                              int64_t now)
{
    if (!request.deadline_ns)
        request.deadline_ns = now + 600 * S;
    plan_start(plan, pool, &request, now);
}

static inline void begin(struct plan *plan, struct pool *pool, int64_t now)
{
    begin_with(plan, pool, (struct plan_request){.stateless = true, .model = SLICE("m")}, now);
}

static inline struct plan_step next(struct plan *plan, int64_t now)
{
    struct plan_step step;

    plan_next(plan, now, &step);
    pool_check(plan->pool);
    return step;
}

/* The key is sent on, and it is this one (by cookie). */
#define assert_sends(plan, now, wanted)                                                            \
    do {                                                                                           \
        struct plan_step step_ = next(plan, now);                                                  \
        assert_int_equal(step_.action, PLAN_SEND);                                                 \
        assert_int_equal(pool_key_cookie((plan)->pool, step_.key), wanted);                        \
    } while (0)

static const struct verdict served = {.reaction = REACT_SUCCESS, .wait_ns = -1};
static const struct verdict caller_fault = {
    .reaction = REACT_RETURN, .failure = FAILURE_CALLER, .wait_ns = -1};
static const struct verdict revoked = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_KEY,
                                       .failure = FAILURE_REVOKED,
                                       .probe = PROBE_FREE,
                                       .wait_ns = -1,
                                       .base_ns = 900 * S,
                                       .cap_ns = 86400 * S};
static const struct verdict limited = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_PROJECT_MODEL,
                                       .failure = FAILURE_RATE,
                                       .hop = HOP_OTHER_PROJECT,
                                       .probe = PROBE_LIVE,
                                       .wait_ns = -1,
                                       .base_ns = 1 * S,
                                       .cap_ns = 60 * S};
static const struct verdict no_quota = {.reaction = REACT_NEXT,
                                        .scope = SCOPE_ORG,
                                        .failure = FAILURE_QUOTA,
                                        .hop = HOP_OTHER_ORG,
                                        .probe = PROBE_LIVE,
                                        .wait_ns = -1,
                                        .base_ns = 600 * S,
                                        .cap_ns = 3600 * S};
static const struct verdict no_model = {.reaction = REACT_NEXT,
                                        .scope = SCOPE_PROJECT_MODEL,
                                        .failure = FAILURE_MODEL,
                                        .hop = HOP_OTHER_PROJECT,
                                        .one_per_project = true,
                                        .wait_ns = -1,
                                        .base_ns = 3600 * S,
                                        .cap_ns = 3600 * S};
static const struct verdict server_error = {.reaction = REACT_NEXT,
                                            .scope = SCOPE_SERVICE_MODEL,
                                            .failure = FAILURE_SERVER,
                                            .blame_on_second = true,
                                            .wait_ns = -1,
                                            .base_ns = 1 * S,
                                            .cap_ns = 30 * S};
static const struct verdict cut_off = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_SERVICE,
                                       .failure = FAILURE_NETWORK,
                                       .blame_on_second = true,
                                       .maybe_ran = true,
                                       .wait_ns = -1,
                                       .base_ns = 1 * S,
                                       .cap_ns = 30 * S};
static const struct verdict overloaded = {.reaction = REACT_NEXT,
                                          .scope = SCOPE_SERVICE_MODEL,
                                          .failure = FAILURE_OVERLOADED,
                                          .max_hops = 2,
                                          .wait_ns = -1,
                                          .base_ns = 1 * S,
                                          .cap_ns = 5 * S};
static const struct verdict too_large = {.reaction = REACT_NEXT,
                                         .scope = SCOPE_REQUEST,
                                         .failure = FAILURE_TOO_LARGE,
                                         .hop = HOP_OTHER_PROJECT,
                                         .one_per_project = true,
                                         .wait_ns = -1};
static const struct verdict locked = {.reaction = REACT_SAME,
                                      .scope = SCOPE_REQUEST,
                                      .failure = FAILURE_CONFLICT,
                                      .max_hops = 1,
                                      .wait_ns = -1,
                                      .base_ns = 1 * S,
                                      .cap_ns = 3 * S};

static inline struct verdict with_wait(struct verdict verdict, int64_t wait_ns)
{
    verdict.wait_ns = wait_ns;
    return verdict;
}

/* Tells the plan of an answer with this status. */
static inline bool hear(struct plan *plan, struct verdict verdict, int status, int64_t now)
{
    struct evidence evidence = {.status = status, .code = "test"};
    bool keep = plan_hear(plan, &verdict, &evidence, now);

    pool_check(plan->pool);
    return keep;
}

/* Starts a request that is sent on `wanted`. */
static inline void send_one(struct plan *plan, struct pool *pool, uint64_t wanted, int64_t now)
{
    begin(plan, pool, now);
    assert_sends(plan, now, wanted);
}

static inline void one(struct pool *pool, uint64_t wanted, struct verdict v, int64_t now)
{
    struct plan plan;

    send_one(&plan, pool, wanted, now);
    hear(&plan, v, v.reaction == REACT_SUCCESS ? 200 : 429, now);
    plan_end(&plan, now);
}

static inline struct pool *rotating_pool(size_t count, const struct owner_names *owners)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);

    return pool_of(&options, count, owners);
}

static inline struct key_view view(struct pool *pool, size_t index, int64_t now)
{
    struct key_view v;

    pool_view(pool, index, now, &v);
    return v;
}

#endif
