/* The shortest program: a prompt from the command line, an answer on standard output. */
#include <sparekey/sparekey.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    sparekey_client *client = NULL;
    sparekey_result *answer = NULL;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    const char *prompt = argc > 1 ? argv[1] : "Say hello.";

    int code = sparekey_client_from_environment(NULL, &client, &error);
    if (code == SPAREKEY_OK)
        code = sparekey_generate_text(client, prompt, NULL, &answer, &error);
    if (code == SPAREKEY_OK)
        puts(sparekey_result_text(answer));
    else
        fprintf(stderr, "text: %s\n", error.message);
    sparekey_result_free(answer); /* NULL is allowed, here and below */
    sparekey_client_free(client);
    return code == SPAREKEY_OK ? 0 : 1;
}
