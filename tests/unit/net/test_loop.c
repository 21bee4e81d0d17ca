#include "net_test.h"

#include <signal.h>
#include <sys/timerfd.h>
#include <time.h>

struct alarm {
    struct wheel_timer timer;
    int64_t fired_ms;
    unsigned fired;
};

static void on_alarm(struct wheel_timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    alarm->fired_ms = (int64_t)uv_now(&net.uv);
    alarm->fired++;
}

static int64_t now_ms(void)
{
    return (int64_t)uv_now(&net.uv);
}

static int64_t tick_due_ms(void)
{
    struct itimerspec left;
    assert_int_equal(timerfd_gettime(net.tick_fd, &left), 0);
    return (int64_t)left.it_value.tv_sec * 1000 + left.it_value.tv_nsec / 1000000;
}

static void timers_fire_in_time_and_the_tick_sleeps(void **state)
{
    (void)state;
    static const int64_t delays_ms[] = {0, 1, 50, 120};
    for (unsigned i = 0; i < 4; i++) {
        struct alarm alarm = {0};
        wheel_timer_init(&alarm.timer, on_alarm);
        assert_false(uv_has_ref((uv_handle_t *)&net.tick));
        uv_update_time(&net.uv);
        int64_t begun_ms = now_ms();
        net_timer_start(&net, &alarm.timer, delays_ms[i]);
        assert_true(uv_has_ref((uv_handle_t *)&net.tick));
        RUN_UNTIL(alarm.fired);
        assert_in_range(alarm.fired_ms - begun_ms, delays_ms[i], delays_ms[i] + 1000);
        assert_false(uv_has_ref((uv_handle_t *)&net.tick));
    }
}

/* A timer a minute away must not wake the loop at every tick. */
static void a_distant_timer_lets_the_loop_sleep(void **state)
{
    (void)state;
    struct alarm alarm = {0}, earlier = {0};
    wheel_timer_init(&alarm.timer, on_alarm);
    wheel_timer_init(&earlier.timer, on_alarm);
    net_timer_start(&net, &alarm.timer, 60000);
    assert_true(tick_due_ms() > 8000 - 2 * WHEEL_TICK_MS);
    net_timer_start(&net, &earlier.timer, 30); /* an earlier one moves the tick forward */
    assert_true(tick_due_ms() <= 30 + WHEEL_TICK_MS);
    RUN_UNTIL(earlier.fired);
    assert_int_equal(alarm.fired, 0);
    assert_true(tick_due_ms() > 4000);
    net_timer_stop(&net, &alarm.timer);
    net_timer_stop(&net, &alarm.timer);
    assert_false(uv_has_ref((uv_handle_t *)&net.tick));
}

static void moving_a_timer_later_touches_nothing_else(void **state)
{
    (void)state;
    struct alarm alarm = {0};
    wheel_timer_init(&alarm.timer, on_alarm);
    net_timer_start(&net, &alarm.timer, 20);
    int64_t wake_ms = net.wheel_wake_ms, begun_ms = now_ms();
    for (int i = 0; i < 100; i++) {
        net_timer_start(&net, &alarm.timer, 20 + i);
        assert_int_equal(net.wheel_wake_ms, wake_ms);
    }
    RUN_UNTIL(alarm.fired);
    assert_true(alarm.fired_ms - begun_ms >= 119);
}

static void clocks(void **state)
{
    (void)state;
    assert_int_equal(net_now_ns(&net), now_ms() * 1000000);
    int64_t wall_ms = net_wall_ms(), seconds = (int64_t)time(NULL);
    assert_in_range(wall_ms / 1000, seconds - 2, seconds + 2);
}

static void a_peer_that_left_raises_no_signal(void **state)
{
    (void)state;
    struct sigaction action;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, SIG_IGN);
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(timers_fire_in_time_and_the_tick_sleeps),
        NET_TEST(a_distant_timer_lets_the_loop_sleep),
        NET_TEST(moving_a_timer_later_touches_nothing_else),
        NET_TEST(clocks),
        NET_TEST(a_peer_that_left_raises_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
