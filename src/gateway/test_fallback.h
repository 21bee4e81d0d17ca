/* GET|POST /api/openai/test-fallback: an operation through the whole system, and the trail it left.
 *
 * The operation is a request like a client's (one exchange with its plan, on this worker), only that
 * its answer is read here instead of on a socket. With inject= and n= it is a drill (rehearsal.h).
 */
#ifndef SPAREKEY_GATEWAY_TEST_FALLBACK_H
#define SPAREKEY_GATEWAY_TEST_FALLBACK_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TEST_PROMPT_MAX    4096   /* bytes of a prompt */
#define TEST_MODEL_MAX     128    /* bytes of a model's name */
#define TEST_TOKENS_MAX    4096   /* most tokens one test may ask for */
#define TEST_TOKENS        64     /* where none are named */
#define TEST_TIMEOUT_MS    60000  /* for all attempts together */
#define TEST_ANSWER_MAX    524288 /* bytes of an upstream answer that are read */
#define TEST_RESULT_MODELS 1000   /* model ids in one result */

void test_fallback_answer(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
