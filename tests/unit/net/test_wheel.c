#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "net/wheel.h"

#define TIMERS 200

/* A timer beside its obvious model: a due time and whether it is armed. */
struct probe {
    struct wheel_timer timer;
    int64_t due_ms;
    int64_t tick; /* when it must fire: that of its due time, or the next one if that is over */
    bool armed;
    unsigned fired;
    int64_t rearm_ms; /* set by a test: arm again this much later, from inside fire */
};

struct world {
    struct wheel wheel;
    int64_t now_ms;
    struct probe probes[TIMERS];
};

/* cmocka's tests have no other way to reach a callback that gets the timer only. */
static struct world *world;

static int64_t tick_of(int64_t due_ms)
{
    return (due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

static void expect(struct probe *probe, int64_t due_ms)
{
    int64_t next = world->now_ms / WHEEL_TICK_MS + 1, due = tick_of(due_ms);
    probe->due_ms = due_ms;
    probe->tick = due > next ? due : next;
    probe->armed = true;
}

static void on_fire(struct wheel_timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);
    assert_true(probe->armed);
    assert_false(wheel_armed(timer));
    assert_true(probe->due_ms <= world->now_ms); /* never early */
    probe->armed = false;
    probe->fired++;
    if (probe->rearm_ms) {
        expect(probe, world->now_ms + probe->rearm_ms);
        wheel_start(&world->wheel, timer, probe->due_ms);
    }
}

static void start(struct probe *probe, int64_t due_ms)
{
    expect(probe, due_ms);
    wheel_start(&world->wheel, &probe->timer, due_ms);
}

static void stop(struct probe *probe)
{
    probe->armed = false;
    wheel_stop(&world->wheel, &probe->timer);
}

static size_t armed_in_model(void)
{
    size_t count = 0;
    for (unsigned i = 0; i < TIMERS; i++)
        count += world->probes[i].armed;
    return count;
}

/* After an advance no armed timer is overdue, and the wheel would wake in time for each. */
static void check_model(void)
{
    int64_t now_tick = world->now_ms / WHEEL_TICK_MS, next_ms = wheel_next_ms(&world->wheel);
    assert_int_equal(world->wheel.armed, armed_in_model());
    for (unsigned i = 0; i < TIMERS; i++) {
        struct probe *probe = &world->probes[i];
        assert_int_equal(wheel_armed(&probe->timer), probe->armed);
        if (!probe->armed)
            continue;
        assert_true(probe->tick > now_tick);
        assert_true(next_ms <= probe->tick * WHEEL_TICK_MS);
    }
}

static void advance(int64_t ms)
{
    world->now_ms += ms;
    wheel_advance(&world->wheel, world->now_ms);
}

static int setup(void **state)
{
    (void)state;
    world = calloc(1, sizeof *world);
    world->now_ms = 123457;
    wheel_init(&world->wheel, world->now_ms);
    for (unsigned i = 0; i < TIMERS; i++)
        wheel_timer_init(&world->probes[i].timer, on_fire);
    return world ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(world);
    return 0;
}

static void fires_within_a_tick(void **state)
{
    (void)state;
    struct probe *probe = &world->probes[0];
    for (int64_t delay = 0; delay < 40000; delay += 997) {
        unsigned before = probe->fired;
        start(probe, world->now_ms + delay);
        int64_t waited = 0;
        while (probe->fired == before) {
            advance(1);
            waited++;
        }
        assert_true(waited >= delay);
        assert_true(waited <= delay + WHEEL_TICK_MS);
        assert_int_equal(probe->fired, before + 1);
    }
}

static void moving_later_leaves_the_slot(void **state)
{
    (void)state;
    struct probe *probe = &world->probes[0];
    start(probe, world->now_ms + 100);
    struct list *neighbour = probe->timer.node.next;
    for (int i = 0; i < 50; i++) {
        start(probe, world->now_ms + 200 + i);
        assert_ptr_equal(probe->timer.node.next, neighbour);
    }
    advance(240);
    assert_int_equal(probe->fired, 0);
    advance(20);
    assert_int_equal(probe->fired, 1);
}

static void moving_earlier_fires_earlier(void **state)
{
    (void)state;
    struct probe *probe = &world->probes[0];
    start(probe, world->now_ms + 60000);
    start(probe, world->now_ms + 50);
    advance(50 + WHEEL_TICK_MS);
    assert_int_equal(probe->fired, 1);
    advance(120000);
    assert_int_equal(probe->fired, 1);
}

static void rearming_inside_fire(void **state)
{
    (void)state;
    struct probe *probe = &world->probes[0];
    probe->rearm_ms = 16;
    start(probe, world->now_ms + 16);
    for (int i = 0; i < 1600; i++)
        advance(1);
    assert_in_range(probe->fired, 1600 / (16 + WHEEL_TICK_MS), 1600 / 16);
    stop(probe);
    advance(100000);
    assert_int_equal(wheel_next_ms(&world->wheel), INT64_MAX);
}

static struct probe *victim;

static void fire_and_stop_other(struct wheel_timer *timer)
{
    on_fire(timer);
    stop(victim);
}

static void stopping_a_neighbour_inside_fire(void **state)
{
    (void)state;
    victim = &world->probes[1];
    world->probes[0].timer.fire = fire_and_stop_other;
    start(&world->probes[0], world->now_ms + 30);
    start(victim, world->now_ms + 30);
    start(&world->probes[2], world->now_ms + 30);
    advance(100);
    assert_int_equal(world->probes[0].fired, 1);
    assert_int_equal(victim->fired, 0);
    assert_int_equal(world->probes[2].fired, 1);
}

static void a_long_sleep_fires_everything_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TIMERS; i++)
        start(&world->probes[i], world->now_ms + (int64_t)i * 500);
    advance(10000000);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(world->probes[i].fired, 1);
}

static int64_t random_delay(struct rng *rng)
{
    static const uint64_t spans[] = {1, 20, 1000, 9000, 70000};
    return (int64_t)rng_below(rng, spans[rng_below(rng, 5)]);
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng = {seed};
        for (int step = 0; step < 3000; step++) {
            struct probe *probe = &world->probes[rng_below(&rng, TIMERS)];
            uint64_t action = rng_below(&rng, 10);
            if (action < 5) {
                probe->rearm_ms = rng_below(&rng, 4) ? 0 : 1 + random_delay(&rng);
                start(probe, world->now_ms + random_delay(&rng));
            } else if (action < 7) {
                stop(probe);
            } else {
                advance(random_delay(&rng) / 10);
                check_model();
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fires_within_a_tick, setup, teardown),
        cmocka_unit_test_setup_teardown(moving_later_leaves_the_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(moving_earlier_fires_earlier, setup, teardown),
        cmocka_unit_test_setup_teardown(rearming_inside_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_a_neighbour_inside_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_sleep_fires_everything_once, setup, teardown),
        cmocka_unit_test_setup_teardown(agrees_with_the_model, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
