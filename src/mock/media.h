/* The smallest real files: a PNG and sounds that any decoder opens, made from a number so that a
 * test can tell two of them apart. */
#ifndef SPAREKEY_MOCK_MEDIA_H
#define SPAREKEY_MOCK_MEDIA_H

#include <stdint.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MEDIA_MAX ((size_t)1 << 20)

/* A 4x4 picture of one colour (the lowest 24 bits of `seed`). All append to `out`. */
NODISCARD
enum status media_png(struct buffer *out, uint64_t seed);

/* 16-bit mono PCM at 24 kHz, a square wave whose pitch follows `seed`; `samples` of them. */
NODISCARD
enum status media_pcm(struct buffer *out, uint64_t seed, uint32_t samples);

/* The same with a RIFF head. */
NODISCARD
enum status media_wav(struct buffer *out, uint64_t seed, uint32_t samples);

/* `frames` silent MPEG-1 layer III frames, 128 kbit/s, 44.1 kHz. */
NODISCARD
enum status media_mp3(struct buffer *out, uint32_t frames);

/* Standard base64 with padding. */
NODISCARD
enum status media_base64(struct buffer *out, struct slice bytes, size_t max_bytes);

#ifdef __cplusplus
}
#endif
#endif
