/* The verdict: two bytes status, one byte of how the attempt ended, the rest is the body. */
#include "fuzz.h"

#include <stdlib.h>

#include "openai/error_body.h"
#include "openai/verdict.h"

static void check_redaction(struct slice body)
{
    char *text = malloc(body.len ? body.len : 1);

    if (!text)
        return;
    if (body.len)
        memcpy(text, body.ptr, body.len);
    redact_keys(text, body.len);
    for (size_t i = 0; i < body.len; i++)
        FUZZ_CHECK(text[i] == body.ptr[i] || text[i] == '*');
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hints hints;
    struct verdict verdict;
    struct evidence evidence;

    if (size < 3)
        return 0;
    hints_init(&hints);
    struct answer answer = {
        .status = (data[0] << 8 | data[1]) % 1000,
        .transport = (enum transport)(data[2] % (TRANSPORT_COUNT + 1)),
        .request_sent = data[2] & 0x20,
        .in_stream = data[2] & 0x40,
        .truncated_stream = data[2] & 0x80,
        .body = slice_of((const char *)data + 3, size - 3),
        .hints = &hints,
    };
    verdict_of(&answer, &verdict, &evidence);
    FUZZ_CHECK((unsigned)verdict.scope < SCOPE_COUNT && (unsigned)verdict.failure < FAILURE_COUNT);
    FUZZ_CHECK((verdict.reaction == REACT_SUCCESS) == (verdict.failure == FAILURE_NONE));
    FUZZ_CHECK(verdict.wait_ns >= -1 && verdict.wait_ns <= HINT_WAIT_MAX_NS);
    FUZZ_CHECK(verdict.base_ns <= verdict.cap_ns);
    FUZZ_CHECK(memchr(evidence.code, '\0', sizeof evidence.code));
    check_redaction(answer.body);
    return 0;
}
