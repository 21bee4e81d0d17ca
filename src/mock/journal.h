/* What arrived: a bounded record of requests, for tests to read and to wait for.
 *
 *   ARRIVING ──body whole──▶ OPEN ⇄ STALLED
 *       └──────────┬───────────┴──────┘
 *                  ▼
 *                DONE   (outcome: complete, client_left, cut)
 *
 * Entries are numbered from 1 and kept in a ring; the oldest make room, and how many did is told.
 * Each move is announced to `moved`, so that a waiting test is woken by the event itself.
 */
#ifndef SPAREKEY_MOCK_JOURNAL_H
#define SPAREKEY_MOCK_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JOURNAL_ENTRIES_MAX ((size_t)1 << 15)
#define JOURNAL_BYTES_MAX   ((size_t)128 << 20) /* texts of all entries */
#define JOURNAL_INDEX_SLOTS ((size_t)1 << 14)   /* chains to find an earlier attempt */

enum journal_state { JOURNAL_ARRIVING, JOURNAL_OPEN, JOURNAL_STALLED, JOURNAL_DONE };

/* As a set: 1u << state. */
#define JOURNAL_ARRIVED (1u << JOURNAL_OPEN | 1u << JOURNAL_STALLED | 1u << JOURNAL_DONE)

enum journal_outcome {
    JOURNAL_NO_OUTCOME,  /* "open" */
    JOURNAL_COMPLETE,    /* the answer was sent as meant (an error answer too) */
    JOURNAL_CLIENT_LEFT, /* the client went first */
    JOURNAL_CUT,         /* the mock broke it off, as a fault asked */
};

struct journal_pair {
    struct slice name, value;
};

/* What is known when the head has arrived. */
struct journal_head {
    struct slice key, method, path, query;
    const struct journal_pair *fields;
    size_t field_count;
    uint64_t connection;
    int64_t wall_ms;
};

struct journal_entry {
    uint64_t n;
    enum journal_state state;
    enum journal_outcome outcome;
    int64_t wall_ms;
    uint64_t connection;
    struct slice key, method, path, query, request_id; /* into `text` */
    struct slice fields;                               /* name '\0' value '\0' … */
    char model[129], fault[129];
    bool stream;
    uint64_t body_bytes, bytes_sent;
    unsigned char sha256[32];
    uint64_t same; /* what makes requests attempts of one: the client's id, else the body */
    uint64_t attempt, older;
    int status; /* 0: none was answered */
    size_t text_len;
    char text[];
};

struct journal {
    struct journal_entry **ring; /* JOURNAL_ENTRIES_MAX places */
    uint64_t *index;             /* n of the newest entry of each chain; 0: none */
    uint64_t first, next;        /* n of the oldest kept, and of the next to come */
    uint64_t dropped;
    size_t bytes;
    void (*moved)(struct journal *journal, const struct journal_entry *entry,
                  enum journal_state from, enum journal_state to);
    void *user;
};

/* False: out of memory. */
bool journal_init(struct journal *journal);
void journal_fini(struct journal *journal);

/* A new entry, ARRIVING. 0: out of memory; the other functions ignore n = 0 and entries dropped. */
uint64_t journal_begin(struct journal *journal, const struct journal_head *head);

struct journal_body {
    uint64_t bytes;
    const unsigned char *sha256; /* 32 */
    struct slice model;
    bool stream;
};
void journal_arrived(struct journal *journal, uint64_t n, const struct journal_body *body);
void journal_fault(struct journal *journal, uint64_t n, const char *name);
void journal_stalled(struct journal *journal, uint64_t n, bool stalled);
void journal_done(struct journal *journal, uint64_t n, enum journal_outcome outcome, int status,
                  uint64_t bytes_sent);

/* NULL: dropped. */
const struct journal_entry *journal_get(const struct journal *journal, uint64_t n);

/* Forgets all entries; numbers go on. */
void journal_clear(struct journal *journal);

/* Empty slices match all. `states`: a set. */
struct journal_filter {
    struct slice key, path, model;
    unsigned states;
    uint64_t since; /* entries above this number */
};
bool journal_matches(const struct journal_filter *filter, const struct journal_entry *entry,
                     enum journal_state state);
uint64_t journal_count(const struct journal *journal, const struct journal_filter *filter);

json_t *journal_entry_json(const struct journal_entry *entry);

/* An array of the matching ones, at most `limit`, oldest first. */
json_t *journal_json(const struct journal *journal, const struct journal_filter *filter,
                     size_t limit);

#ifdef __cplusplus
}
#endif
#endif
