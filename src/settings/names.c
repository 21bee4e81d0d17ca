#include "settings/names.h"

#include <stdint.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_swap(struct slice a, struct slice b, size_t i, size_t j)
{
    return i > 1 && j > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[j - 2]) &&
           lower(a.ptr[i - 2]) == lower(b.ptr[j - 1]);
}

/* Optimal string alignment: the table of Wagner and Fischer, three rows of it at a time because a
 * swap looks two rows back. */
size_t name_distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_DISTANCE_MAX_BYTES + 1] = {{0}};

    if (a.len > NAME_DISTANCE_MAX_BYTES || b.len > NAME_DISTANCE_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t differ = lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]);
            row[j] = least(above[j - 1] + differ, least(above[j], row[j - 1]) + 1);
            if (is_swap(a, b, i, j))
                row[j] = least(row[j], second[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

void name_offer(struct name_search *search, struct slice candidate, const char *label)
{
    enum { MOST_CHANGES = 4 };
    size_t near = least(search->name.len / 3, MOST_CHANGES);
    size_t distance = name_distance(search->name, candidate);

    if (distance > near || (search->match && distance >= search->distance))
        return;
    search->match = label;
    search->distance = distance;
}
