#include "pool/readers.h"

#include <stdlib.h>

void readers_init(struct readers *readers)
{
    *readers = (struct readers){.era = 1, .tail = &readers->oldest};
}

bool readers_gone(const struct readers *readers, uint64_t era)
{
    for (struct pool_reader *reader = readers->first; reader; reader = reader->next) {
        uint64_t entered = __atomic_load_n(&reader->era, __ATOMIC_SEQ_CST);
        if (entered != 0 && entered <= era)
            return false;
    }
    return true;
}

void readers_defer(struct readers *readers, struct garbage *thing)
{
    thing->next = NULL;
    thing->era = readers_end_era(readers);
    *readers->tail = thing;
    readers->tail = &thing->next;
    readers_collect(readers);
}

static struct garbage *take_oldest(struct readers *readers)
{
    struct garbage *thing = readers->oldest;

    readers->oldest = thing->next;
    if (!readers->oldest)
        readers->tail = &readers->oldest;
    return thing;
}

void readers_collect(struct readers *readers)
{
    while (readers->oldest && readers_gone(readers, readers->oldest->era)) {
        struct garbage *thing = take_oldest(readers);
        thing->release(thing);
    }
}

void readers_fini(struct readers *readers)
{
    while (readers->oldest) {
        struct garbage *thing = take_oldest(readers);
        thing->release(thing);
    }
}
