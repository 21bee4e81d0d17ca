#include "base/hash.h"

/* Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012; one round a word, three at the
 * end, which is what hash tables use. */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_bytes(const struct hash_seed *seed, struct slice bytes)
{
    struct sip s = {
        seed->k0 ^ 0x736f6d6570736575u,
        seed->k1 ^ 0x646f72616e646f6du,
        seed->k0 ^ 0x6c7967656e657261u,
        seed->k1 ^ 0x7465646279746573u,
    };
    size_t whole = bytes.len & ~(size_t)7;
    uint64_t word;

    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, bytes.ptr + i, 8);
        sip_word(&s, word);
    }
    word = (uint64_t)bytes.len << 56;
    for (size_t i = whole; i < bytes.len; i++)
        word |= (uint64_t)(unsigned char)bytes.ptr[i] << (8 * (i - whole));
    sip_word(&s, word);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
