/* What the world means is what the real readers understand. */
#include "sim_test.h"

#include "sim/wire.h"

struct expected {
    enum cause cause;
    enum transport transport;
    int status;
    enum reaction reaction;
    enum scope scope;
    enum failure failure;
};

static void every_cause_is_understood(void **state)
{
    static const struct expected table[] = {
        {CAUSE_SERVED, TRANSPORT_OK, 200, REACT_SUCCESS, SCOPE_REQUEST, FAILURE_NONE},
        {CAUSE_REVOKED, TRANSPORT_OK, 401, REACT_NEXT, SCOPE_KEY, FAILURE_REVOKED},
        {CAUSE_QUOTA, TRANSPORT_OK, 429, REACT_NEXT, SCOPE_ORG, FAILURE_QUOTA},
        {CAUSE_REQUESTS, TRANSPORT_OK, 429, REACT_NEXT, SCOPE_PROJECT_MODEL, FAILURE_RATE},
        {CAUSE_TOKENS, TRANSPORT_OK, 429, REACT_NEXT, SCOPE_PROJECT_MODEL, FAILURE_RATE},
        {CAUSE_TOO_LARGE, TRANSPORT_OK, 429, REACT_NEXT, SCOPE_REQUEST, FAILURE_TOO_LARGE},
        {CAUSE_SLOW_DOWN, TRANSPORT_OK, 429, REACT_NEXT, SCOPE_PROJECT_MODEL, FAILURE_SLOW_DOWN},
        {CAUSE_OVERLOADED, TRANSPORT_OK, 503, REACT_NEXT, SCOPE_SERVICE_MODEL, FAILURE_OVERLOADED},
        {CAUSE_SERVER, TRANSPORT_OK, 500, REACT_NEXT, SCOPE_SERVICE_MODEL, FAILURE_SERVER},
        {CAUSE_CONNECT, TRANSPORT_CONNECT, 0, REACT_NEXT, SCOPE_SERVICE, FAILURE_NETWORK},
    };

    (void)state;
    for (int i = 0; i < ARRAY(table); i++) {
        const struct expected *e = &table[i];
        struct reply reply = {.cause = e->cause, .transport = e->transport, .status = e->status};
        struct hints hints;
        struct verdict verdict;
        struct evidence evidence;

        wire_read(&reply, 0, &hints, &verdict, &evidence);
        assert_int_equal(verdict.reaction, e->reaction);
        assert_int_equal(verdict.scope, e->scope);
        assert_int_equal(verdict.failure, e->failure);
        assert_int_equal(evidence.status, e->status);
    }
}

static void headers_carry_the_truth(void **state)
{
    struct reply reply = {
        .cause = CAUSE_REQUESTS,
        .status = 429,
        .org = 4,
        .project = 9,
        .owned = true,
        .retry_after_ns = 534 * MS,
        .requests = {.limit = 600, .remaining = 0, .reset_ns = 58891 * MS},
        .project_tokens = {.limit = 90000, .remaining = 12, .reset_ns = 120 * MS}};
    struct hints hints;
    struct verdict verdict;
    struct evidence evidence;

    (void)state;
    wire_read(&reply, 0, &hints, &verdict, &evidence);
    assert_string_equal(hints.organization, "org-4");
    assert_string_equal(hints.project, "proj_9");
    assert_int_equal(hints.limits[LIMIT_REQUESTS].limit, 600);
    assert_int_equal(hints.limits[LIMIT_REQUESTS].remaining, 0);
    assert_int_equal(hints.limits[LIMIT_REQUESTS].reset_ns, 58891 * MS);
    assert_int_equal(hints.limits[LIMIT_PROJECT_TOKENS].remaining, 12);
    assert_int_equal(hints.limits[LIMIT_TOKENS].limit, HINT_NONE);
    assert_int_equal(hints.retry_after_ns, SECOND);
    assert_int_equal(verdict.wait_ns, 534 * MS);
    reply.owned = false;
    wire_read(&reply, 0, &hints, &verdict, &evidence);
    assert_string_equal(hints.organization, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cause_is_understood),
        cmocka_unit_test(headers_carry_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
