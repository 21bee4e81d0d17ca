/* An intrusive doubly linked ring: a node embedded in its object, a head that is a node too.
 * Every operation is O(1); a node is in at most one list. */
#ifndef SPAREKEY_BASE_LIST_H
#define SPAREKEY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct list {
    struct list *next, *prev;
};

/* The object of `type` whose member `member` is the node `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* An empty head, or a node in no list. */
static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

/* At the end of the list with this head. */
static inline void list_append(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

/* At the front. */
static inline void list_push(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

/* Harmless on a node that is in no list. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#ifdef __cplusplus
}
#endif
#endif
