/* Many threads, one client. */
#include <pthread.h>
#include <sparekey/sparekey.h>
#include <stdio.h>

enum { THREADS = 8, REQUESTS = 5 };

struct work {
    pthread_t thread;
    sparekey_client *client;
    int number, served;
};

static void *run(void *argument)
{
    struct work *work = argument;

    for (int i = 0; i < REQUESTS; i++) {
        sparekey_error error = SPAREKEY_ERROR_INIT;
        sparekey_result *answer;
        char prompt[64];
        snprintf(prompt, sizeof prompt, "thread %d, request %d", work->number, i);
        if (sparekey_generate_text(work->client, prompt, NULL, &answer, &error) == SPAREKEY_OK) {
            work->served++;
            sparekey_result_free(answer);
        } else {
            fprintf(stderr, "threads: %s\n", error.message);
        }
    }
    return NULL;
}

int main(void)
{
    sparekey_client *client;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    struct work works[THREADS];
    int served = 0;

    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK) {
        fprintf(stderr, "threads: %s\n", error.message);
        return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        works[i].client = client;
        works[i].number = i;
        works[i].served = 0;
        if (pthread_create(&works[i].thread, NULL, run, &works[i]) != 0)
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(works[i].thread, NULL);
        served += works[i].served;
    }
    printf("%d of %d served\n", served, THREADS * REQUESTS);
    sparekey_client_free(client);
    return served == THREADS * REQUESTS ? 0 : 1;
}
