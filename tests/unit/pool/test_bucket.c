#include "pool_test.h"

#include "pool/bucket.h"

/* A bucket on a node of its own, and attempts that draw from it by hand. */
static struct readers readers;
static struct shelf shelf;

static struct bucket *bucket_on(void *node)
{
    struct bucket *b = bucket_new(&shelf, node, 1, LEVEL_PROJECT);

    assert_non_null(b);
    return b;
}

static void send(struct bucket *b, struct attempt *a, uint64_t serial, int64_t tokens, int64_t now)
{
    *a = (struct attempt){
        .serial = serial, .started_ns = now, .costs = {1, tokens, 0}, .tokens = -1};
    bucket_hold(b, a, LEVEL_PROJECT, false, 60 * S, now);
    bucket_check(b);
}

static void told(struct bucket *b, const struct attempt *a, struct limit_reading requests,
                 struct limit_reading tokens)
{
    const struct limit_reading readings[COST_COUNT] = {requests, tokens, {-1, -1, -1}};

    bucket_correct(b, a, readings, a->started_ns);
    bucket_check(b);
}

static const struct limit_reading nothing = {-1, -1, -1};
static const int64_t one_request[COST_COUNT] = {1, 0, 0};

static void dispose(struct bucket *b)
{
    bucket_detach(b); /* nobody holds it: back on the shelf */
    shelf_clear(&shelf);
}

static void what_is_unknown_stops_nobody(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct attempt a;

    (void)state;
    assert_int_equal(bucket_ready_ns(b, one_request, 7), 7);
    send(b, &a, 1, 0, 0);
    told(b, &a, (struct limit_reading){10, 11, 0}, (struct limit_reading){100, -3, 1 * S});
    told(b, &a, (struct limit_reading){10, 0, INT64_MAX}, (struct limit_reading){0, 0, 1 * S});
    assert_int_equal(b->gauges[COST_REQUESTS].limit, -1);
    assert_int_equal(b->gauges[COST_TOKENS].limit, -1);
    assert_int_equal(bucket_ready_ns(b, one_request, 7), 7);
    bucket_release(&a, LEVEL_PROJECT, 1);
    dispose(b);
}

/* 10 a second, empty: the next is there after 100 ms, and a little for caution. */
static void it_refills_linearly(void **state)
{
    struct bucket *b = bucket_on(&b);
    const int64_t four[COST_COUNT] = {4, 0, 0};
    struct attempt a;

    (void)state;
    send(b, &a, 1, 0, 0);
    told(b, &a, (struct limit_reading){10, 0, 1 * S}, nothing);
    assert_in_range(bucket_ready_ns(b, one_request, 0), 100 * MS, 103 * MS);
    assert_in_range(bucket_ready_ns(b, four, 0), 400 * MS, 412 * MS);
    assert_in_range(bucket_ready_ns(b, four, 300 * MS), 400 * MS, 412 * MS);
    assert_int_equal(bucket_ready_ns(b, four, 412 * MS), 412 * MS);
    assert_true(gauge_left(&b->gauges[COST_REQUESTS], 100 * S) <= 10);
    assert_in_range(bucket_pace_ns(b, four), 400 * MS, 412 * MS);
    bucket_release(&a, LEVEL_PROJECT, 1);
    dispose(b);
}

/* Requests and answers overtake each other, so an answer gives bounds; between them the bucket's own
 * account of what was sent is kept. */
static void answers_give_bounds(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct gauge *g = &b->gauges[COST_REQUESTS];
    struct attempt a[5];

    (void)state;
    send(b, &a[0], 1, 0, 0);
    told(b, &a[0], (struct limit_reading){100, 99, 600 * MS}, nothing);
    for (uint64_t i = 1; i < 4; i++)
        send(b, &a[i], i + 1, 0, 0);
    assert_int_equal((int64_t)gauge_left(g, 0), 96);
    told(b, &a[2], (struct limit_reading){100, 98, 1200 * MS}, nothing); /* it came first */
    assert_int_equal((int64_t)gauge_left(g, 0), 96);
    told(b, &a[1], (struct limit_reading){100, 96, 2400 * MS}, nothing); /* it came last */
    assert_int_equal((int64_t)gauge_left(g, 0), 96);
    told(b, &a[3], (struct limit_reading){100, 50, 30 * S}, nothing); /* somebody else drinks */
    assert_int_equal((int64_t)gauge_left(g, 0), 50);
    for (unsigned i = 0; i < 4; i++)
        bucket_release(&a[i], LEVEL_PROJECT, 0);
    assert_int_equal((int64_t)gauge_left(g, 0), 50);
    send(b, &a[4], 5, 0, 0); /* alone on its way: what it hears is what there is */
    told(b, &a[4], (struct limit_reading){100, 90, 6 * S}, nothing);
    assert_int_equal((int64_t)gauge_left(g, 0), 90);
    bucket_release(&a[4], LEVEL_PROJECT, 0);
    dispose(b);
}

/* A full bucket does not refill while a request is still on its way there. */
static void what_may_be_on_its_way_is_held_beside_the_level(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct gauge *g = &b->gauges[COST_REQUESTS];
    struct attempt a, slow;

    (void)state;
    send(b, &a, 1, 0, 0);
    told(b, &a, (struct limit_reading){10, 0, 1 * S}, nothing);
    bucket_release(&a, LEVEL_PROJECT, 0);
    send(b, &slow, 2, 0, 10 * S); /* full by now */
    assert_int_equal((int64_t)gauge_left(g, 10 * S + BUCKET_TRAVEL_NS - 1), 9);
    send(b, &a, 3, 0, 10 * S + BUCKET_TRAVEL_NS); /* the slow one has arrived, and is charged */
    assert_int_equal(g->pending, 1);
    assert_int_equal((int64_t)gauge_left(g, 11 * S), 9);
    bucket_release(&a, LEVEL_PROJECT, 11 * S);
    bucket_release(&slow, LEVEL_PROJECT, 11 * S);
    bucket_check(b);
    dispose(b);
}

/* An attempt whose answer says nothing of limits is charged with what it used. */
static void usage_corrects_the_estimate(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct gauge *g = &b->gauges[COST_TOKENS];
    struct attempt a, silent;

    (void)state;
    send(b, &a, 1, 100, 0);
    told(b, &a, nothing, (struct limit_reading){1000, 500, 60 * S});
    send(b, &silent, 2, 300, 0);
    assert_int_equal((int64_t)gauge_left(g, 0), 200);
    silent.tokens = 20;
    bucket_release(&silent, LEVEL_PROJECT, 0);
    assert_int_equal((int64_t)gauge_left(g, 0), 480);
    bucket_release(&a, LEVEL_PROJECT, 0);
    assert_int_equal((int64_t)gauge_left(g, 0), 480);
    dispose(b);
}

/* An estimate larger than the whole bucket: when it is full, it may pass. */
static void more_than_it_holds_passes_when_full(void **state)
{
    struct bucket *b = bucket_on(&b);
    const int64_t huge[COST_COUNT] = {1, 5000, 0};
    struct attempt a;

    (void)state;
    send(b, &a, 1, 0, 0);
    told(b, &a, nothing, (struct limit_reading){1000, 500, 30 * S});
    assert_in_range(bucket_ready_ns(b, huge, 0), 30 * S, 31 * S);
    assert_int_equal(bucket_ready_ns(b, huge, 31 * S), 31 * S);
    bucket_release(&a, LEVEL_PROJECT, 0);
    dispose(b);
}

/* Times are rounded: one request missing and "1s" would be a sixtieth of the pace. */
static void a_small_part_missing_does_not_replace_the_pace(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct attempt a, later;

    (void)state;
    send(b, &a, 1, 0, 0);
    told(b, &a, (struct limit_reading){100, 0, 10 * S}, nothing);
    send(b, &later, 2, 0, 20 * S);
    told(b, &later, (struct limit_reading){100, 99, 1 * S}, nothing);
    assert_in_range(bucket_pace_ns(b, one_request), 100 * MS, 103 * MS);
    bucket_release(&a, LEVEL_PROJECT, 0);
    bucket_release(&later, LEVEL_PROJECT, 20 * S);
    dispose(b);
}

static void its_last_holder_frees_it(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct attempt a, c;

    (void)state;
    send(b, &a, 1, 0, 0);
    send(b, &c, 2, 0, 0);
    bucket_detach(b);
    bucket_release(&a, LEVEL_PROJECT, 0);
    bucket_check(b);
    bucket_release(&c, LEVEL_PROJECT, 0); /* the sanitizer sees that it is gone, and once */
    shelf_clear(&shelf);
    assert_null(c.holds[LEVEL_PROJECT].bucket);
}

/* Much used, then out, then back: the first gap is long and shrinks to the usual one. */
static void traffic_returns_along_a_ramp(void **state)
{
    struct bucket *b = bucket_on(&b);
    struct attempt a;
    int64_t now = 0, first, last;

    (void)state;
    bucket_ramp(b, 5 * S, 0);
    assert_int_equal(bucket_ready_ns(b, one_request, 1), 1); /* little used: no ramp */
    for (uint64_t i = 1; i < 400; i++, now += 10 * MS) {
        send(b, &a, i, 0, now);
        bucket_release(&a, LEVEL_PROJECT, now);
    }
    bucket_ramp(b, 5 * S, now);
    first = bucket_ready_ns(b, one_request, now) - now;
    assert_in_range(first, 100 * MS, 200 * MS);
    now += 4 * S;
    send(b, &a, 1000, 0, now);
    bucket_release(&a, LEVEL_PROJECT, now);
    last = bucket_ready_ns(b, one_request, now) - now;
    assert_in_range(last, 10 * MS, 20 * MS);
    assert_int_equal(bucket_ready_ns(b, one_request, now + 1 * S), now + 1 * S);
    dispose(b);
}

int main(void)
{
    readers_init(&readers);
    shelf.readers = &readers;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_unknown_stops_nobody),
        cmocka_unit_test(it_refills_linearly),
        cmocka_unit_test(answers_give_bounds),
        cmocka_unit_test(what_may_be_on_its_way_is_held_beside_the_level),
        cmocka_unit_test(usage_corrects_the_estimate),
        cmocka_unit_test(more_than_it_holds_passes_when_full),
        cmocka_unit_test(a_small_part_missing_does_not_replace_the_pace),
        cmocka_unit_test(its_last_holder_frees_it),
        cmocka_unit_test(traffic_returns_along_a_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
