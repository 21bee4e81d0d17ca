/* Who has been alerted of what: repeats, changes of state, storms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/alert_memory.h"

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct alert_memory));
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static uint32_t left_out;

static bool takes(struct alert_memory *memory, enum event_kind kind, const char *key,
                  const char *reason, int64_t now_ms)
{
    struct event event = {.kind = kind, .reason = reason};

    (void)slice_copy(slice_str(key), event.name, sizeof event.name);
    (void)snprintf(event.key, sizeof event.key, "sk-...%.4s", key);
    return alert_memory_take(memory, &event, now_ms, &left_out);
}

static void the_same_is_told_once(void **state)
{
    struct alert_memory *memory = *state;

    assert_true(takes(memory, EVENT_KEY_DISABLED, "A", "revoked", 1));
    assert_false(takes(memory, EVENT_KEY_DISABLED, "A", "revoked", 2));
    assert_true(takes(memory, EVENT_KEY_DISABLED, "B", "revoked", 3));
    assert_false(takes(memory, EVENT_KEY_DISABLED, "A", "revoked", ALERT_REPEAT_MS));
    assert_true(takes(memory, EVENT_KEY_DISABLED, "A", "revoked", 1 + ALERT_REPEAT_MS));
}

static void a_new_state_is_told_at_once(void **state)
{
    struct alert_memory *memory = *state;

    assert_true(takes(memory, EVENT_ALL_DOWN, "", NULL, 1));
    assert_true(takes(memory, EVENT_RECOVERED, "", NULL, 2));
    assert_true(takes(memory, EVENT_ALL_DOWN, "", NULL, 3));
    assert_false(takes(memory, EVENT_ALL_DOWN, "", NULL, 4));
    assert_true(takes(memory, EVENT_KEY_DISABLED, "A", NULL, 5));
    assert_true(takes(memory, EVENT_KEY_ENABLED, "A", NULL, 6));
}

static void what_was_never_wrong_does_not_recover(void **state)
{
    struct alert_memory *memory = *state;

    assert_false(takes(memory, EVENT_RECOVERED, "", NULL, 1));
    assert_false(takes(memory, EVENT_KEY_ENABLED, "A", NULL, 1));
}

static void failing_requests_are_told_by_class_unless_all_is_down(void **state)
{
    struct alert_memory *memory = *state;

    assert_true(takes(memory, EVENT_GAVE_UP, "", "rate_limited", 1));
    assert_false(takes(memory, EVENT_GAVE_UP, "", "rate_limited", 2));
    assert_true(takes(memory, EVENT_GAVE_UP, "", "network", 3));
    assert_true(takes(memory, EVENT_ALL_DOWN, "", NULL, 4));
    assert_false(takes(memory, EVENT_GAVE_UP, "", "revoked", 5));
    assert_true(takes(memory, EVENT_RECOVERED, "", NULL, 6));
    assert_true(takes(memory, EVENT_GAVE_UP, "", "revoked", 7));
}

static void other_events_are_no_alerts(void **state)
{
    struct alert_memory *memory = *state;

    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        bool alerts = kind == EVENT_GAVE_UP || kind == EVENT_ALL_DOWN ||
                      kind == EVENT_KEY_DISABLED || kind == EVENT_KEY_ENABLED ||
                      kind == EVENT_RECOVERED;
        if (!alerts)
            assert_false(takes(memory, (enum event_kind)kind, "A", "revoked", 1));
    }
}

/* They may have been alerts: the next one says how many. */
static void what_was_missed_is_told_as_left_out(void **state)
{
    struct alert_memory *memory = *state;

    alert_memory_miss(memory, 0);
    alert_memory_miss(memory, 7);
    alert_memory_miss(memory, 5);
    assert_true(takes(memory, EVENT_ALL_DOWN, "", NULL, 1));
    assert_int_equal(left_out, 12);
    alert_memory_miss(memory, UINT64_MAX);
    alert_memory_miss(memory, UINT64_MAX);
    assert_true(takes(memory, EVENT_RECOVERED, "", NULL, 2));
    assert_int_equal(left_out, UINT32_MAX);
}

static void a_drill_alarms_nobody(void **state)
{
    struct event event = {.kind = EVENT_GAVE_UP, .reason = "rate_limited", .drill = true};

    assert_false(alert_memory_take(*state, &event, 1, &left_out));
    event.drill = false;
    assert_true(alert_memory_take(*state, &event, 1, &left_out));
}

static void a_storm_is_held_and_counted(void **state)
{
    struct alert_memory *memory = *state;
    char key[16];
    int taken = 0;

    for (int i = 0; i < 3 * ALERT_BURST; i++) {
        (void)snprintf(key, sizeof key, "K%d", i);
        taken += takes(memory, EVENT_KEY_DISABLED, key, "revoked", 1 + i);
    }
    assert_int_equal(taken, ALERT_BURST);
    assert_true(takes(memory, EVENT_KEY_DISABLED, "later", "revoked", 1 + ALERT_REPEAT_MS));
    assert_int_equal(left_out, 2 * ALERT_BURST);
    assert_true(takes(memory, EVENT_ALL_DOWN, "", NULL, 1 + ALERT_REPEAT_MS));
    assert_int_equal(left_out, 0);
}

/* More subjects than there is room for: the oldest is forgotten, nothing else happens. */
static void old_ones_are_forgotten(void **state)
{
    struct alert_memory *memory = *state;
    int64_t now_ms = 1;
    char key[16];

    for (int i = 0; i < 2 * ALERTS_REMEMBERED; i++) {
        (void)snprintf(key, sizeof key, "K%d", i);
        now_ms += ALERT_REPEAT_MS;
        assert_true(takes(memory, EVENT_KEY_DISABLED, key, "revoked", now_ms));
        assert_false(takes(memory, EVENT_KEY_DISABLED, key, "revoked", now_ms + 1));
    }
}

int main(void)
{
#define WITH_MEMORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_MEMORY(the_same_is_told_once),
        WITH_MEMORY(a_new_state_is_told_at_once),
        WITH_MEMORY(what_was_never_wrong_does_not_recover),
        WITH_MEMORY(failing_requests_are_told_by_class_unless_all_is_down),
        WITH_MEMORY(other_events_are_no_alerts),
        WITH_MEMORY(what_was_missed_is_told_as_left_out),
        WITH_MEMORY(a_drill_alarms_nobody),
        WITH_MEMORY(a_storm_is_held_and_counted),
        WITH_MEMORY(old_ones_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
