#include "keyring/tally.h"

#include <string.h>

/* Where the key is, or the free place where it belongs. */
static struct tally_row *place_of(struct tally *tally, uint64_t fingerprint)
{
    size_t at = (size_t)fingerprint & (TALLY_SLOTS - 1);

    while (tally->rows[at].fingerprint && tally->rows[at].fingerprint != fingerprint)
        at = (at + 1) & (TALLY_SLOTS - 1);
    return &tally->rows[at];
}

/* 0 marks free places: the one key in 2^64 that has it is counted with the rest. */
static struct tally_row *row_of(struct tally *tally, uint64_t fingerprint)
{
    struct tally_row *row = place_of(tally, fingerprint);

    if (!fingerprint)
        return &tally->rest;
    if (row->fingerprint)
        return row;
    if (tally->count == TALLY_KEYS_MAX)
        return &tally->rest;
    tally->count++;
    row->fingerprint = fingerprint;
    return row;
}

void tally_failure(struct tally *tally, uint64_t fingerprint, enum history_group group)
{
    row_of(tally, fingerprint)->failures[group]++;
}

void tally_failover(struct tally *tally, uint64_t fingerprint)
{
    row_of(tally, fingerprint)->failovers++;
}

struct tally_row *tally_find(struct tally *tally, uint64_t fingerprint)
{
    struct tally_row *row = place_of(tally, fingerprint);

    return fingerprint && row->fingerprint ? row : NULL;
}

void tally_move(struct tally_row *row, struct history_counts *to)
{
    for (int g = 0; g < HISTORY_GROUPS; g++)
        to->failures[g] += row->failures[g];
    to->failovers += row->failovers;
    memset(row->failures, 0, sizeof row->failures);
    row->failovers = 0;
}
