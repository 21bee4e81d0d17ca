/* Names a person mistyped, and the one that was probably meant. */
#ifndef SPAREKEY_SETTINGS_NAMES_H
#define SPAREKEY_SETTINGS_NAMES_H

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAME_DISTANCE_MAX_BYTES 64 /* longer names are nobody's misspelling */

/* Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`, letters'
 * case ignored; SIZE_MAX when either is longer than NAME_DISTANCE_MAX_BYTES. */
size_t name_distance(struct slice a, struct slice b);

/* The search for the nearest of several candidates. `{.name = …, .match = NULL}` to begin. */
struct name_search {
    struct slice name;
    const char *match; /* the nearest so far that is near enough, or NULL */
    size_t distance;
};

/* Offers `candidate`; when it is the nearest so far, `label` (what to suggest) becomes the match.
 * Near enough is a third of the name, and no more than 4 changes. */
void name_offer(struct name_search *search, struct slice candidate, const char *label);

#ifdef __cplusplus
}
#endif
#endif
