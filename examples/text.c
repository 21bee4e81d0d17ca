/* The shortest program: a prompt from the command line, an answer on standard output. */
#include <sparekey/sparekey.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    sparekey_client *client;
    sparekey_result *answer;
    sparekey_error error = SPAREKEY_ERROR_INIT;

    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK ||
        sparekey_generate_text(client, argc > 1 ? argv[1] : "Say hello.", NULL, &answer, &error) !=
            SPAREKEY_OK) {
        fprintf(stderr, "text: %s\n", error.message);
        return 1;
    }
    puts(sparekey_result_text(answer));
    sparekey_result_free(answer);
    sparekey_client_free(client);
    return 0;
}
