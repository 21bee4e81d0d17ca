#include "gateway/alert_memory.h"

#include "base/hash.h"

/* What the event is about; 0: nothing that people are alerted of. */
static uint64_t subject_of(const struct event *event)
{
    static const struct hash_seed seed = {0x616c, 0x657274};
    struct slice who = slice_str(*event->key ? event->key : event->account);
    struct slice name = slice_str(event->name);

    if (event->drill)
        return 0;
    switch ((int)event->kind) {
    case EVENT_ALL_DOWN:
    case EVENT_RECOVERED: return 1;
    case EVENT_GAVE_UP: return 2 + hash_bytes(&seed, slice_str(event->reason)) / 2;
    case EVENT_KEY_DISABLED:
    case EVENT_KEY_ENABLED:
        return 3 + hash_mix(hash_bytes(&seed, who), hash_bytes(&seed, name)) / 2;
    default: return 0;
    }
}

/* Its place; a new one takes the place of the one told longest ago. */
static unsigned place_of(const struct alert_memory *memory, uint64_t subject)
{
    unsigned oldest = 0;

    for (unsigned i = 0; i < ALERTS_REMEMBERED; i++) {
        if (memory->entries[i].subject == subject)
            return i;
        if (memory->entries[i].told_ms < memory->entries[oldest].told_ms)
            oldest = i;
    }
    return oldest;
}

static bool is_known(const struct alert_memory *memory, unsigned place, uint64_t subject,
                     const struct event *event, int64_t now_ms)
{
    return memory->entries[place].subject == subject &&
           memory->entries[place].kind == event->kind &&
           now_ms - memory->entries[place].told_ms < ALERT_REPEAT_MS;
}

/* That something is well again is news only to who was told that it was not. */
static bool undoes_nothing(const struct alert_memory *memory, unsigned place, uint64_t subject,
                           const struct event *event)
{
    return (event->kind == EVENT_RECOVERED || event->kind == EVENT_KEY_ENABLED) &&
           memory->entries[place].subject != subject;
}

static bool has_burst_left(struct alert_memory *memory, int64_t now_ms)
{
    if (memory->in_window == 0 || now_ms - memory->window_ms >= ALERT_REPEAT_MS) {
        memory->window_ms = now_ms;
        memory->in_window = 0;
    }
    return memory->in_window < ALERT_BURST;
}

bool alert_memory_take(struct alert_memory *memory, const struct event *event, int64_t now_ms,
                       uint32_t *ret_left_out)
{
    uint64_t subject = subject_of(event);

    /* Requests that fail while every key is out are what was told already. */
    if (subject == 0 || (event->kind == EVENT_GAVE_UP && memory->down))
        return false;
    unsigned place = place_of(memory, subject);
    if (is_known(memory, place, subject, event, now_ms) ||
        undoes_nothing(memory, place, subject, event))
        return false;
    if (!has_burst_left(memory, now_ms)) {
        memory->left_out++;
        return false;
    }
    memory->in_window++;
    memory->entries[place].subject = subject;
    memory->entries[place].kind = (uint8_t)event->kind;
    memory->entries[place].told_ms = now_ms;
    if (subject == 1)
        memory->down = event->kind == EVENT_ALL_DOWN;
    *ret_left_out = memory->left_out;
    memory->left_out = 0;
    return true;
}

void alert_memory_miss(struct alert_memory *memory, uint64_t events)
{
    uint64_t room = UINT32_MAX - memory->left_out;

    memory->left_out += (uint32_t)(events < room ? events : room);
}
