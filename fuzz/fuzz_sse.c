/* The stream scanner: first byte the protocol, second the cut. */
#include "fuzz.h"

#include "openai/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sse whole, cut;

    if (size < 2)
        return 0;
    enum stream_protocol protocol = (enum stream_protocol)(data[0] % (STREAM_ASSISTANTS + 1));
    const char *body = (const char *)data + 2;
    size_t len = size - 2, at = len * data[1] / 255;
    sse_init(&whole, protocol);
    sse_feed(&whole, body, len);
    sse_init(&cut, protocol);
    sse_feed(&cut, body, at);
    sse_feed(&cut, body + at, len - at);
    FUZZ_CHECK(whole.content == cut.content && whole.error == cut.error);
    FUZZ_CHECK(whole.terminal == cut.terminal && whole.events == cut.events);
    FUZZ_CHECK(whole.mid_event == cut.mid_event);
    FUZZ_CHECK(whole.choices_finished == cut.choices_finished);
    FUZZ_CHECK(whole.error_data.len <= SSE_ERROR_MAX);
    if (whole.error)
        FUZZ_CHECK(slice_eq(buffer_slice(&whole.error_data), buffer_slice(&cut.error_data)));
    sse_clear(&whole);
    sse_clear(&cut);
    return 0;
}
