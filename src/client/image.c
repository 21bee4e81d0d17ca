/* Images. */
#include "client/compose.h"
#include "client/fault.h"
#include "client/image_terms.h"
#include "client/perform.h"

enum { IMAGES_MAX = 10 };

static int check_image(sparekey_error *error, const sparekey_image_options *o,
                       enum image_family family)
{
    int code =
        check_choice(error, "options.quality", o->quality, "standard|hd|low|medium|high|auto");

    if (code == SPAREKEY_OK)
        code = check_choice(error, "options.style", o->style, "vivid|natural");
    if (code == SPAREKEY_OK)
        code = check_choice(error, "options.background", o->background, "transparent|opaque|auto");
    if (code == SPAREKEY_OK)
        code = check_choice(error, "options.file_type", o->file_type, "png|jpeg|webp");
    if (code != SPAREKEY_OK)
        return code;
    if (o->image_size && !image_size_is_well_formed(o->image_size))
        return fault_argument(error, "options.image_size",
                              "neither \"auto\" nor like \"1024x1024\"");
    if ((unsigned)o->form > SPAREKEY_IMAGE_URL)
        return fault_argument(error, "options.form", "not a sparekey_image_form");
    if (family == IMAGES_DALLE3 && o->n > 1)
        return fault_argument(error, "options.n", "dall-e-3 makes one image a request");
    return SPAREKEY_OK;
}

/* DALL-E says which form it is to answer in; GPT image models know bytes alone. */
static const char *response_format(enum image_family family, sparekey_image_form form)
{
    if (family == IMAGES_GPT || form == SPAREKEY_IMAGE_AS_MADE)
        return NULL;
    return form == SPAREKEY_IMAGE_BYTES ? "b64_json" : "url";
}

static int compose_image(struct request *request, const char *prompt, const char *model,
                         const sparekey_image_options *o, sparekey_error *error)
{
    enum image_family family = image_family_of(model);
    bool gpt = family == IMAGES_GPT;
    struct composer c;

    compose_begin(&c, &request->body, o->extra, error);
    compose_text(&c, "model", "options.model", model);
    compose_text(&c, "prompt", "prompt", prompt);
    compose_integer(&c, "n", "options.n", o->n, 1, IMAGES_MAX);
    compose_text(&c, "size", "options.image_size", image_size_for(family, o->image_size));
    compose_text(&c, "quality", "options.quality", image_quality_for(family, o->quality));
    compose_text(&c, "style", "options.style", family == IMAGES_DALLE3 ? o->style : NULL);
    compose_text(&c, "background", "options.background", gpt ? o->background : NULL);
    compose_text(&c, "output_format", "options.file_type", gpt ? o->file_type : NULL);
    compose_text(&c, "response_format", "options.form", response_format(family, o->form));
    return compose_end(&c);
}

int sparekey_generate_image(sparekey_client *client, const char *prompt,
                            const sparekey_image_options *options, sparekey_result **ret_result,
                            sparekey_error *error)
{
    sparekey_image_options o = sparekey_image_options_init();
    sparekey_call_options call;
    struct request request = {.kind = RESULT_IMAGES,
                              .method = "POST",
                              .content_type = "application/json",
                              .is_json = true};
    int code = check_text(error, "prompt", prompt);

    if (code == SPAREKEY_OK)
        code = check_options(error, &o, sizeof o, options);
    if (code == SPAREKEY_OK)
        code = perform_check(client, o.call, ret_result, &call, error);
    if (code != SPAREKEY_OK)
        return code;
    const char *model = o.model ? o.model : client->settings.image_model;
    code = check_image(error, &o, image_family_of(model));
    request.wants_image_url = o.form == SPAREKEY_IMAGE_URL;
    if (code == SPAREKEY_OK &&
        buffer_append(&request.path, SLICE("/images/generations"), SIZE_MAX) != STATUS_OK)
        code = fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    if (code == SPAREKEY_OK)
        code = compose_image(&request, prompt, model, &o, error);
    return perform(client, &request, code, &call, ret_result, error);
}
