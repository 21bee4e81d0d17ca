/* Settings become keys: what an attempt is given, what a reload keeps, and many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../settings/fixture.h"
#include "../support/verdicts.h"
#include "keyring/keyring.h"

/* Nobody waits for the first answer of a key, so that each call has one outcome. */
#define CALM "SPAREKEY_PROOF_WAIT=0"

static const struct evidence said_401 = {
    .status = 401, .code = "invalid_api_key", .request_id = "req_1"};
static const struct answer_facts no_facts = {0};

static void count_change(void *context)
{
    __atomic_add_fetch((unsigned *)context, 1, __ATOMIC_SEQ_CST);
}

static struct keyring *ring_from(struct fixture *f, unsigned *changes)
{
    struct keyring *ring;
    assert_int_equal(keyring_new(f->settings, S, count_change, changes, &ring), STATUS_OK);
    return ring;
}

static const struct plan_request request = {
    .stateless = true, .model = {"m", 1}, .deadline_ns = 1000000 * S};

/* Begins a request that is sent. */
static struct key_entry *sent(struct keyring *ring, struct plan *plan, int64_t now_ns)
{
    struct plan_step step;
    struct key_entry *entry;

    keyring_begin(ring, plan, &request, now_ns, &step, &entry);
    assert_int_equal(step.action, PLAN_SEND);
    assert_non_null(entry);
    return entry;
}

static bool opens_with(const struct key_entry *entry, const char *secret)
{
    return slice_eq(secret_bytes(entry->secret), slice_str(secret));
}

/* A whole request that succeeds; the secret it went out with must be this one. */
static void served_by(struct keyring *ring, const char *secret, int64_t now_ns)
{
    struct plan plan;
    struct key_entry *entry = sent(ring, &plan, now_ns);

    assert_true(opens_with(entry, secret));
    keyring_succeed(ring, &plan, &no_facts, now_ns);
    key_entry_unref(entry);
}

static struct key_status status_at(struct keyring *ring, size_t index)
{
    struct key_status status;

    assert_true(keyring_status(ring, index, 2 * S, &status));
    return status;
}

/* ---- what settings become ---------------------------------------------------------------- */

static void an_attempt_is_given_what_it_needs(void **state)
{
    struct fixture *f = *state;
    struct plan plan;
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    unsigned changes = 0;

    fixture_write(f, "sparekey.yaml",
                  "keys:\n"
                  "  - key: " KEY_A "\n"
                  "    name: first\n"
                  "    base_url: http://127.0.0.1:9/v2\n"
                  "    organization: org-1\n"
                  "    project: proj_1\n"
                  "    auth_header: api-key\n");
    must_load(f, NULL, LIST(CALM));
    struct keyring *ring = ring_from(f, &changes);
    struct key_entry *entry = sent(ring, &plan, S);
    assert_true(opens_with(entry, KEY_A));
    assert_string_equal(key_entry_mask(entry, mask), "sk-proj...AAAA");
    assert_string_equal(key_entry_name(entry, name), "first");
    assert_string_equal(entry->traits->organization, "org-1");
    assert_string_equal(entry->traits->project, "proj_1");
    assert_string_equal(entry->traits->auth_header, "api-key");
    const struct service_url *url = keyring_service(ring, entry->traits->service);
    assert_string_equal(url->host, "127.0.0.1");
    assert_string_equal(url->path, "/v2");
    assert_int_equal(url->port, 9);
    assert_false(url->tls);
    keyring_end(ring, &plan, S);
    key_entry_unref(entry);
    keyring_free(ring);
}

static void a_service_has_one_index(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"http://one/v1",   "http://one/v1/", "http://one:80/v1",
                                       "http://two/v1",   "https://one/v1", "http://one/v2",
                                       "http://one:8/v1", "http://two/v1"};
    static const int same_as[] = {0, 0, 0, 3, 4, 5, 6, 3};
    enum { COUNT = sizeof urls / sizeof urls[0] };
    uint32_t indices[COUNT];
    char text[256];
    unsigned changes = 0;
    struct keyring *ring = NULL;

    for (int i = 0; i < COUNT; i++) {
        struct plan plan;
        (void)snprintf(text, sizeof text, "keys:\n - key: " KEY_A "\n   base_url: %s\n", urls[i]);
        fixture_write(f, "sparekey.yaml", text);
        must_load(f, NULL, LIST(CALM));
        if (!ring)
            ring = ring_from(f, &changes);
        else
            assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
        struct key_entry *entry = sent(ring, &plan, S);
        indices[i] = entry->traits->service;
        keyring_end(ring, &plan, S);
        key_entry_unref(entry);
        for (int j = 0; j < i; j++)
            assert_int_equal(indices[i] == indices[j], same_as[i] == same_as[j]);
    }
    keyring_free(ring);
}

/* Who of A and B is sent on, when asked so often without an answer in between. */
static void assert_turns(struct keyring *ring, const char *expected)
{
    struct plan plans[16];
    struct key_entry *entries[16];
    size_t count = strlen(expected);
    char turns[17] = "";

    for (size_t i = 0; i < count; i++) {
        entries[i] = sent(ring, &plans[i], S);
        turns[i] = opens_with(entries[i], KEY_A) ? 'A' : 'B';
    }
    for (size_t i = 0; i < count; i++) {
        keyring_succeed(ring, &plans[i], &no_facts, S);
        key_entry_unref(entries[i]);
    }
    assert_string_equal(turns, expected);
}

static void the_rules_of_a_key_reach_the_pool(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *rule, *strategy, *turns;
    } rows[] = {
        {"max_in_flight: 2", "SPAREKEY_STRATEGY=primary-first", "AABB"},
        {"models: [other, another]", "SPAREKEY_STRATEGY=primary-first", "BB"},
        {"models: [other, m]", "SPAREKEY_STRATEGY=primary-first", "AA"},
        {"weight: 3", "SPAREKEY_STRATEGY=weighted", "AAABAAAB"},
    };
    char text[256];
    unsigned changes = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(text, sizeof text, "keys:\n - key: " KEY_A "\n   %s\n - key: " KEY_B "\n",
                       rows[i].rule);
        fixture_write(f, "sparekey.yaml", text);
        must_load(f, NULL, LIST(rows[i].strategy, CALM));
        struct keyring *ring = ring_from(f, &changes);
        assert_turns(ring, rows[i].turns);
        keyring_free(ring);
    }
}

/* ---- reloads ----------------------------------------------------------------------------- */

/* More keys than one step of a load tells the pool about. */
static void a_load_in_many_steps(void **state)
{
    enum { MANY = 10000 };
    struct fixture *f = *state;
    struct buffer text = {0};
    unsigned changes = 0;

    for (int i = 0; i < MANY; i++)
        assert_int_equal(buffer_printf(&text, 1 << 20, "sk-proj-0123456789-%d\n", i), STATUS_OK);
    assert_int_equal(buffer_append(&text, slice_of("", 1), 1 << 20), STATUS_OK);
    fixture_write(f, "keys.txt", text.data);
    must_load(f, LIST("--keys-file", "keys.txt"), LIST("OPENAI_API_KEY=" KEY_A, CALM));
    struct keyring *ring = ring_from(f, &changes);
    settings_drop_keys(f->settings);
    assert_int_equal(keyring_count(ring), MANY + 1);
    assert_string_equal(status_at(ring, 0).name, "OPENAI_API_KEY");
    assert_string_equal(status_at(ring, MANY).name, "keys.txt:10000");
    assert_string_equal(status_at(ring, MANY).mask, "sk-proj...9999");
    served_by(ring, KEY_A, S);

    text.data[sizeof "sk-proj-" - 1] = 'X'; /* the first of the file */
    fixture_write(f, "keys.txt", text.data);
    must_load(f, LIST("--keys-file", "keys.txt"), LIST("OPENAI_API_KEY=" KEY_A, CALM));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(keyring_count(ring), MANY + 1);
    assert_int_equal(status_at(ring, 0).view.successes, 1);
    assert_string_equal(status_at(ring, MANY).name, "keys.txt:10000");
    keyring_free(ring);
    buffer_clear(&text);
}

static void a_plan_in_flight_keeps_the_key_it_lost(void **state)
{
    struct fixture *f = *state;
    struct plan plan;
    char name[KEY_NAME_MAX];
    unsigned changes = 0;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, CALM));
    struct keyring *ring = ring_from(f, &changes);
    struct key_entry *entry = sent(ring, &plan, S);
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_B, CALM)); /* drops the settings before, too */
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(keyring_count(ring), 1);
    assert_true(opens_with(entry, KEY_A));
    assert_string_equal(key_entry_name(entry, name), "OPENAI_API_KEY");
    served_by(ring, KEY_B, S);
    (void)keyring_hear(ring, &plan, &revoked, &said_401, &no_facts, S);
    keyring_end(ring, &plan, S);
    key_entry_unref(entry);
    /* What was said of the lost key touches nobody. */
    served_by(ring, KEY_B, S);
    assert_int_equal(status_at(ring, 0).view.circuit, CIRCUIT_CLOSED);
    keyring_free(ring);
}

static void a_key_that_stays_keeps_its_state(void **state)
{
    struct fixture *f = *state;
    struct plan plan;
    unsigned changes = 0;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_B, CALM));
    struct keyring *ring = ring_from(f, &changes);
    struct key_entry *entry = sent(ring, &plan, S);
    (void)keyring_hear(ring, &plan, &revoked, &said_401, &no_facts, S);
    keyring_end(ring, &plan, S);
    key_entry_unref(entry);
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_C, "OPENAI_API_KEY_FALLBACK_7=" KEY_A, CALM));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    struct key_status c = status_at(ring, 0), a = status_at(ring, 1);
    assert_string_equal(c.mask, "sk-proj...CCCC");
    assert_int_equal(c.view.circuit, CIRCUIT_CLOSED);
    assert_int_equal(c.view.requests, 0);
    assert_string_equal(a.mask, "sk-proj...AAAA");
    assert_string_equal(a.name, "OPENAI_API_KEY_FALLBACK_7");
    assert_int_equal(a.view.circuit, CIRCUIT_OPEN);
    assert_int_equal(a.view.reason, FAILURE_REVOKED);
    assert_int_equal(a.view.requests, 1);
    assert_string_equal(a.view.evidence.request_id, "req_1");
    served_by(ring, KEY_C, S);
    keyring_free(ring);
}

/* A request that would ask the same key again must not, when that key has gone. */
static void a_key_that_went_is_not_asked_again(void **state)
{
    static const struct verdict again = {
        .reaction = REACT_SAME, .failure = FAILURE_CONFLICT, .max_hops = 5};
    struct fixture *f = *state;
    struct plan plan;
    struct plan_step step;
    struct key_entry *entry;
    unsigned changes = 0;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, CALM));
    struct keyring *ring = ring_from(f, &changes);
    key_entry_unref(sent(ring, &plan, S));
    (void)keyring_hear(ring, &plan, &again, &said_401, &no_facts, S);
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_B, CALM));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    keyring_next(ring, &plan, 20 * S, &step, &entry);
    if (step.action == PLAN_SEND)
        assert_true(opens_with(entry, KEY_B));
    key_entry_unref(entry);
    keyring_end(ring, &plan, 20 * S);
    keyring_free(ring);
}

/* A request that goes on elsewhere still remembers the key, and its entry is gone. */
static void a_key_that_went_is_not_probed(void **state)
{
    struct fixture *f = *state;
    struct plan plan;
    struct plan_step step;
    struct key_entry *entry;
    key_id key;
    int64_t due_ns, later_ns = 60 * S;
    unsigned changes = 0;

    must_load(f, NULL,
              LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_B, CALM,
                   "OPENAI_HEALTH_CHECK_INTERVAL=1s"));
    struct keyring *ring = ring_from(f, &changes);
    key_entry_unref(sent(ring, &plan, S));
    (void)keyring_hear(ring, &plan, &revoked, &said_401, &no_facts, S);
    keyring_next(ring, &plan, S, &step, &entry);
    assert_int_equal(step.action, PLAN_SEND);
    key_entry_unref(entry);
    assert_true(keyring_probe_next(ring, later_ns, &key, &entry, &due_ns));
    assert_true(opens_with(entry, KEY_A));
    keyring_probe_hear(ring, key, NULL, NULL, later_ns);
    key_entry_unref(entry);

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_B, CALM, "OPENAI_HEALTH_CHECK_INTERVAL=1s"));
    assert_int_equal(keyring_load(ring, f->settings, later_ns), STATUS_OK);
    for (int i = 1; i < 100; i++)
        assert_false(keyring_probe_next(ring, later_ns + i * S, &key, &entry, &due_ns));
    keyring_succeed(ring, &plan, &no_facts, later_ns);
    keyring_free(ring);
}

/* A load that fails half-way has done nothing. */
static void a_failed_load_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct buffer yaml = {0};
    unsigned changes = 0;

    fixture_write(f, "sparekey.yaml", "keys: [{key: " KEY_B ", base_url: 'http://b:1'}]\n");
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, CALM));
    struct keyring *ring = ring_from(f, &changes);
    served_by(ring, KEY_A, S);
    /* With these two it has met one too many. */
    assert_int_equal(buffer_append(&yaml, SLICE("keys:\n"), 100), STATUS_OK);
    for (int i = 0; i < KEYRING_SERVICES_MAX - 1; i++)
        assert_int_equal(
            buffer_printf(&yaml, 1 << 20, " - {key: " KEY_B ", base_url: 'http://a:%d'}\n", i + 1),
            STATUS_OK);
    assert_int_equal(buffer_append(&yaml, slice_of("", 1), 1 << 20), STATUS_OK);
    fixture_write(f, "sparekey.yaml", yaml.data);
    buffer_clear(&yaml);
    must_load(f, NULL, LIST(CALM));
    unsigned before = changes;
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_LIMIT);
    assert_int_equal(changes, before);
    assert_int_equal(keyring_count(ring), 2);
    assert_int_equal(status_at(ring, 0).view.requests, 1);
    served_by(ring, KEY_A, S);
    keyring_free(ring);
}

/* ---- waiting requests -------------------------------------------------------------------- */

static void the_waiting_are_told_of_changes(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    struct plan plan;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, "SPAREKEY_PROOF_WAIT=1s"));
    struct keyring *ring = ring_from(f, &changes);
    assert_int_equal(changes, 0); /* not before its owner has it */
    struct key_entry *entry = sent(ring, &plan, S);
    assert_int_equal(changes, 0);
    keyring_proven(ring, &plan, &no_facts, S); /* for those who wait for the first proof */
    assert_int_equal(changes, 1);
    keyring_succeed(ring, &plan, &no_facts, S);
    key_entry_unref(entry);
    unsigned before = changes;
    served_by(ring, KEY_A, S);
    assert_int_equal(changes, before);
    /* Nothing but the reload itself happens: new keys must not wait for the next request. */
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_B));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(changes, before + 1);
    keyring_free(ring);
}

/* ---- display ----------------------------------------------------------------------------- */

static void a_status_is_a_copy(void **state)
{
    struct fixture *f = *state;
    char organization[200];
    struct plan plan;
    unsigned changes = 0;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, CALM));
    struct keyring *ring = ring_from(f, &changes);
    struct key_entry *entry = sent(ring, &plan, S);
    memset(organization, 'o', sizeof organization);
    struct answer_facts facts = {.organization = slice_of(organization, sizeof organization),
                                 .project = SLICE("proj_9")};
    assert_int_equal(status_at(ring, 0).view.in_flight, 1);
    keyring_succeed(ring, &plan, &facts, S);
    key_entry_unref(entry);

    struct key_status status = {0};
    assert_true(keyring_status(ring, 0, S, &status));
    assert_false(keyring_status(ring, 1, S, &status));
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_B, CALM));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    keyring_free(ring); /* what the copy was made of is gone */
    assert_string_equal(status.mask, "sk-proj...AAAA");
    assert_string_equal(status.name, "OPENAI_API_KEY");
    assert_ptr_equal(status.view.project.ptr, status.project);
    assert_true(slice_eq(status.view.project, SLICE("proj_9")));
    assert_ptr_equal(status.view.organization.ptr, status.organization);
    assert_true(status.view.organization.len < sizeof status.organization);
    assert_int_equal(strlen(status.organization), status.view.organization.len);
    assert_int_equal(status.view.successes, 1);
    assert_int_equal(status.view.in_flight, 0);
}

/* ---- threads ----------------------------------------------------------------------------- */

enum { THREADS = 4, REQUESTS = 1500, RELOADS = 60 };

struct hammer {
    struct keyring *ring;
    int64_t clock_ns;  /* only through __atomic builtins, like the counters */
    unsigned a_served; /* requests that went out with KEY_A */
    unsigned changes;
    unsigned running;
};

/* As OpenAI tells it: there is plenty; now and then somebody else has used some of it. */
static struct limit_report limits_of(unsigned n)
{
    struct limit_report report;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    report.readings[REPORT_REQUESTS] =
        (struct limit_reading){10000, n % 50 == 0 ? 6000 : 9999, S / 100};
    return report;
}

static void hammer_once(struct hammer *h, unsigned n)
{
    struct limit_report report = limits_of(n);
    const struct answer_facts facts = {.limits = n % 3 ? &report : NULL, .tokens = n % 5};
    int64_t now_ns = __atomic_add_fetch(&h->clock_ns, S / 1000, __ATOMIC_SEQ_CST);
    struct plan plan;
    struct plan_step step;
    struct key_entry *entry;
    struct key_status status;

    keyring_begin(h->ring, &plan, &request, now_ns, &step, &entry);
    if (step.action == PLAN_SEND && opens_with(entry, KEY_A))
        __atomic_add_fetch(&h->a_served, 1, __ATOMIC_SEQ_CST);
    if (step.action == PLAN_SEND && n % 7 == 0) {
        keyring_proven(h->ring, &plan, &facts, now_ns);
        keyring_end(h->ring, &plan, now_ns); /* the client left in the middle */
    } else if (step.action == PLAN_SEND) {
        keyring_succeed(h->ring, &plan, &facts, now_ns);
    } else {
        keyring_end(h->ring, &plan, now_ns);
    }
    key_entry_unref(entry);
    for (size_t i = 0; n % 16 == 0 && keyring_status(h->ring, i, now_ns, &status); i++)
        __atomic_add_fetch(&h->changes, status.mask[0] != 's', __ATOMIC_SEQ_CST);
}

static void *hammer(void *argument)
{
    struct hammer *h = argument;

    for (unsigned n = 0; n < REQUESTS; n++)
        hammer_once(h, n);
    __atomic_sub_fetch(&h->running, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static struct settings *some_settings(struct fixture *f, const char *second)
{
    must_load(f, NULL,
              LIST("OPENAI_API_KEY=" KEY_A, second, "SPAREKEY_STRATEGY=round-robin", CALM));
    return settings_ref(f->settings);
}

static void threads_and_reloads_at_once(void **state)
{
    struct fixture *f = *state;
    struct settings *choices[] = {some_settings(f, "OPENAI_API_KEY_FALLBACK_1=" KEY_B),
                                  some_settings(f, "OPENAI_API_KEY_FALLBACK_1=" KEY_C),
                                  some_settings(f, "OPENAI_API_KEY_FALLBACK_1=")};
    struct hammer h = {.clock_ns = S, .running = THREADS};
    unsigned changes = 0;
    pthread_t threads[THREADS];

    assert_int_equal(keyring_new(choices[0], S, count_change, &changes, &h.ring), STATUS_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &h), 0);
    unsigned reloads = 0;
    while (reloads < RELOADS || __atomic_load_n(&h.running, __ATOMIC_SEQ_CST)) {
        int64_t now_ns = __atomic_load_n(&h.clock_ns, __ATOMIC_SEQ_CST);
        assert_int_equal(keyring_load(h.ring, choices[++reloads % 3], now_ns), STATUS_OK);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    struct key_status status;
    assert_true(keyring_status(h.ring, 0, h.clock_ns, &status));
    assert_string_equal(status.mask, "sk-proj...AAAA");
    assert_int_equal(status.view.in_flight, 0);
    assert_int_equal(status.view.requests, h.a_served);
    assert_true(h.a_served >= REQUESTS); /* of THREADS * REQUESTS, it has at least every other */
    assert_int_equal(h.changes, 0);
    assert_true(__atomic_load_n(&changes, __ATOMIC_SEQ_CST) >= reloads);
    keyring_free(h.ring);
    for (int i = 0; i < 3; i++)
        settings_unref(choices[i]);
}

/* ---- the watch --------------------------------------------------------------------------- */

struct seen {
    unsigned opened, closed, half_open, down, up;
    unsigned came, went, ordered; /* calls */
    size_t came_count, went_count;
    char last_name[KEY_NAME_MAX];
};

static void see_news(void *context, const struct pool_transition *t, const struct key_entry *entry)
{
    struct seen *seen = context;

    seen->opened += t->to == CIRCUIT_OPEN;
    seen->closed += t->to == CIRCUIT_CLOSED;
    seen->half_open += t->to == CIRCUIT_HALF_OPEN;
    if (entry)
        (void)key_entry_name(entry, seen->last_name);
}

static void see_readiness(void *context, bool ready)
{
    struct seen *seen = context;

    seen->up += ready;
    seen->down += !ready;
}

/* What is told in between comes later. */
static void see_order(void *context, enum key_order order, const struct key_entry *entry)
{
    struct seen *seen = context;

    seen->ordered++;
    assert_int_equal(order, KEY_ORDER_DISABLE);
    assert_int_equal(seen->down, 0);
    (void)key_entry_name(entry, seen->last_name);
}

static void see_keys(void *context, bool came, const struct key_entry *entry, size_t count)
{
    struct seen *seen = context;

    seen->came += came;
    seen->went += !came;
    seen->came_count += came ? count : 0;
    seen->went_count += came ? 0 : count;
    if (entry)
        (void)key_entry_name(entry, seen->last_name);
}

static struct keyring *watched_ring(struct fixture *f, unsigned *changes, struct seen *seen)
{
    const struct keyring_watch watch = {see_news, see_order, see_readiness, see_keys, seen};
    struct keyring *ring = ring_from(f, changes);

    keyring_watch(ring, &watch);
    return ring;
}

static void fails_with(struct keyring *ring, const struct verdict *verdict, int64_t now_ns)
{
    struct plan plan;
    struct key_entry *entry = sent(ring, &plan, now_ns);

    (void)keyring_hear(ring, &plan, verdict, &said_401, &no_facts, now_ns);
    keyring_end(ring, &plan, now_ns);
    key_entry_unref(entry);
}

static void the_watch_hears_of_breakers(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    struct seen seen = {0};

    must_load(f, NULL, LIST(CALM, "OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_B));
    struct keyring *ring = watched_ring(f, &changes, &seen);
    fails_with(ring, &revoked, S);
    assert_int_equal(seen.opened, 1);
    assert_string_equal(seen.last_name, "OPENAI_API_KEY");
    assert_int_equal(seen.down, 0);
    fails_with(ring, &revoked, S);
    assert_int_equal(seen.opened, 2);
    assert_int_equal(seen.down, 1);
    assert_string_equal(seen.last_name, "OPENAI_API_KEY_FALLBACK_1");

    /* That its time has come proves nothing; a success does. */
    served_by(ring, KEY_A, 100000 * S);
    assert_true(seen.half_open >= 1);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.up, 1);
    assert_int_equal(seen.down, 1);
    keyring_free(ring);
}

/* First that it was ordered, then that nothing is left; and an order that changes nothing is no news. */
static void the_watch_hears_of_orders(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    struct seen seen = {0};
    struct key_status key;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A));
    struct keyring *ring = watched_ring(f, &changes, &seen);
    for (int i = 0; i < 2; i++)
        assert_int_equal(keyring_order(ring, "0", KEY_ORDER_DISABLE, S, &key), KEY_MATCH_ONE);
    assert_int_equal(seen.ordered, 1);
    assert_int_equal(seen.down, 1);
    assert_string_equal(seen.last_name, "OPENAI_API_KEY");
    keyring_free(ring);
}

static void the_watch_hears_which_keys_come_and_go(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    struct seen seen = {0};

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A));
    struct keyring *ring = watched_ring(f, &changes, &seen);
    assert_int_equal(seen.came, 0); /* the first load is no change */
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_B, "OPENAI_API_KEY_FALLBACK_3=" KEY_A));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(seen.came, 1);
    assert_int_equal(seen.went, 0);
    assert_string_equal(seen.last_name, "OPENAI_API_KEY");
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_B));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(seen.went, 1);
    assert_string_equal(seen.last_name, "OPENAI_API_KEY_FALLBACK_3");
    keyring_free(ring);
}

static void many_keys_are_summed_up(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    struct seen seen = {0};
    char text[4096] = "";

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A));
    struct keyring *ring = watched_ring(f, &changes, &seen);
    for (int i = 0; i <= KEYRING_NAMED_MAX; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "sk-proj-%028d\n", i);
    fixture_write(f, "keys.txt", text);
    must_load(f, NULL, LIST("SPAREKEY_KEYS_FILE=keys.txt"));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(seen.came, 1);
    assert_int_equal(seen.came_count, KEYRING_NAMED_MAX + 1);
    assert_int_equal(seen.went_count, 1);
    keyring_free(ring);
}

/* All keys are out, and a load brings one that is not. */
static void new_keys_are_a_recovery(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    struct seen seen = {0};

    must_load(f, NULL, LIST(CALM, "OPENAI_API_KEY=" KEY_A));
    struct keyring *ring = watched_ring(f, &changes, &seen);
    fails_with(ring, &revoked, S);
    assert_int_equal(seen.down, 1);
    must_load(f, NULL, LIST(CALM, "OPENAI_API_KEY=" KEY_B));
    assert_int_equal(keyring_load(ring, f->settings, S), STATUS_OK);
    assert_int_equal(seen.up, 1);
    keyring_free(ring);
}

/* A thread that brings its own seat leaves none behind. */
static void *serve_once(void *argument)
{
    struct keyring *ring = argument;
    struct pool_reader *seat = keyring_seat_new(ring);

    assert_non_null(seat);
    assert_null(keyring_sit(ring, seat));
    served_by(ring, KEY_A, 2 * S);
    assert_ptr_equal(keyring_sit(ring, NULL), seat);
    keyring_seat_free(ring, seat);
    return NULL;
}

static void threads_that_come_and_go_bring_seats(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    pthread_t thread;

    must_load(f, NULL, LIST(CALM, "OPENAI_API_KEY=" KEY_A));
    struct keyring *ring = ring_from(f, &changes);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread, NULL, serve_once, ring), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_int_equal(status_at(ring, 0).view.successes, 3);
    keyring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_attempt_is_given_what_it_needs),
        TEST(a_service_has_one_index),
        TEST(the_rules_of_a_key_reach_the_pool),
        TEST(a_load_in_many_steps),
        TEST(the_rules_of_a_key_reach_the_pool),
        TEST(a_plan_in_flight_keeps_the_key_it_lost),
        TEST(a_key_that_stays_keeps_its_state),
        TEST(a_key_that_went_is_not_asked_again),
        TEST(a_key_that_went_is_not_probed),
        TEST(a_failed_load_changes_nothing),
        TEST(the_waiting_are_told_of_changes),
        TEST(a_status_is_a_copy),
        TEST(threads_and_reloads_at_once),
        TEST(the_watch_hears_of_breakers),
        TEST(the_watch_hears_of_orders),
        TEST(many_keys_are_summed_up),
        TEST(the_watch_hears_which_keys_come_and_go),
        TEST(new_keys_are_a_recovery),
        TEST(threads_that_come_and_go_bring_seats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
