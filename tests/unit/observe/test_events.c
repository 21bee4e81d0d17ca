/* The ring of events: numbers, what readers miss, rates, waking, and many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/events.h"

#define S INT64_C(1000000000)

static int set_up(void **state)
{
    struct events *events;

    if (events_new(&events) != STATUS_OK)
        return -1;
    *state = events;
    return 0;
}

static int tear_down(void **state)
{
    events_free(*state);
    return 0;
}

static bool tell(struct events *events, enum event_kind kind, int64_t now_ns)
{
    struct event event = {.kind = kind};

    return events_tell(events, &event, now_ns, 1000);
}

static struct event next(struct events *events, uint64_t *position, uint64_t expect_missed)
{
    struct event event;
    uint64_t missed;

    assert_true(events_read(events, position, &event, &missed));
    assert_int_equal(missed, expect_missed);
    return event;
}

static bool has_next(struct events *events, uint64_t position)
{
    struct event event;
    uint64_t missed;

    return events_read(events, &position, &event, &missed);
}

static void readers_keep_their_own_place(void **state)
{
    struct events *events = *state;
    uint64_t one = 0, two = 0;

    assert_false(has_next(events, 0));
    assert_int_equal(events_next_number(events), 1);
    assert_true(tell(events, EVENT_ALL_DOWN, 0));
    assert_true(tell(events, EVENT_RECOVERED, 0));
    assert_int_equal(next(events, &one, 0).kind, EVENT_ALL_DOWN);
    struct event event = next(events, &one, 0);
    assert_int_equal(event.kind, EVENT_RECOVERED);
    assert_int_equal(event.number, 2);
    assert_int_equal(event.wall_ms, 1000);
    assert_false(has_next(events, one));
    assert_int_equal(next(events, &two, 0).number, 1);
}

static void a_slow_reader_learns_what_it_missed(void **state)
{
    struct events *events = *state;
    uint64_t position = 1;

    for (int i = 0; i < EVENTS_KEPT + 10; i++)
        assert_true(tell(events, EVENT_CIRCUIT_OPENED, 0));
    assert_int_equal(next(events, &position, 10).number, 11);
    for (int i = 1; i < EVENTS_KEPT; i++)
        assert_int_equal(next(events, &position, 0).number, 11 + i);
    assert_false(has_next(events, position));
}

static void a_number_of_another_process_begins_anew(void **state)
{
    struct events *events = *state;
    uint64_t position = 99;

    assert_true(tell(events, EVENT_RELOADED, 0));
    assert_int_equal(next(events, &position, 0).number, 1);
    assert_int_equal(position, 2);
}

static void a_flood_is_counted_and_not_kept(void **state)
{
    struct events *events = *state;
    uint64_t position;

    for (int i = 0; i < EVENTS_BURST; i++)
        assert_true(tell(events, EVENT_GAVE_UP, 100 * S));
    for (int i = 0; i < 1000; i++)
        assert_false(tell(events, EVENT_GAVE_UP, 100 * S));
    assert_true(tell(events, EVENT_FAILOVER, 100 * S)); /* each kind by itself */
    assert_true(tell(events, EVENT_ALL_DOWN, 100 * S)); /* and what no request causes always */
    position = events_next_number(events);
    assert_true(tell(events, EVENT_GAVE_UP, 100 * S + S / EVENTS_RATE));
    assert_int_equal(next(events, &position, 0).count, 1001);
    assert_false(tell(events, EVENT_GAVE_UP, 100 * S + S / EVENTS_RATE));
    for (int i = 0; i < EVENTS_BURST; i++)
        assert_true(tell(events, EVENT_GAVE_UP, 200 * S));
    assert_false(tell(events, EVENT_GAVE_UP, 200 * S));
}

struct counter {
    struct event_listener listener;
    unsigned woken;
};

static void count(struct event_listener *listener)
{
    container_of(listener, struct counter, listener)->woken++;
}

static void listeners_are_woken_until_they_leave(void **state)
{
    struct events *events = *state;
    struct counter a = {.listener.wake = count}, b = {.listener.wake = count};

    events_subscribe(events, &a.listener);
    events_subscribe(events, &b.listener);
    assert_true(tell(events, EVENT_ALL_DOWN, 0));
    events_unsubscribe(events, &a.listener);
    assert_true(tell(events, EVENT_RECOVERED, 0));
    events_unsubscribe(events, &b.listener);
    assert_true(tell(events, EVENT_DRAINING, 0));
    assert_int_equal(a.woken, 1);
    assert_int_equal(b.woken, 2);
}

static void without_a_ring_nothing_is_kept(void **state)
{
    (void)state;
    assert_true(tell(NULL, EVENT_ALL_DOWN, 0));
    events_free(NULL);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void assert_json(const struct event *event, const char *expected)
{
    struct buffer out = {0};

    assert_int_equal(event_json(event, &out), STATUS_OK);
    if (!slice_eq(buffer_slice(&out), slice_str(expected)))
        fail_msg("%.*s\ninstead of\n%s", (int)out.len, out.data, expected);
    buffer_clear(&out);
}

static void json_names_what_is_known(void **state)
{
    struct event event = {.kind = EVENT_FAILOVER,
                          .number = 7,
                          .wall_ms = 1767225599007,
                          .key = "sk-proj...N0IA",
                          .name = "OPENAI_API_KEY",
                          .account = "org-a",
                          .scope = "key",
                          .reason = "revoked",
                          .circuit = "open",
                          .from = "closed",
                          .until_wall_ms = 1767225600000,
                          .status = 401,
                          .code = "invalid_api_key",
                          .request_id = "req_\"1",
                          .model = "gpt\x01",
                          .trail = "revoked,rate_limited",
                          .attempts = 3,
                          .count = 2,
                          .message = "a\nb"};

    (void)state;
    assert_json(&event,
                "{\"id\":7,\"event\":\"failover\",\"severity\":\"warn\",\"component\":\"requests\","
                "\"time\":\"2025-12-31T23:59:59.007Z\",\"keyId\":\"sk-proj...N0IA\","
                "\"name\":\"OPENAI_API_KEY\",\"account\":\"org-a\",\"scope\":\"key\","
                "\"reason\":\"revoked\",\"circuit\":\"open\",\"from\":\"closed\","
                "\"until\":\"2026-01-01T00:00:00.000Z\",\"status\":401,"
                "\"code\":\"invalid_api_key\",\"requestId\":\"req_\\\"1\",\"model\":\"gpt\\u0001\","
                "\"trail\":[\"revoked\",\"rate_limited\"],\"attempts\":3,\"count\":2,"
                "\"message\":\"a\\nb\"}");
    assert_json(&(struct event){.kind = EVENT_ALL_DOWN, .number = 1},
                "{\"id\":1,\"event\":\"all_down\",\"severity\":\"error\",\"component\":\"keys\"}");
}

/* Every byte an escape of six: still within EVENT_JSON_MAX. */
static void the_longest_event_fits(void **state)
{
    struct event event = {.kind = EVENT_CIRCUIT_HALF_OPEN, .number = UINT64_MAX};

    (void)state;
    memset(event.key, 1, sizeof event.key - 1);
    memset(event.name, 1, sizeof event.name - 1);
    memset(event.account, 1, sizeof event.account - 1);
    memset(event.code, 1, sizeof event.code - 1);
    memset(event.request_id, 1, sizeof event.request_id - 1);
    memset(event.model, 1, sizeof event.model - 1);
    memset(event.trail, 1, sizeof event.trail - 1);
    memset(event.message, 1, sizeof event.message - 1);
    struct buffer out = {0};
    assert_int_equal(event_json(&event, &out), STATUS_OK);
    buffer_clear(&out);
}

/* ---- threads ------------------------------------------------------------------------------ */

enum { THREADS = 4, EACH = 2000 };

static void *tell_many(void *argument)
{
    for (int i = 0; i < EACH; i++)
        (void)tell(argument, EVENT_CIRCUIT_CLOSED, 0);
    return NULL;
}

static void threads_leave_no_gap(void **state)
{
    struct events *events = *state;
    pthread_t threads[THREADS];
    uint64_t position = 1, missed, seen = 0, all_missed = 0;
    struct event event;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, tell_many, events), 0);
    while (seen + all_missed < THREADS * EACH) {
        if (!events_read(events, &position, &event, &missed))
            continue;
        all_missed += missed;
        seen++;
        assert_int_equal(event.number, seen + all_missed);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(has_next(events, position));
}

int main(void)
{
#define WITH_RING(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_RING(readers_keep_their_own_place),
        WITH_RING(a_slow_reader_learns_what_it_missed),
        WITH_RING(a_number_of_another_process_begins_anew),
        WITH_RING(a_flood_is_counted_and_not_kept),
        WITH_RING(listeners_are_woken_until_they_leave),
        cmocka_unit_test(without_a_ring_nothing_is_kept),
        cmocka_unit_test(json_names_what_is_known),
        cmocka_unit_test(the_longest_event_fits),
        WITH_RING(threads_leave_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
