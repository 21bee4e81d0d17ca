/* Files of variables, as .env: NAME=value lines in the form that dotenv tools and shells share.
 *
 *     # comment                         export NAME=value        NAME = value   # comment
 *     NAME='literal, \' and \\ only'    NAME="escapes: \n \r \t \" \\ \$"
 *
 * A byte order mark and CRLF are taken; quoted values may run over several lines; `$` is an
 * ordinary character, nothing is substituted. In an unquoted value a `#` begins a comment only
 * after a space, so "a#b" stays whole.
 */
#ifndef SPAREKEY_SETTINGS_DOTENV_H
#define SPAREKEY_SETTINGS_DOTENV_H

#include "settings/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dotenv {
    struct slice rest;   /* what is still to be read */
    unsigned line;       /* of what is read next, from 1 */
    struct arena *arena; /* unescaped values go here; the others point into the text */
};

struct dotenv_line {
    unsigned line;     /* where it begins */
    struct slice name; /* empty when even the name could not be read */
    struct slice value;
    const char *problem; /* what is wrong with the line (then there is no value); NULL = nothing */
};

void dotenv_init(struct dotenv *d, struct slice text, struct arena *arena);

/* The next assignment or faulty line; false at the end, or when there is no memory (then
 * `*ret_no_memory` is true). */
bool dotenv_next(struct dotenv *d, struct dotenv_line *ret_line, bool *ret_no_memory);

#ifdef __cplusplus
}
#endif
#endif
