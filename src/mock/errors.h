/* Error answers: those of the key's own state, those of its limits, and each row of the verdict
 * table (openai/verdict.h), made so that the table recognises it. */
#ifndef SPAREKEY_MOCK_ERRORS_H
#define SPAREKEY_MOCK_ERRORS_H

#include "mock/reply.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whom the message speaks of. */
struct error_subject {
    const char *key, *organization, *project, *model;
};

/* Whether the verdict table has a row of that name that an answer of this mock can match. */
bool error_row_exists(struct slice name);

/* The names of the rows, for GET /state: i from 0, NULL behind the last. */
const char *error_row_name(unsigned i);

/* The answer that matches the row. retry_after_ms -1: a second for what passes by itself, none for
 * what does not. */
void error_row_answer(struct slice name, const struct error_subject *subject,
                      int64_t retry_after_ms, struct reply *reply);

/* retry-after (whole seconds, rounded up, at least 1) and retry-after-ms. */
void error_retry_after(struct reply *reply, int64_t wait_ms);

/* 401 as OpenAI says it, with the middle of the key starred out. */
void error_invalid_key(const char *key, struct reply *reply);

/* What Cloudflare says for the origin: a page, no x-request-id, cf-ray. */
void error_html(int status, struct reply *reply);

/* `status` with an error of no known code. */
void error_plain(int status, struct reply *reply);

#ifdef __cplusplus
}
#endif
#endif
