/* A ring of WHEEL_SLOTS lists, one per tick; the slot of tick t is t % WHEEL_SLOTS.
 *
 *          tick                      a timer due within one turn stands in its own tick's slot;
 *            ▼                       one due later stands in the last slot of this turn and is
 *   ┌──┬──┬──┬──┬──┬──┬──┬──┐        filed again when the hand comes there
 *   │  │  │▒▒│● │  │●●│  │  │
 *   └──┴──┴──┴──┴──┴──┴──┴──┘
 *
 * Always: a timer in the wheel stands in a slot between tick + 1 and tick + WHEEL_SLOTS - 1, at or
 * before its due tick. So moving it later needs no list operation: the slot's visit notices that it
 * is not due and files it again. A bit per slot lets the hand jump over empty stretches, and lets
 * the owner sleep until something is to be looked at. A bit may outlive the slot's last timer
 * (wheel_stop does not look); the visit clears it.
 */
#include "net/wheel.h"

#include <assert.h>

_Static_assert((WHEEL_SLOTS & (WHEEL_SLOTS - 1)) == 0, "slots are chosen with a mask");
_Static_assert(WHEEL_SLOTS % 64 == 0, "the bits fill whole words");

#define NO_TICK INT64_MAX

/* The first tick that begins at or after `ms`: never early. */
static int64_t tick_at_or_after(int64_t ms)
{
    return (ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

static unsigned slot_of(int64_t tick)
{
    return (unsigned)tick & (WHEEL_SLOTS - 1);
}

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    *wheel = (struct wheel){.tick = now_ms / WHEEL_TICK_MS};
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
}

void wheel_timer_init(struct wheel_timer *timer, void (*fire)(struct wheel_timer *))
{
    *timer = (struct wheel_timer){.fire = fire};
    list_init(&timer->node);
}

int wheel_armed(const struct wheel_timer *timer)
{
    return !list_empty(&timer->node);
}

static void file(struct wheel *wheel, struct wheel_timer *timer)
{
    int64_t last = wheel->tick + WHEEL_SLOTS - 1;
    int64_t tick = tick_at_or_after(timer->due_ms);
    timer->filed_ms = timer->due_ms;
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1;
    } else if (tick > last) {
        tick = last;
        timer->filed_ms = last * WHEEL_TICK_MS;
    }
    unsigned slot = slot_of(tick);
    list_append(&wheel->slots[slot], &timer->node);
    wheel->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
    wheel->armed++;
}

void wheel_start(struct wheel *wheel, struct wheel_timer *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (wheel_armed(timer)) {
        if (due_ms >= timer->filed_ms)
            return;
        wheel_stop(wheel, timer);
    }
    file(wheel, timer);
}

void wheel_stop(struct wheel *wheel, struct wheel_timer *timer)
{
    if (!wheel_armed(timer))
        return;
    assert(wheel->armed > 0);
    wheel->armed--;
    list_remove(&timer->node);
}

/* The first tick after `wheel->tick` whose slot's bit is set: at most one turn ahead. */
static int64_t next_occupied(const struct wheel *wheel)
{
    if (wheel->armed == 0)
        return NO_TICK;
    int64_t tick = wheel->tick + 1;
    while (tick < wheel->tick + WHEEL_SLOTS) {
        unsigned slot = slot_of(tick);
        uint64_t bits = wheel->occupied[slot / 64] >> (slot % 64);
        if (bits)
            return tick + __builtin_ctzll(bits);
        tick += 64 - slot % 64;
    }
    return NO_TICK;
}

int64_t wheel_next_ms(const struct wheel *wheel)
{
    int64_t tick = next_occupied(wheel);
    return tick == NO_TICK ? INT64_MAX : tick * WHEEL_TICK_MS;
}

/* Takes the slot's timers off into `ret`, so that what is filed or stopped meanwhile is harmless. */
static void detach_slot(struct wheel *wheel, unsigned slot, struct list *ret)
{
    struct list *head = &wheel->slots[slot];
    list_init(ret);
    if (!list_empty(head)) {
        *ret = *head;
        ret->next->prev = ret;
        ret->prev->next = ret;
        list_init(head);
    }
    wheel->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static void visit(struct wheel *wheel, int64_t tick)
{
    struct list due;
    wheel->tick = tick;
    detach_slot(wheel, slot_of(tick), &due);
    while (!list_empty(&due)) {
        struct wheel_timer *timer = container_of(due.next, struct wheel_timer, node);
        wheel_stop(wheel, timer);
        if (tick_at_or_after(timer->due_ms) > tick)
            file(wheel, timer);
        else
            timer->fire(timer);
    }
}

void wheel_advance(struct wheel *wheel, int64_t now_ms)
{
    int64_t now_tick = now_ms / WHEEL_TICK_MS;
    for (;;) {
        int64_t tick = next_occupied(wheel);
        if (tick > now_tick)
            break;
        visit(wheel, tick);
    }
    if (wheel->tick < now_tick)
        wheel->tick = now_tick;
}
