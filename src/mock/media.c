#include "mock/media.h"

enum {
    PNG_SIDE = 4,
    PNG_ROW = 1 + 3 * PNG_SIDE, /* filter byte and RGB pixels */
    PNG_RAW = PNG_SIDE * PNG_ROW,
    PCM_RATE = 24000,
    MP3_FRAME = 417, /* 144 * 128000 / 44100 */
};

static void put_be32(unsigned char *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void put_le(unsigned char *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

/* ISO 3309, as PNG asks for; bit by bit, because a hundred bytes need no table. */
static uint32_t crc32_of(const unsigned char *data, size_t len)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static uint32_t adler32_of(const unsigned char *data, size_t len)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < len; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return (b << 16) | a;
}

static enum status add(struct buffer *out, const unsigned char *data, size_t len)
{
    return buffer_append(out, slice_of((const char *)data, len), MEDIA_MAX);
}

static enum status png_chunk(struct buffer *out, const char *type, const unsigned char *data,
                             size_t len)
{
    unsigned char chunk[128];
    size_t total = len + 12;

    put_be32(chunk, (uint32_t)len);
    memcpy(chunk + 4, type, 4);
    if (len)
        memcpy(chunk + 8, data, len);
    put_be32(chunk + 8 + len, crc32_of(chunk + 4, len + 4));
    return add(out, chunk, total);
}

/* The rows in one stored deflate block (RFC 1951 §3.2.4) inside a zlib wrapper (RFC 1950). */
static size_t png_pixels(unsigned char *out, uint64_t seed)
{
    unsigned char *raw = out + 7;

    memcpy(out, "\x78\x01\x01", 3);
    put_le(out + 3, PNG_RAW, 2);
    put_le(out + 5, 0xFFFFu ^ PNG_RAW, 2);
    for (int y = 0; y < PNG_SIDE; y++) {
        raw[y * PNG_ROW] = 0; /* no filter */
        for (int x = 0; x < 3 * PNG_SIDE; x++)
            raw[y * PNG_ROW + 1 + x] = (unsigned char)(seed >> (16 - 8 * (x % 3)));
    }
    put_be32(raw + PNG_RAW, adler32_of(raw, PNG_RAW));
    return 7 + PNG_RAW + 4;
}

enum status media_png(struct buffer *out, uint64_t seed)
{
    static const unsigned char signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    unsigned char head[13] = {0};
    unsigned char pixels[7 + PNG_RAW + 4];

    _Static_assert(sizeof(pixels) + 12 <= 128, "a chunk fits png_chunk's buffer");
    put_be32(head, PNG_SIDE);
    put_be32(head + 4, PNG_SIDE);
    head[8] = 8; /* bits a channel */
    head[9] = 2; /* RGB */
    size_t len = png_pixels(pixels, seed);

    enum status status = add(out, signature, sizeof(signature));
    if (status == STATUS_OK)
        status = png_chunk(out, "IHDR", head, sizeof(head));
    if (status == STATUS_OK)
        status = png_chunk(out, "IDAT", pixels, len);
    if (status == STATUS_OK)
        status = png_chunk(out, "IEND", NULL, 0);
    return status;
}

enum status media_pcm(struct buffer *out, uint64_t seed, uint32_t samples)
{
    uint32_t half = 20 + (uint32_t)(seed % 60); /* samples of half a wave: 200 to 600 Hz */
    enum status status = buffer_reserve(out, (size_t)samples * 2, MEDIA_MAX);

    for (uint32_t i = 0; status == STATUS_OK && i < samples; i++) {
        unsigned char sample[2];
        put_le(sample, (i / half) % 2 ? 2000u : (uint32_t)(65536 - 2000), 2);
        status = add(out, sample, sizeof(sample));
    }
    return status;
}

enum status media_wav(struct buffer *out, uint64_t seed, uint32_t samples)
{
    unsigned char head[44];
    uint32_t bytes = samples * 2;

    memcpy(head, "RIFF", 4);
    put_le(head + 4, 36 + bytes, 4);
    memcpy(head + 8, "WAVEfmt ", 8);
    put_le(head + 16, 16, 4);
    put_le(head + 20, 1, 2); /* PCM */
    put_le(head + 22, 1, 2); /* mono */
    put_le(head + 24, PCM_RATE, 4);
    put_le(head + 28, PCM_RATE * 2, 4);
    put_le(head + 32, 2, 2);
    put_le(head + 34, 16, 2);
    memcpy(head + 36, "data", 4);
    put_le(head + 40, bytes, 4);

    enum status status = add(out, head, sizeof(head));
    return status == STATUS_OK ? media_pcm(out, seed, samples) : status;
}

enum status media_mp3(struct buffer *out, uint32_t frames)
{
    /* Side information and main data all zero: a frame of silence. */
    static const unsigned char frame[MP3_FRAME] = {0xFF, 0xFB, 0x90, 0x00};
    enum status status = STATUS_OK;

    for (uint32_t i = 0; status == STATUS_OK && i < frames; i++)
        status = add(out, frame, sizeof(frame));
    return status;
}

enum status media_base64(struct buffer *out, struct slice bytes, size_t max_bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum status status = buffer_reserve(out, (bytes.len + 2) / 3 * 4, max_bytes);

    for (size_t i = 0; status == STATUS_OK && i < bytes.len; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;
        char quad[4];
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (j < have ? (unsigned char)bytes.ptr[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            quad[j] = j <= have ? digits[group >> (18 - 6 * j) & 63] : '=';
        status = buffer_append(out, slice_of(quad, 4), max_bytes);
    }
    return status;
}
