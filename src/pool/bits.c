#include "pool/bits.h"

#include <stdlib.h>
#include <string.h>

static size_t words_for(size_t numbers)
{
    return numbers / BITS_PER_WORD + 1;
}

/* The words of all levels together; how many levels there are. */
static size_t measure(size_t size, unsigned *ret_levels)
{
    size_t words = words_for(size), total = words;

    for (*ret_levels = 1; words > 1; ++*ret_levels) {
        words = words_for(words - 1);
        total += words;
    }
    return total;
}

static void divide(struct bits *bits, uint64_t *block)
{
    size_t words = words_for(bits->size);

    for (unsigned i = 0; i < bits->levels; i++) {
        bits->level[i] = block;
        block += words;
        words = words_for(words - 1);
    }
}

enum status bits_init(struct bits *bits, size_t size)
{
    uint64_t *block;

    *bits = (struct bits){.size = size};
    block = calloc(measure(size, &bits->levels), sizeof(*block));
    if (!block)
        return STATUS_NO_MEMORY;
    divide(bits, block);
    return STATUS_OK;
}

enum status bits_copy(const struct bits *from, struct bits *to)
{
    unsigned levels;
    size_t bytes = measure(from->size, &levels) * sizeof(uint64_t);
    uint64_t *block = malloc(bytes);

    if (!block)
        return STATUS_NO_MEMORY;
    memcpy(block, from->level[0], bytes);
    *to = (struct bits){.size = from->size, .levels = levels};
    divide(to, block);
    return STATUS_OK;
}

void bits_fini(struct bits *bits)
{
    free(bits->level[0]);
    *bits = (struct bits){0};
}

void bits_fill(struct bits *bits, const uint64_t *words)
{
    size_t count = words_for(bits->size);

    memcpy(bits->level[0], words, count * sizeof(*words));
    for (unsigned i = 1; i < bits->levels; i++) {
        memset(bits->level[i], 0, words_for(count - 1) * sizeof(*words));
        for (size_t word = 0; word < count; word++)
            if (bits->level[i - 1][word])
                bits->level[i][word / BITS_PER_WORD] |= UINT64_C(1) << (word % BITS_PER_WORD);
        count = words_for(count - 1);
    }
}

void bits_add(struct bits *bits, size_t number)
{
    for (unsigned i = 0; i < bits->levels; i++) {
        uint64_t *word = &bits->level[i][number / BITS_PER_WORD];
        uint64_t before = *word;

        POST(word, before | UINT64_C(1) << (number % BITS_PER_WORD));
        if (before)
            return;
        number /= BITS_PER_WORD;
    }
}

void bits_remove(struct bits *bits, size_t number)
{
    for (unsigned i = 0; i < bits->levels; i++) {
        uint64_t *word = &bits->level[i][number / BITS_PER_WORD];

        POST(word, *word & ~(UINT64_C(1) << (number % BITS_PER_WORD)));
        if (*word)
            return;
        number /= BITS_PER_WORD;
    }
}

/* The members of a level not less than `from` in its word, as they stand there. */
static uint64_t rest_of_word(const struct bits *bits, unsigned level, size_t from)
{
    return PEEK(&bits->level[level][from / BITS_PER_WORD]) & UINT64_MAX << (from % BITS_PER_WORD);
}

/* How many bits a summary has: one a word of the level below, which lies right before it. */
static size_t bits_of(const struct bits *bits, unsigned level)
{
    return (size_t)(bits->level[level] - bits->level[level - 1]);
}

/* Up while there is nothing to the right, then down to the leftmost below what was found. A word
 * found empty on the way down was emptied meanwhile: on from behind it. */
size_t bits_next_word(const struct bits *bits, size_t from)
{
    unsigned level = 0;

    for (;;) {
        uint64_t word = rest_of_word(bits, level, from);

        if (word) {
            from = from / BITS_PER_WORD * BITS_PER_WORD + (size_t)__builtin_ctzll(word);
            if (level-- == 0)
                return from;
            from *= BITS_PER_WORD;
            continue;
        }
        from = from / BITS_PER_WORD + 1;
        if (++level >= bits->levels || from >= bits_of(bits, level))
            return BITS_NONE;
    }
}
