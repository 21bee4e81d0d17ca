/* The one place where digits become numbers. */
#ifndef SPAREKEY_BASE_NUMBER_H
#define SPAREKEY_BASE_NUMBER_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads all of `text` as a decimal number of 1 to 20 digits, nothing else around it, 0…max.
 * STATUS_INVALID: empty, or a byte that is no digit. STATUS_RANGE: above `max`.
 * `*ret` is written only on success. */
NODISCARD
enum status number_parse(struct slice text, uint64_t max, uint64_t *ret);

/* Reads decimal digits with an optional fraction ("12", "0.5", "58.891") as millionths, truncated.
 * Same errors; `max_millionths` bounds the result. */
NODISCARD
enum status number_parse_decimal(struct slice text, uint64_t max_millionths,
                                 uint64_t *ret_millionths);

/* Writes `value` in decimal to `out` (20 bytes are always enough), no terminator; returns the
 * number of bytes. */
size_t number_format(uint64_t value, char *out);

#define NUMBER_FORMAT_MAX 20

/* The same as sixteen lower-case hexadecimal digits. */
#define NUMBER_HEX_LEN 16
void number_format_hex(uint64_t value, char out[NUMBER_HEX_LEN]);

#ifdef __cplusplus
}
#endif
#endif
