/* The terms of images: one vocabulary for two families of models (openai-protocol.md §8).
 *
 * Whoever asked DALL-E for "hd" asks a GPT image model for "high", and the other way round; what the
 * other family does not know is left out. */
#ifndef SPAREKEY_CLIENT_IMAGE_TERMS_H
#define SPAREKEY_CLIENT_IMAGE_TERMS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum image_family { IMAGES_GPT, IMAGES_DALLE2, IMAGES_DALLE3 };

/* By the model's name; what is no DALL-E is taken for a GPT image model, as all new ones are. */
enum image_family image_family_of(const char *model);

/* The term of that family for a size or a quality; NULL: leave it out. `given` may be NULL. Static
 * storage, or `given` itself. */
const char *image_size_for(enum image_family family, const char *given);
const char *image_quality_for(enum image_family family, const char *given);

/* "auto", or two numbers of at most five digits with an x between them. */
bool image_size_is_well_formed(const char *size);

#ifdef __cplusplus
}
#endif
#endif
