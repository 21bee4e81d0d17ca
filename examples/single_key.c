/* The names of a plain client for one key (openai_client.h): unchanged, it has fallback. */
#include <sparekey/openai_client.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    openai_client *client;
    openai_result *answer;
    openai_error error = OPENAI_ERROR_INIT;

    if (openai_client_new(getenv("OPENAI_API_KEY"), &client, &error) != 0 ||
        openai_generate_text(client, "Hello!", NULL, &answer, &error) != 0) {
        fprintf(stderr, "single_key: %s\n", error.message);
        return 1;
    }
    puts(openai_result_text(answer));
    openai_result_free(answer);
    openai_client_free(client);
    return 0;
}
