/* A clock of round numbers, and one verdict of each class as openai/verdict_rows.c gives it. */
#ifndef SPAREKEY_TESTS_VERDICTS_H
#define SPAREKEY_TESTS_VERDICTS_H

#include <stdint.h>

#include "pool/verdict.h"

#define MS  INT64_C(1000000)
#define S   (1000 * MS)
#define FAR (INT64_C(1000000) * S)

static const struct verdict served = {.reaction = REACT_SUCCESS, .wait_ns = -1};
static const struct verdict caller_fault = {
    .reaction = REACT_RETURN, .failure = FAILURE_CALLER, .wait_ns = -1};
static const struct verdict revoked = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_KEY,
                                       .failure = FAILURE_REVOKED,
                                       .probe = PROBE_FREE,
                                       .wait_ns = -1,
                                       .base_ns = 900 * S,
                                       .cap_ns = 86400 * S};
static const struct verdict limited = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_PROJECT_MODEL,
                                       .failure = FAILURE_RATE,
                                       .hop = HOP_OTHER_PROJECT,
                                       .probe = PROBE_LIVE,
                                       .wait_ns = -1,
                                       .base_ns = 1 * S,
                                       .cap_ns = 60 * S};
static const struct verdict no_quota = {.reaction = REACT_NEXT,
                                        .scope = SCOPE_ORG,
                                        .failure = FAILURE_QUOTA,
                                        .hop = HOP_OTHER_ORG,
                                        .probe = PROBE_LIVE,
                                        .wait_ns = -1,
                                        .base_ns = 600 * S,
                                        .cap_ns = 3600 * S};
static const struct verdict no_model = {.reaction = REACT_NEXT,
                                        .scope = SCOPE_PROJECT_MODEL,
                                        .failure = FAILURE_MODEL,
                                        .hop = HOP_OTHER_PROJECT,
                                        .one_per_project = true,
                                        .wait_ns = -1,
                                        .base_ns = 3600 * S,
                                        .cap_ns = 3600 * S};
static const struct verdict server_error = {.reaction = REACT_NEXT,
                                            .scope = SCOPE_SERVICE_MODEL,
                                            .failure = FAILURE_SERVER,
                                            .blame_on_second = true,
                                            .wait_ns = -1,
                                            .base_ns = 1 * S,
                                            .cap_ns = 30 * S};
static const struct verdict cut_off = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_SERVICE,
                                       .failure = FAILURE_NETWORK,
                                       .blame_on_second = true,
                                       .maybe_ran = true,
                                       .wait_ns = -1,
                                       .base_ns = 1 * S,
                                       .cap_ns = 30 * S};
static const struct verdict overloaded = {.reaction = REACT_NEXT,
                                          .scope = SCOPE_SERVICE_MODEL,
                                          .failure = FAILURE_OVERLOADED,
                                          .max_hops = 2,
                                          .wait_ns = -1,
                                          .base_ns = 1 * S,
                                          .cap_ns = 5 * S};
static const struct verdict too_large = {.reaction = REACT_NEXT,
                                         .scope = SCOPE_REQUEST,
                                         .failure = FAILURE_TOO_LARGE,
                                         .hop = HOP_OTHER_PROJECT,
                                         .one_per_project = true,
                                         .wait_ns = -1};
static const struct verdict locked = {.reaction = REACT_SAME,
                                      .scope = SCOPE_REQUEST,
                                      .failure = FAILURE_CONFLICT,
                                      .max_hops = 1,
                                      .wait_ns = -1,
                                      .base_ns = 1 * S,
                                      .cap_ns = 3 * S};

static inline struct verdict with_wait(struct verdict verdict, int64_t wait_ns)
{
    verdict.wait_ns = wait_ns;
    return verdict;
}

#endif
