/* A conversation: each line of standard input is answered, with all that was said before. */
#include <sparekey/sparekey.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS_MAX = 64 };

int main(void)
{
    sparekey_client *client;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_message messages[TURNS_MAX];
    char line[4096];
    size_t count = 0;
    int failed = 0;

    memset(messages, 0, sizeof messages);
    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK) {
        fprintf(stderr, "chat: %s\n", error.message);
        return 1;
    }
    while (!failed && count + 2 <= TURNS_MAX && fgets(line, sizeof line, stdin)) {
        sparekey_result *answer;
        line[strcspn(line, "\n")] = '\0';
        messages[count].role = "user";
        messages[count++].content = strdup(line);
        failed = sparekey_create_chat_completion(client, messages, count, NULL, &answer, &error);
        if (failed) {
            fprintf(stderr, "chat: %s\n", error.message);
            break;
        }
        puts(sparekey_result_text(answer));
        messages[count].role = "assistant";
        messages[count++].content = strdup(sparekey_result_text(answer));
        sparekey_result_free(answer);
    }
    for (size_t i = 0; i < count; i++)
        free((char *)messages[i].content);
    sparekey_client_free(client);
    return failed ? 1 : 0;
}
