#include "sparekey/openai_client.h"

int openai_client_new(const char *api_key, openai_client **ret_client, openai_error *error)
{
    sparekey_client_options options = sparekey_client_options_init();

    options.keys = &api_key;
    options.key_count = api_key ? 1 : 0;
    return sparekey_client_from_environment(&options, ret_client, error);
}

void openai_client_free(openai_client *client)
{
    sparekey_client_free(client);
}

int openai_generate_text(openai_client *client, const char *prompt,
                         const openai_text_options *options, openai_result **ret_result,
                         openai_error *error)
{
    return sparekey_generate_text(client, prompt, options, ret_result, error);
}

int openai_generate_image(openai_client *client, const char *prompt,
                          const openai_image_options *options, openai_result **ret_result,
                          openai_error *error)
{
    return sparekey_generate_image(client, prompt, options, ret_result, error);
}

int openai_create_chat_completion(openai_client *client, const openai_message *messages,
                                  size_t count, const openai_text_options *options,
                                  openai_result **ret_result, openai_error *error)
{
    return sparekey_create_chat_completion(client, messages, count, options, ret_result, error);
}

int openai_list_models(openai_client *client, openai_result **ret_result, openai_error *error)
{
    return sparekey_list_models(client, NULL, ret_result, error);
}

const char *openai_result_text(const openai_result *result)
{
    return sparekey_result_text(result);
}

void openai_result_free(openai_result *result)
{
    sparekey_result_free(result);
}
