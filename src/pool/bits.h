/* A set of small numbers that finds its next member in O(log64 n): a tree of bit words.
 *
 *     level 2            [1]                       one bit for each word of level 1 that is not 0
 *     level 1     [1 0 1 … ]  [ … ]                one bit for each word of level 0 that is not 0
 *     level 0   [0110…][0000…][1001…] …            one bit for each member
 *
 * A million numbers are four levels, 130 KB. Looking for the next member reads one word where the
 * neighbourhood has one, and at most two words a level where it has not.
 *
 * Threads: one writer at a time; any number of readers beside it, without a lock. A reader may miss
 * a number that is being added or removed at that moment, and no other: adding posts the word
 * before the summaries above it, removing clears from below to above, and a summary that promises
 * too much only costs the reader one more step.
 */
#ifndef SPAREKEY_POOL_BITS_H
#define SPAREKEY_POOL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "pool/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITS_PER_WORD 64
/* 64^5 = 2^30 numbers; KEY_NONE is the bound of ids, and six levels hold more than that. */
#define BITS_LEVELS_MAX 6
#define BITS_NONE       SIZE_MAX

struct bits {
    size_t size;                      /* numbers 0 … size-1 */
    unsigned levels;                  /* the uppermost is a single word */
    uint64_t *level[BITS_LEVELS_MAX]; /* all in one block, which begins at level[0] */
};

/* Empty. STATUS_NO_MEMORY. */
NODISCARD
enum status bits_init(struct bits *bits, size_t size);
/* A copy of the set as it is. STATUS_NO_MEMORY. */
NODISCARD
enum status bits_copy(const struct bits *from, struct bits *to);
void bits_fini(struct bits *bits); /* a zeroed or half-built one is allowed */

void bits_add(struct bits *bits, size_t number);
void bits_remove(struct bits *bits, size_t number);

/* Makes the set what `words` say, one bit a number, of which those beyond the size are 0. */
void bits_fill(struct bits *bits, const uint64_t *words);

/* As bits_next, where the word of `from` has no member from there on. */
size_t bits_next_word(const struct bits *bits, size_t from);

/* The first member that is not less than `from`, or BITS_NONE. */
static inline size_t bits_next(const struct bits *bits, size_t from)
{
    uint64_t word;

    if (from >= bits->size)
        return BITS_NONE;
    word = PEEK(&bits->level[0][from / BITS_PER_WORD]) >> (from % BITS_PER_WORD);
    return word ? from + (size_t)__builtin_ctzll(word) : bits_next_word(bits, from);
}

static inline bool bits_has(const struct bits *bits, size_t number)
{
    return PEEK(&bits->level[0][number / BITS_PER_WORD]) >> (number % BITS_PER_WORD) & 1;
}

#ifdef __cplusplus
}
#endif
#endif
