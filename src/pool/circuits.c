#include "pool/circuits.h"

#include <stdlib.h>

#include "base/hash.h"
#include "pool/invariant.h"
#include "pool/tree.h"

#define BUCKETS_FIRST 64
#define HEAP_FIRST    64

enum status circuits_init(struct circuits *c)
{
    *c = (struct circuits){0};
    c->buckets = calloc(BUCKETS_FIRST, sizeof *c->buckets);
    c->heap = calloc(HEAP_FIRST, sizeof(*c->heap));
    if (!c->buckets || !c->heap) {
        circuits_fini(c);
        return STATUS_NO_MEMORY;
    }
    c->bucket_count = BUCKETS_FIRST;
    c->heap_capacity = HEAP_FIRST;
    c->next_due_ns = INT64_MAX;
    return STATUS_OK;
}

static void free_chain(struct breaker *b)
{
    while (b) {
        struct breaker *next = b->bucket_next;
        free(b);
        b = next;
    }
}

void circuits_fini(struct circuits *c)
{
    for (size_t i = 0; i < c->bucket_count; i++)
        free_chain(c->buckets[i]);
    free_chain(c->spare);
    free(c->buckets);
    free(c->heap);
    *c = (struct circuits){0};
}

/* Nodes are told apart by address: no decision depends on the order in a bucket. */
static size_t bucket_of(const struct circuits *c, const struct place *place)
{
    uint64_t hash = hash_mix((uintptr_t)place->node, (uint64_t)place->scope << 56);
    return (size_t)hash_mix(hash, place->detail) & (c->bucket_count - 1);
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->node == b->node && a->detail == b->detail && a->scope == b->scope;
}

struct breaker *circuits_find(const struct circuits *c, struct place place)
{
    struct breaker *b = c->buckets[bucket_of(c, &place)];

    while (b && !same_place(&b->place, &place))
        b = b->bucket_next;
    return b;
}

/* Longer chains are only slower, so a failed growth is no failure. */
static void grow_buckets(struct circuits *c)
{
    size_t old_count = c->bucket_count;
    struct breaker **old = c->buckets;
    struct breaker **bigger = calloc(old_count * 2, sizeof(*bigger));

    if (!bigger)
        return;
    c->buckets = bigger;
    c->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct breaker *b = old[i], *next; b; b = next) {
            size_t bucket = bucket_of(c, &b->place);
            next = b->bucket_next;
            b->bucket_next = bigger[bucket];
            bigger[bucket] = b;
        }
    }
    free(old);
}

/* Room for every breaker, so that scheduling one cannot fail. */
static bool grow_heap(struct circuits *c)
{
    struct breaker **bigger;

    if (c->count < c->heap_capacity)
        return true;
    bigger = realloc(c->heap, c->heap_capacity * 2 * sizeof(*bigger));
    if (!bigger)
        return false;
    c->heap = bigger;
    c->heap_capacity *= 2;
    return true;
}

static void link_to_bucket(struct circuits *c, struct breaker *b)
{
    size_t bucket = bucket_of(c, &b->place);

    b->bucket_next = c->buckets[bucket];
    c->buckets[bucket] = b;
}

static void unlink_from_bucket(struct circuits *c, struct breaker *b)
{
    struct breaker **at = &c->buckets[bucket_of(c, &b->place)];

    while (*at != b)
        at = &(*at)->bucket_next;
    *at = b->bucket_next;
}

static void link_to_node(struct breaker *b)
{
    struct node *node = b->place.node;

    b->prev = NULL;
    b->next = node->breakers;
    if (b->next)
        b->next->prev = b;
    POST(&node->breakers, b);
}

static void unlink_from_node(struct breaker *b)
{
    if (b->prev)
        b->prev->next = b->next;
    else
        POST(&b->place.node->breakers, b->next);
    if (b->next)
        b->next->prev = b->prev;
}

static struct breaker *take_memory(struct circuits *c)
{
    struct breaker *b = c->spare;

    if (!b)
        return malloc(sizeof(*b));
    c->spare = b->bucket_next;
    return b;
}

struct breaker *circuits_add(struct circuits *c, struct place place)
{
    struct breaker *b;

    if (scope_has_detail(place.scope) && c->detail_count >= CIRCUITS_DETAIL_MAX)
        return NULL;
    if (!grow_heap(c))
        return NULL;
    b = take_memory(c);
    if (!b)
        return NULL;
    *b = (struct breaker){.place = place, .heap_index = HEAP_NONE, .state = CIRCUIT_CLOSED};
    list_init(&b->probes);
    if (c->count >= c->bucket_count)
        grow_buckets(c);
    link_to_bucket(c, b);
    link_to_node(b);
    c->count++;
    c->standing[place.scope][CIRCUIT_CLOSED]++;
    c->detail_count += scope_has_detail(place.scope);
    return b;
}

void circuits_remove(struct circuits *c, struct breaker *b)
{
    INVARIANT(list_empty(&b->probes), "a breaker goes while it is to be probed");
    circuits_unschedule(c, b);
    unlink_from_bucket(c, b);
    unlink_from_node(b);
    c->count--;
    c->standing[b->place.scope][b->state]--;
    c->detail_count -= scope_has_detail(b->place.scope);
    b->bucket_next = c->spare;
    c->spare = b;
}

void circuits_rehang(struct circuits *c, struct breaker *b, struct node *node)
{
    unlink_from_bucket(c, b);
    unlink_from_node(b);
    b->place.node = node;
    link_to_bucket(c, b);
    link_to_node(b);
}

static void put(struct circuits *c, size_t index, struct breaker *b)
{
    c->heap[index] = b;
    b->heap_index = (uint32_t)index;
}

static void sift_up(struct circuits *c, size_t index, struct breaker *b)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (c->heap[parent]->due_ns <= b->due_ns)
            break;
        put(c, index, c->heap[parent]);
        index = parent;
    }
    put(c, index, b);
}

static void sift_down(struct circuits *c, size_t index, struct breaker *b)
{
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= c->heap_count)
            break;
        if (child + 1 < c->heap_count && c->heap[child + 1]->due_ns < c->heap[child]->due_ns)
            child++;
        if (b->due_ns <= c->heap[child]->due_ns)
            break;
        put(c, index, c->heap[child]);
        index = child;
    }
    put(c, index, b);
}

static void post_next_due(struct circuits *c)
{
    TALLY_SET(&c->next_due_ns, c->heap_count ? c->heap[0]->due_ns : INT64_MAX);
}

void circuits_schedule(struct circuits *c, struct breaker *b)
{
    if (b->heap_index == HEAP_NONE)
        b->heap_index = (uint32_t)c->heap_count++;
    sift_up(c, b->heap_index, b);
    sift_down(c, b->heap_index, b);
    post_next_due(c);
}

void circuits_unschedule(struct circuits *c, struct breaker *b)
{
    size_t index = b->heap_index;
    struct breaker *last;

    if (index == HEAP_NONE)
        return;
    b->heap_index = HEAP_NONE;
    last = c->heap[--c->heap_count];
    if (last != b) {
        sift_up(c, index, last);
        sift_down(c, last->heap_index, last);
    }
    post_next_due(c);
}
