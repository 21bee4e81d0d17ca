/* The outcome of a scenario for people (a table) and for programs (JSON). */
#ifndef SPAREKEY_SIM_REPORT_H
#define SPAREKEY_SIM_REPORT_H

#include <stdio.h>

#include "sim/goals.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A table of Markdown, so that the terminal and docs/ show the same. */
void report_table(const struct outcome *outcome, FILE *out);

/* One JSON object. */
void report_json(const struct outcome *outcome, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
