#include "client/image_terms.h"

#include "base/number.h"

enum { SIDE_MAX = 99999 };

enum image_family image_family_of(const char *model)
{
    struct slice name = slice_str(model);

    if (slice_starts(name, SLICE("dall-e-2")))
        return IMAGES_DALLE2;
    return slice_starts(name, SLICE("dall-e")) ? IMAGES_DALLE3 : IMAGES_GPT;
}

static bool read_size(const char *size, uint64_t *ret_width, uint64_t *ret_height)
{
    const char *x = strchr(size, 'x');

    return x &&
           number_parse(slice_of(size, (size_t)(x - size)), SIDE_MAX, ret_width) == STATUS_OK &&
           number_parse(slice_str(x + 1), SIDE_MAX, ret_height) == STATUS_OK && *ret_width &&
           *ret_height;
}

bool image_size_is_well_formed(const char *size)
{
    uint64_t width, height;

    return strcmp(size, "auto") == 0 || read_size(size, &width, &height);
}

/* What DALL-E 3 has of the same orientation. */
static const char *dalle3_size(const char *given)
{
    uint64_t width = 1, height = 1;

    if (strcmp(given, "auto") == 0 || !read_size(given, &width, &height) || width == height)
        return "1024x1024";
    return width > height ? "1792x1024" : "1024x1792";
}

/* DALL-E 2 has squares only. */
static const char *dalle2_size(const char *given)
{
    return strcmp(given, "256x256") == 0 || strcmp(given, "512x512") == 0 ? given : "1024x1024";
}

/* GPT image models before the second take three sizes; the second takes those, and DALL-E's too, as
 * their sides are multiples of 16. Squares of DALL-E 2 are too small for any. */
static const char *gpt_size(const char *given)
{
    static const char *const pairs[][2] = {{"1792x1024", "1536x1024"},
                                           {"1024x1792", "1024x1536"},
                                           {"256x256", "1024x1024"},
                                           {"512x512", "1024x1024"}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (strcmp(given, pairs[i][0]) == 0)
            return pairs[i][1];
    }
    return given;
}

const char *image_size_for(enum image_family family, const char *given)
{
    if (!given)
        return NULL;
    switch (family) {
    case IMAGES_DALLE2: return dalle2_size(given);
    case IMAGES_DALLE3: return dalle3_size(given);
    case IMAGES_GPT: break;
    }
    return gpt_size(given);
}

const char *image_quality_for(enum image_family family, const char *given)
{
    bool best = given && (strcmp(given, "hd") == 0 || strcmp(given, "high") == 0);

    if (!given || family == IMAGES_DALLE2)
        return NULL;
    if (family == IMAGES_DALLE3)
        return strcmp(given, "auto") == 0 ? NULL : best ? "hd" : "standard";
    if (strcmp(given, "standard") == 0)
        return "medium";
    return best ? "high" : given;
}
