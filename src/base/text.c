#include "base/text.h"

#include "base/number.h"

void text_put_number(struct text *t, uint64_t value)
{
    char digits[NUMBER_FORMAT_MAX];

    text_put(t, slice_of(digits, number_format(value, digits)));
}
