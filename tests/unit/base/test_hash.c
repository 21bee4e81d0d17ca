/* SipHash-1-3: the vectors of other implementations, and what our tables rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

struct vector {
    size_t len;
    uint64_t hash;
};

/* Of the bytes 0, 1, 2 … under the key of zeros: CPython 3.11 hashes bytes objects with this
 * function, PYTHONHASHSEED=0 giving that key. */
static void test_vectors(void **state)
{
    static const struct vector vectors[] = {
        {1, 0x68a914128e01e473},  {7, 0x2f098ab0c751325a},  {8, 0xead411e67ebe2eea},
        {9, 0x75927f9d95124362},  {15, 0xf30eb725bb91c9ea}, {16, 0x8972188433a5c5b7},
        {63, 0x385d3e39e5f37359},
    };
    const struct hash_seed zero = {0, 0};
    char bytes[64];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        assert_true(hash_bytes(&zero, slice_of(bytes, vectors[i].len)) == vectors[i].hash);
    /* The first published vector of SipHash-1-3: no bytes, key 00 01 … 0f. */
    const struct hash_seed counting = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    assert_true(hash_bytes(&counting, slice_of(NULL, 0)) == 0xabac0158050fc4dc);
}

/* The same bytes hash the same wherever they lie, and nothing behind them is read. */
static void test_alignment(void **state)
{
    const struct hash_seed seed = {1, 2};
    const char *text = "a key of some length, 29 byte";
    uint64_t expected = hash_bytes(&seed, slice_str(text));

    (void)state;
    for (size_t offset = 0; offset < 16; offset++) {
        char *block = malloc(offset + strlen(text));
        assert_non_null(block);
        memcpy(block + offset, text, strlen(text));
        assert_true(hash_bytes(&seed, slice_of(block + offset, strlen(text))) == expected);
        free(block);
    }
}

static unsigned bits_set(uint64_t x)
{
    return (unsigned)__builtin_popcountll(x);
}

/* One bit of the input or of the key changes half of the output: 24…40 of 64 on average. */
static void test_avalanche(void **state)
{
    const struct hash_seed seed = {0x1234, 0x5678};
    char bytes[24] = "sk-proj-0123456789abcde";
    uint64_t base = hash_bytes(&seed, slice_of(bytes, sizeof bytes));
    unsigned total = 0;

    (void)state;
    for (unsigned bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        uint64_t hash = hash_bytes(&seed, slice_of(bytes, sizeof bytes));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        assert_true(hash != base);
        total += bits_set(hash ^ base);
    }
    assert_in_range(total / (8 * sizeof bytes), 24, 40);
    for (unsigned bit = 0; bit < 64; bit++) {
        struct hash_seed other = {seed.k0 ^ UINT64_C(1) << bit, seed.k1};
        assert_in_range(bits_set(hash_bytes(&other, slice_of(bytes, sizeof bytes)) ^ base), 12, 52);
        other = (struct hash_seed){seed.k0, seed.k1 ^ UINT64_C(1) << bit};
        assert_in_range(bits_set(hash_bytes(&other, slice_of(bytes, sizeof bytes)) ^ base), 12, 52);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Lengths are part of the hash: runs of zero bytes do not collide. */
static void test_lengths_differ(void **state)
{
    static const char zeros[512];
    static uint64_t hashes[sizeof zeros];
    const struct hash_seed seed = {3, 4};

    (void)state;
    for (size_t len = 0; len < sizeof zeros; len++)
        hashes[len] = hash_bytes(&seed, slice_of(zeros, len));
    qsort(hashes, sizeof zeros, sizeof *hashes, compare);
    for (size_t i = 1; i < sizeof zeros; i++)
        assert_true(hashes[i] != hashes[i - 1]);
}

static void test_mix(void **state)
{
    uint64_t hashes[64 * 16];
    size_t count = 0;

    (void)state;
    for (uint64_t hash = 0; hash < 64; hash++) {
        for (uint64_t value = 0; value < 16; value++)
            hashes[count++] = hash_mix(hash_mix(17, hash), value);
    }
    qsort(hashes, count, sizeof *hashes, compare);
    for (size_t i = 1; i < count; i++)
        assert_true(hashes[i] != hashes[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_avalanche), cmocka_unit_test(test_lengths_differ),
        cmocka_unit_test(test_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
