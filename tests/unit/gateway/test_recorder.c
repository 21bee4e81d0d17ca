/* What the keyring counted reaches the history: once, under the right key, over a reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../settings/fixture.h"
#include "../support/verdicts.h"
#include "gateway/recorder.h"
#include "net/loop.h"

#define CALM "SPAREKEY_PROOF_WAIT=0", "SPAREKEY_STRATEGY=round-robin"

static const struct plan_request request = {
    .stateless = true, .model = {"m", 1}, .deadline_ns = 1000000 * S};

static struct keyring *ring;
static struct recorder *recorder;

static void start(struct fixture *f, const char *state_file)
{
    char setting[128];

    (void)snprintf(setting, sizeof setting, "SPAREKEY_STATE_FILE=%s", state_file);
    must_load(f, NULL,
              LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_B, CALM, setting));
    assert_int_equal(keyring_new(f->settings, S, NULL, NULL, &ring), STATUS_OK);
    assert_int_equal(recorder_start(f->settings, ring, NULL, &recorder), STATUS_OK);
}

static void stop(void)
{
    recorder_stop(recorder);
    keyring_free(ring);
    recorder = NULL;
    ring = NULL;
}

/* One attempt at whoever's turn it is: fails and is taken over, or is served. */
static void serve_one(const struct verdict *first)
{
    static const struct evidence evidence = {.status = 429};
    static const struct answer_facts facts = {0};
    struct plan plan;
    struct plan_step step;
    struct key_entry *entry;

    keyring_begin(ring, &plan, &request, 2 * S, &step, &entry);
    if (first) {
        assert_int_equal(step.action, PLAN_SEND);
        (void)keyring_hear(ring, &plan, first, &evidence, &facts, 2 * S);
        key_entry_unref(entry);
        keyring_next(ring, &plan, 2 * S, &step, &entry);
    }
    assert_int_equal(step.action, PLAN_SEND);
    keyring_succeed(ring, &plan, &facts, 2 * S);
    key_entry_unref(entry);
}

/* Of the last two hours: no test stands on a minute's end. */
static struct history_counts sum_of(const char *key)
{
    static struct history_counts minutes[120];
    struct history_counts sum = {0};

    recorder_refresh(recorder);
    assert_int_equal(
        history_read(recorder_history(recorder), key, net_wall_ms() / 60000 - 118, 120, minutes),
        STATUS_OK);
    for (int i = 0; i < 120; i++)
        history_counts_add(&sum, &minutes[i]);
    return sum;
}

static void counts_reach_the_history(void **state)
{
    struct fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/state", f->directory);
    start(f, path);
    for (int i = 0; i < 4; i++)
        serve_one(NULL);
    recorder_refresh(recorder);
    serve_one(&limited); /* fails at one, served by the other */
    stop();              /* the last look is written */
    start(f, path);      /* and a new process counts on */
    serve_one(NULL);
    struct history_counts all = sum_of(NULL), a = sum_of("OPENAI_API_KEY"),
                          b = sum_of("OPENAI_API_KEY_FALLBACK_1");
    stop();
    assert_int_equal(all.requests, 7);
    assert_int_equal(all.successes, 6);
    assert_int_equal(all.failures[HISTORY_RATE_LIMITED], 1);
    assert_int_equal(all.failovers, 1);
    assert_int_equal(a.requests + b.requests, 7);
    assert_int_equal(a.failures[HISTORY_RATE_LIMITED] + b.failures[HISTORY_RATE_LIMITED], 1);
    assert_int_equal(a.failovers + b.failovers, 1);
    assert_true(a.failovers != a.failures[HISTORY_RATE_LIMITED]); /* who failed did not take over */
    assert_int_equal(unlink(path), 0);
}

static void a_key_that_is_gone_is_not_lost(void **state)
{
    struct fixture *f = *state;

    start(f, "");
    serve_one(&limited);
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_C, CALM));
    assert_int_equal(keyring_load(ring, f->settings, 3 * S), STATUS_OK);
    serve_one(NULL);
    struct history_counts all = sum_of(NULL);
    assert_int_equal(all.failures[HISTORY_RATE_LIMITED], 1);
    assert_int_equal(all.failovers, 1);
    assert_true(all.requests >= 1);
    stop();
}

static void no_days_no_history(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, "SPAREKEY_HISTORY_DAYS=0"));
    assert_int_equal(recorder_start(f->settings, NULL, NULL, &recorder), STATUS_OK);
    assert_null(recorder);
    recorder_stop(recorder);
}

static void memory_takes_the_place_of_a_bad_file(void **state)
{
    struct fixture *f = *state;

    start(f, "/nowhere/at/all");
    assert_false(history_is_file(recorder_history(recorder)));
    serve_one(NULL);
    assert_int_equal(sum_of(NULL).requests, 1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_reach_the_history),
        TEST(a_key_that_is_gone_is_not_lost),
        TEST(no_days_no_history),
        TEST(memory_takes_the_place_of_a_bad_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
