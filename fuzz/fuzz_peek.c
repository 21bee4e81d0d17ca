/* The peek: any bytes, cut where the first byte says, give what the whole gives. */
#include "fuzz.h"

#include "openai/peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peek whole, cut;

    if (size == 0)
        return 0;
    const char *body = (const char *)data + 1;
    size_t len = size - 1, at = len * data[0] / 255;
    peek_init(&whole);
    peek_feed(&whole, body, len);
    peek_finish(&whole);
    peek_init(&cut);
    peek_feed(&cut, body, at);
    peek_feed(&cut, body + at, len - at);
    peek_finish(&cut);
    FUZZ_CHECK(whole.malformed == cut.malformed);
    FUZZ_CHECK(whole.model_len <= PEEK_VALUE_MAX && whole.model[whole.model_len] == '\0');
    FUZZ_CHECK(slice_eq(peek_model(&whole), peek_model(&cut)));
    FUZZ_CHECK(whole.stream == cut.stream && whole.references == cut.references);
    FUZZ_CHECK(whole.max_output_tokens == cut.max_output_tokens && whole.n == cut.n);
    return 0;
}
