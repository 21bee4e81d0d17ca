/* Tools: the model asks for a function, we answer it, the model goes on. */
#include <sparekey/sparekey.h>
#include <stdio.h>
#include <string.h>

static const char tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_time\",\"description\":\"The time in a "
    "city\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}"
    "]";

/* What we would look up. */
static const char *get_time(const char *arguments)
{
    return strstr(arguments, "Paris") ? "14:05" : "unknown";
}

/* The second request: the question, the call, and what came of it. */
static int answer_call(sparekey_client *client, const char *question, const sparekey_result *asked,
                       sparekey_error *error)
{
    sparekey_tool_call call;
    sparekey_result *answer;
    int status = sparekey_result_tool_call(asked, 0, &call);

    if (status != SPAREKEY_OK)
        return status;
    printf("the model calls %s(%s)\n", call.name, call.arguments);
    sparekey_message messages[3];
    memset(messages, 0, sizeof messages);
    messages[0].role = "user";
    messages[0].content = question;
    messages[1].role = "assistant";
    messages[1].tool_calls = sparekey_result_tool_calls(asked);
    messages[2].role = "tool";
    messages[2].content = get_time(call.arguments);
    messages[2].tool_call_id = call.id;
    status = sparekey_create_chat_completion(client, messages, 3, NULL, &answer, error);
    if (status != SPAREKEY_OK)
        return status;
    puts(sparekey_result_text(answer));
    sparekey_result_free(answer);
    return SPAREKEY_OK;
}

int main(int argc, char **argv)
{
    sparekey_client *client;
    sparekey_result *asked;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_text_options options = sparekey_text_options_init();
    const char *question = argc > 1 ? argv[1] : "What time is it in Paris?";

    options.tools = tools;
    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK ||
        sparekey_generate_text(client, question, &options, &asked, &error) != SPAREKEY_OK) {
        fprintf(stderr, "tools: %s\n", error.message);
        return 1;
    }
    int status = SPAREKEY_OK;
    if (sparekey_result_tool_call_count(asked))
        status = answer_call(client, question, asked, &error);
    else
        puts(sparekey_result_text(asked)); /* it knew without asking */
    if (status != SPAREKEY_OK)
        fprintf(stderr, "tools: %s\n", error.message);
    sparekey_result_free(asked);
    sparekey_client_free(client);
    return status == SPAREKEY_OK ? 0 : 1;
}
