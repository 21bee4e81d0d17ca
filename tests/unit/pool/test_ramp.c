#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/ramp.h"

/* Sends as fast as the ramp allows until `end_ns`; returns how many. */
static unsigned flood(struct service *service, int64_t from_ns, int64_t end_ns)
{
    unsigned sent = 0;
    int64_t gap_ns;

    for (int64_t now = from_ns; now < end_ns; now += 100000) {
        if (ramp_ready_ns(service, now, &gap_ns) > now)
            continue;
        ramp_sent(service, now);
        sent++;
    }
    return sent;
}

static void without_trouble_nobody_waits(void **state)
{
    struct service service = {0};
    int64_t gap_ns = -1;

    (void)state;
    assert_int_equal(ramp_ready_ns(&service, 5, &gap_ns), 5);
    assert_int_equal(gap_ns, 0);
}

static void doubles_every_step_and_ends(void **state)
{
    struct service service = {0};
    int64_t from = 7 * RAMP_STEP_NS, gap_ns;

    (void)state;
    ramp_begin(&service, from);
    for (int step = 0; step < 5; step++) {
        unsigned sent =
            flood(&service, from + step * RAMP_STEP_NS, from + (step + 1) * RAMP_STEP_NS);
        unsigned expected = (unsigned)(RAMP_STEP_NS / (RAMP_GAP_NS >> step));
        assert_in_range(sent, expected - 1 - expected / 20, expected + 1);
    }
    from += RAMP_STEPS * RAMP_STEP_NS;
    assert_int_equal(ramp_ready_ns(&service, from, &gap_ns), from);
    assert_int_equal(gap_ns, 0);
    assert_false(service.ramping);
}

static void new_trouble_begins_anew(void **state)
{
    struct service service = {0};
    int64_t gap_ns;

    (void)state;
    ramp_begin(&service, 0);
    (void)ramp_ready_ns(&service, 4 * RAMP_STEP_NS, &gap_ns);
    assert_int_equal(gap_ns, RAMP_GAP_NS >> 4);
    ramp_begin(&service, 4 * RAMP_STEP_NS);
    assert_int_equal(ramp_ready_ns(&service, 4 * RAMP_STEP_NS, &gap_ns),
                     4 * RAMP_STEP_NS + RAMP_GAP_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_trouble_nobody_waits),
        cmocka_unit_test(doubles_every_step_and_ends),
        cmocka_unit_test(new_trouble_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
