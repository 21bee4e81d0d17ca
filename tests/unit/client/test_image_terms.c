#include "client/image_terms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void families(void **state)
{
    (void)state;
    assert_int_equal(image_family_of("dall-e-2"), IMAGES_DALLE2);
    assert_int_equal(image_family_of("dall-e-3"), IMAGES_DALLE3);
    assert_int_equal(image_family_of("gpt-image-2"), IMAGES_GPT);
    assert_int_equal(image_family_of("of-tomorrow"), IMAGES_GPT);
}

static void same(const char *got, const char *expected)
{
    if (expected)
        assert_string_equal(got, expected);
    else
        assert_null(got);
}

/* The table of docs/library.md. */
static void every_term_in_every_family(void **state)
{
    static const char *const sizes[][4] = {/* asked for, GPT, DALL-E 3, DALL-E 2 */
                                           {"1792x1024", "1536x1024", "1792x1024", "1024x1024"},
                                           {"1536x1024", "1536x1024", "1792x1024", "1024x1024"},
                                           {"1024x1792", "1024x1536", "1024x1792", "1024x1024"},
                                           {"1024x1536", "1024x1536", "1024x1792", "1024x1024"},
                                           {"512x512", "1024x1024", "1024x1024", "512x512"},
                                           {"auto", "auto", "1024x1024", "1024x1024"},
                                           {"2048x1152", "2048x1152", "1792x1024", "1024x1024"},
                                           {NULL, NULL, NULL, NULL}};
    static const char *const qualities[][3] = {{"hd", "high", "hd"},
                                               {"high", "high", "hd"},
                                               {"standard", "medium", "standard"},
                                               {"medium", "medium", "standard"},
                                               {"low", "low", "standard"},
                                               {"auto", "auto", NULL},
                                               {NULL, NULL, NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        same(image_size_for(IMAGES_GPT, sizes[i][0]), sizes[i][1]);
        same(image_size_for(IMAGES_DALLE3, sizes[i][0]), sizes[i][2]);
        same(image_size_for(IMAGES_DALLE2, sizes[i][0]), sizes[i][3]);
    }
    for (size_t i = 0; i < sizeof qualities / sizeof qualities[0]; i++) {
        same(image_quality_for(IMAGES_GPT, qualities[i][0]), qualities[i][1]);
        same(image_quality_for(IMAGES_DALLE3, qualities[i][0]), qualities[i][2]);
        same(image_quality_for(IMAGES_DALLE2, qualities[i][0]), NULL);
    }
}

static void sizes_that_are_none(void **state)
{
    (void)state;
    assert_true(image_size_is_well_formed("auto"));
    assert_true(image_size_is_well_formed("1024x1024"));
    assert_false(image_size_is_well_formed("1024"));
    assert_false(image_size_is_well_formed("0x1024"));
    assert_false(image_size_is_well_formed("1024x1024px"));
    assert_false(image_size_is_well_formed("-1x5"));
    assert_false(image_size_is_well_formed("x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families),
        cmocka_unit_test(every_term_in_every_family),
        cmocka_unit_test(sizes_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
