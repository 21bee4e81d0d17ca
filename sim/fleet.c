#include "sim/fleet.h"

#include <stdlib.h>

struct policy *fleet_make(const struct policy_class *class, const struct policy_setup *setup)
{
    struct fleet *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->base.class = class;
    f->seed = setup->seed;
    f->count = f->awake_count = world_key_count(setup->world);
    f->keys = calloc(f->count, sizeof(*f->keys));
    f->awake = calloc(f->count, sizeof(*f->awake));
    f->resting = calloc(f->count, sizeof(*f->resting));
    if (!f->keys || !f->awake || !f->resting) {
        fleet_free(&f->base);
        return NULL;
    }
    for (uint32_t i = 0; i < f->count; i++)
        f->awake[i] = f->keys[i].place = i;
    return &f->base;
}

void fleet_free(struct policy *policy)
{
    struct fleet *f = (struct fleet *)policy;

    free(f->keys);
    free(f->awake);
    free(f->resting);
    free(f);
}

void fleet_begin(struct policy *policy, struct call *call, int64_t now_ns)
{
    (void)policy;
    call->state.simple = (struct simple_call){.not_before_ns = now_ns};
}

void fleet_end(struct policy *policy, struct call *call, int64_t now_ns)
{
    (void)policy;
    (void)call;
    (void)now_ns;
}

void fleet_rest(struct fleet *f, uint32_t key, int64_t until_ns)
{
    if (f->keys[key].rests_until_ns)
        return; /* perhaps all do */
    uint32_t last = f->awake[f->awake_count - 1];

    f->keys[key].rests_until_ns = until_ns;
    f->awake[f->keys[key].place] = last;
    f->keys[last].place = f->keys[key].place;
    f->awake_count--;
    f->resting[(f->resting_first + f->resting_count++) % f->count] = key;
}

void fleet_wake(struct fleet *f, int64_t now_ns)
{
    while (f->resting_count && f->keys[f->resting[f->resting_first]].rests_until_ns <= now_ns) {
        uint32_t key = f->resting[f->resting_first];
        f->resting_first = (f->resting_first + 1) % f->count;
        f->resting_count--;
        f->keys[key] = (struct fleet_key){.place = f->awake_count};
        f->awake[f->awake_count++] = key;
    }
}
