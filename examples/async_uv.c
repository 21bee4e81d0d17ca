/* Asynchronous requests in libuv's loop: its poll handle watches the library's descriptor. */
#include <sparekey/sparekey.h>
#include <stdio.h>
#include <uv.h>

enum { REQUESTS = 5 };

struct app {
    sparekey_loop *loop;
    uv_poll_t poll;
    int left;
};

static void on_done(void *user, sparekey_result *result, const sparekey_error *error)
{
    struct app *app = user;

    if (error)
        fprintf(stderr, "async_uv: %s\n", error->message);
    else
        puts(sparekey_result_text(result));
    sparekey_result_free(result);
    app->left--;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct app *app = poll->data;

    (void)status;
    (void)events;
    sparekey_loop_run(app->loop, 0);
    if (app->left == 0)
        uv_close((uv_handle_t *)poll, NULL); /* the last handle: uv_run returns */
}

int main(void)
{
    sparekey_client *client;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    struct app app = {.left = 0};

    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK ||
        sparekey_loop_new(client, &app.loop, &error) != SPAREKEY_OK) {
        fprintf(stderr, "async_uv: %s\n", error.message);
        return 1;
    }
    sparekey_call_options call = sparekey_call_options_init();
    sparekey_text_options options = sparekey_text_options_init();
    call.on_done = on_done;
    call.loop = app.loop;
    call.user = &app;
    options.call = &call;
    for (int i = 0; i < REQUESTS; i++) {
        char prompt[32];
        snprintf(prompt, sizeof prompt, "number %d", i);
        app.left += sparekey_generate_text(client, prompt, &options, NULL, &error) == SPAREKEY_OK;
    }
    uv_poll_init(uv_default_loop(), &app.poll, sparekey_loop_fd(app.loop));
    app.poll.data = &app;
    uv_poll_start(&app.poll, UV_READABLE, on_readable);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    sparekey_loop_free(app.loop);
    sparekey_client_free(client);
    return 0;
}
