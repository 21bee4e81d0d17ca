/* Embeddings and models. */
#include "client/compose.h"
#include "client/fault.h"
#include "client/perform.h"

enum { TEXTS_MAX = 2048, DIMENSIONS_MAX = 1 << 20 };

static const char embedding_model[] = "text-embedding-3-small";

static int check_texts(sparekey_error *error, const char *const *texts, size_t count)
{
    int code = SPAREKEY_OK;

    if (!texts || !count)
        return fault_argument(error, "texts", texts ? "none" : "is NULL");
    if (count > TEXTS_MAX)
        return fault_argument(error, "count", "more than 2048 texts");
    for (size_t i = 0; i < count && code == SPAREKEY_OK; i++)
        code = check_text(error, "texts", texts[i]);
    return code;
}

static int compose_embeddings(struct request *request, const char *const *texts, size_t count,
                              const sparekey_embedding_options *o, sparekey_error *error)
{
    struct composer c;

    compose_begin(&c, &request->body, o->extra, error);
    compose_text(&c, "model", "options.model", o->model ? o->model : embedding_model);
    if (compose_member(&c, "input")) {
        for (size_t i = 0; i < count; i++) {
            compose_raw(&c, i ? SLICE(",") : SLICE("["));
            compose_string(&c, "texts", texts[i]);
        }
        compose_raw(&c, SLICE("]"));
    }
    compose_text(&c, "encoding_format", "encoding_format", "base64");
    compose_integer(&c, "dimensions", "options.dimensions", o->dimensions, 1, DIMENSIONS_MAX);
    return compose_end(&c);
}

int sparekey_create_embeddings(sparekey_client *client, const char *const *texts, size_t count,
                               const sparekey_embedding_options *options,
                               sparekey_result **ret_result, sparekey_error *error)
{
    sparekey_embedding_options o = sparekey_embedding_options_init();
    sparekey_call_options call;
    struct request request = {.kind = RESULT_EMBEDDINGS,
                              .method = "POST",
                              .content_type = "application/json",
                              .is_json = true};
    int code = check_texts(error, texts, count);

    if (code == SPAREKEY_OK)
        code = check_options(error, &o, sizeof o, options);
    if (code == SPAREKEY_OK)
        code = perform_check(client, o.call, ret_result, &call, error);
    if (code != SPAREKEY_OK)
        return code;
    if (buffer_append(&request.path, SLICE("/embeddings"), SIZE_MAX) != STATUS_OK)
        code = fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    if (code == SPAREKEY_OK)
        code = compose_embeddings(&request, texts, count, &o, error);
    return perform(client, &request, code, &call, ret_result, error);
}

int sparekey_list_models(sparekey_client *client, const sparekey_call_options *options,
                         sparekey_result **ret_result, sparekey_error *error)
{
    sparekey_call_options call;
    struct request request = {.kind = RESULT_MODELS, .method = "GET"};
    int code = perform_check(client, options, ret_result, &call, error);

    if (code != SPAREKEY_OK)
        return code;
    if (buffer_append(&request.path, SLICE("/models"), SIZE_MAX) != STATUS_OK)
        code = fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    return perform(client, &request, code, &call, ret_result, error);
}
