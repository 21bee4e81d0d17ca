/* The health of every key, after one request has shown it. */
#include <sparekey/sparekey.h>
#include <stdio.h>

int main(void)
{
    sparekey_client *client;
    sparekey_result *answer;
    sparekey_health *health;
    sparekey_error error = SPAREKEY_ERROR_INIT;

    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK) {
        fprintf(stderr, "health: %s\n", error.message);
        return 1;
    }
    if (sparekey_list_models(client, NULL, &answer, &error) == SPAREKEY_OK)
        sparekey_result_free(answer);
    else
        fprintf(stderr, "health: %s\n", error.message);
    if (sparekey_key_health(client, &health, &error) != SPAREKEY_OK) {
        fprintf(stderr, "health: %s\n", error.message);
        sparekey_client_free(client);
        return 1;
    }
    puts(sparekey_health_status(health));
    for (size_t i = 0; i < sparekey_health_count(health); i++) {
        const sparekey_key *key = sparekey_health_key(health, i);
        printf("%s %s: %s%s%s, %.0f%% of %llu\n", key->key_id, key->name,
               key->is_healthy        ? "healthy"
               : key->is_rate_limited ? "rate limited"
                                      : "unhealthy",
               *key->reason ? ", " : "", key->reason, key->success_rate,
               (unsigned long long)key->total_requests);
    }
    sparekey_health_free(health);
    sparekey_client_free(client);
    return 0;
}
