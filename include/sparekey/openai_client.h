/* The names of a plain OpenAI client, for one key, on top of the enhanced one: code written for them
 * runs unchanged, with fallback. Thin aliases; everything else is in sparekey.h, and may be mixed.
 *
 *     openai_client *client;
 *     openai_result *answer;
 *     openai_client_new(getenv("OPENAI_API_KEY"), &client, NULL);
 *     if (openai_generate_text(client, "Hello!", NULL, &answer, NULL) == 0)
 *         puts(openai_result_text(answer));
 */
#ifndef SPAREKEY_OPENAI_CLIENT_H
#define SPAREKEY_OPENAI_CLIENT_H

#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef sparekey_client openai_client;
typedef sparekey_result openai_result;
typedef sparekey_error openai_error;
typedef sparekey_message openai_message;
typedef sparekey_text_options openai_text_options;
typedef sparekey_image_options openai_image_options;

#define OPENAI_ERROR_INIT SPAREKEY_ERROR_INIT

/* A client whose primary key is `api_key`, and whose fallbacks and settings are those of
 * sparekey_client_from_environment; `api_key` NULL: OPENAI_API_KEY. Same errors. */
SPAREKEY_API SPAREKEY_NODISCARD int openai_client_new(const char *api_key,
                                                      openai_client **ret_client,
                                                      openai_error *error);

/* sparekey_client_free. */
SPAREKEY_API void openai_client_free(openai_client *client);

/* sparekey_generate_text. */
SPAREKEY_API SPAREKEY_NODISCARD int openai_generate_text(openai_client *client, const char *prompt,
                                                         const openai_text_options *options,
                                                         openai_result **ret_result,
                                                         openai_error *error);

/* sparekey_generate_image. */
SPAREKEY_API SPAREKEY_NODISCARD int openai_generate_image(openai_client *client, const char *prompt,
                                                          const openai_image_options *options,
                                                          openai_result **ret_result,
                                                          openai_error *error);

/* sparekey_create_chat_completion. */
SPAREKEY_API SPAREKEY_NODISCARD int openai_create_chat_completion(
    openai_client *client, const openai_message *messages, size_t count,
    const openai_text_options *options, openai_result **ret_result, openai_error *error);

/* sparekey_list_models without options. */
SPAREKEY_API SPAREKEY_NODISCARD int openai_list_models(openai_client *client,
                                                       openai_result **ret_result,
                                                       openai_error *error);

/* sparekey_result_text. */
SPAREKEY_API const char *openai_result_text(const openai_result *result);

/* sparekey_result_free. */
SPAREKEY_API void openai_result_free(openai_result *result);

#ifdef __cplusplus
}
#endif
#endif
