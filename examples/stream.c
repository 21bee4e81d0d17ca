/* A stream: the text as it comes. Ctrl-C is not needed: after 1000 bytes we have read enough. */
#include <sparekey/sparekey.h>
#include <stdio.h>

static int print(void *user, const char *text, size_t len)
{
    size_t *seen = user;

    fwrite(text, 1, len, stdout);
    fflush(stdout);
    *seen += len;
    return *seen > 1000;
}

int main(int argc, char **argv)
{
    sparekey_client *client;
    sparekey_result *answer;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_call_options call = sparekey_call_options_init();
    sparekey_text_options options = sparekey_text_options_init();
    size_t seen = 0;

    call.on_text = print;
    call.user = &seen;
    options.call = &call;
    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK) {
        fprintf(stderr, "stream: %s\n", error.message);
        return 1;
    }
    int status = sparekey_generate_text(client, argc > 1 ? argv[1] : "Count to ten.", &options,
                                        &answer, &error);
    putchar('\n');
    if (status == SPAREKEY_OK)
        sparekey_result_free(answer);
    else if (status != SPAREKEY_ERROR_CANCELLED)
        fprintf(stderr, "stream: %s\n", error.message);
    sparekey_client_free(client);
    return status == SPAREKEY_OK || status == SPAREKEY_ERROR_CANCELLED ? 0 : 1;
}
