#include "openai/demand.h"

#include "base/hash.h"

enum {
    CHARACTERS_A_TOKEN = 4, /* of English text; what OpenAI's own estimate divides by */
    AFFINITY_PREFIX = 1024, /* bytes of a body that tell prompts apart when no key does */
};

/* Whether work that may have run may be asked for again (openai-protocol.md §2.4). */
static bool is_stateless(const struct demand *d)
{
    const struct peek *peek = d->peek;

    if (d->endpoint.stateful)
        return false;
    if (slice_eq(d->method, SLICE("GET")) || slice_eq(d->method, SLICE("HEAD")))
        return true;
    if (d->endpoint.family == FAMILY_RESPONSES)
        return peek->store_false && !peek->references && !peek->background;
    return !peek->store_true;
}

/* What the request will be charged at admission (openai-protocol.md §3): the prompt by its
 * characters, plus what it may answer at most. An upper estimate; the answer corrects it. */
static int64_t estimate_tokens(const struct demand *d)
{
    uint64_t answers = d->peek->n ? d->peek->n : 1;

    if (!d->json.len)
        return 0;
    return (int64_t)(d->json.len / CHARACTERS_A_TOKEN + d->peek->max_output_tokens * answers);
}

static uint32_t images_of(const struct peek *peek)
{
    return peek->n ? (uint32_t)peek->n : 1; /* the peek keeps no larger count */
}

/* The same for requests that can share a prompt cache: the key they name, else how they begin. */
static uint64_t affinity_of(const struct demand *d)
{
    static const struct hash_seed seed = {0, 0};
    const struct peek *peek = d->peek;

    if (!d->affinity || !d->json.len)
        return 0;
    if (peek->cache_key_len)
        return hash_bytes(&seed, slice_of(peek->cache_key, peek->cache_key_len));
    size_t len = d->json.len < AFFINITY_PREFIX ? d->json.len : AFFINITY_PREFIX;
    return hash_bytes(&seed, slice_of(d->json.ptr, len));
}

void demand_plan(const struct demand *d, struct plan_request *ret)
{
    *ret = (struct plan_request){
        .family = (uint8_t)d->endpoint.family,
        .stream = d->peek->stream,
        .stateless = is_stateless(d),
        .opaque = d->endpoint.family == FAMILY_UNKNOWN,
        .bound = d->endpoint.names_object || d->peek->references,
        .model = peek_model(d->peek),
        .tokens = estimate_tokens(d),
        .images = d->endpoint.family == FAMILY_IMAGES ? images_of(d->peek) : 0,
        .affinity = affinity_of(d),
    };
}
