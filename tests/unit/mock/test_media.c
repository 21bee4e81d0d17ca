#include "mock_test.h"

#include "mock/media.h"

static uint32_t be32(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The bytes of a 4x4 picture of colour 0x123456 as another program (Python's zlib) sums them. */
static void a_picture(void **state)
{
    struct buffer png = {0}, other = {0};

    (void)state;
    assert_int_equal(media_png(&png, 0x123456), STATUS_OK);
    assert_memory_equal(png.data, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\4\0\0\0\4\x08\x02\0\0\0",
                        29);
    assert_int_equal(be32(png.data + 29), 0x26930929); /* CRC of that head: in every 4x4 RGB PNG */
    assert_memory_equal(png.data + png.len - 12, "\0\0\0\0IEND\xae\x42\x60\x82", 12);
    assert_memory_equal(png.data + 33 + 8 + 7, "\0\x12\x34\x56\x12\x34\x56", 7);
    assert_int_equal(media_png(&other, 0x123457), STATUS_OK);
    assert_int_equal(png.len, other.len);
    assert_memory_not_equal(png.data, other.data, png.len);
    buffer_clear(&png);
    buffer_clear(&other);
}

static void a_sound(void **state)
{
    struct buffer wav = {0};

    (void)state;
    assert_int_equal(media_wav(&wav, 1, 100), STATUS_OK);
    assert_int_equal(wav.len, 244);
    assert_memory_equal(wav.data, "RIFF\xec\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xc0\x5d\0\0", 28);
    assert_memory_equal(wav.data + 36, "data\xc8\0\0\0", 8);
    buffer_clear(&wav);
    assert_int_equal(media_mp3(&wav, 2), STATUS_OK);
    assert_int_equal(wav.len, 834);
    assert_memory_equal(wav.data + 417, "\xff\xfb\x90\0", 4);
    buffer_clear(&wav);
    assert_int_equal(media_pcm(&wav, 1, 1u << 30), STATUS_LIMIT);
    buffer_clear(&wav);
}

/* RFC 4648 §10. */
static void base64_vectors(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfd", "//79"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer out = {0};
        assert_int_equal(media_base64(&out, slice_str(rows[i][0]), 100), STATUS_OK);
        assert_true(slice_eq(buffer_slice(&out), slice_str(rows[i][1])));
        buffer_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_picture), cmocka_unit_test(a_sound),
                                       cmocka_unit_test(base64_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
