#include "mock_test.h"

#include "mock/fault.h"

static struct list faults;
static uint64_t next_id;
static struct rng rng;

static int begin(void **state)
{
    (void)state;
    list_init(&faults);
    next_id = 0;
    rng.state = 42;
    return 0;
}

static int end(void **state)
{
    (void)state;
    faults_clear(&faults);
    return 0;
}

static bool add(const char *text)
{
    struct problem problem;
    json_t *json = json_of(text);
    bool good = faults_read(json, &faults, &next_id, &problem);
    json_decref(json);
    return good;
}

/* Which of n requests it fires for, as a picture: "x..x". */
static void picture(int n, char *out)
{
    struct fault_query query = {SLICE("sk-a"), SLICE("/v1/responses"), SLICE("m"), false};
    for (int i = 0; i < n; i++)
        out[i] = faults_pick(&faults, &query, &rng) ? 'x' : '.';
    out[n] = '\0';
}

static void rules(void **state)
{
    static const struct {
        const char *fault, *picture;
    } rows[] = {
        {"[{'fault':'garbage'}]", "xxxxxxxx"},
        {"[{'fault':'garbage','count':3}]", "xxx....."},
        {"[{'fault':'garbage','every':3}]", "..x..x.."},
        {"[{'fault':'garbage','skip':2}]", "..xxxxxx"},
        {"[{'fault':'garbage','skip':1,'every':2,'count':2}]", "..x.x..."},
        {"[{'fault':'garbage','rate':0}]", "........"},
        {"[{'fault':'garbage','rate':1}]", "xxxxxxxx"},
        {"[{'fault':'garbage','key':'sk-b'}]", "........"},
        {"[{'fault':'garbage','key':'sk-a'}]", "xxxxxxxx"},
        {"[{'fault':'garbage','path':'/v1/models'}]", "........"},
        {"[{'fault':'garbage','model':'n'}]", "........"},
        {"[{'fault':'garbage','stream':true}]", "........"},
        {"[{'fault':'garbage','stream':false}]", "xxxxxxxx"},
        {"[{'fault':'garbage','count':1},{'fault':'html:502','every':4}]", "x...x..."},
    };
    char out[16];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(state);
        assert_true(add(rows[i].fault));
        picture(8, out);
        assert_string_equal(out, rows[i].picture);
        end(state);
    }
}

static void a_rate_is_kept_and_repeats(void **state)
{
    char first[2001], again[2001];
    int fired = 0;

    (void)state;
    assert_true(add("[{'fault':'garbage','rate':0.25}]"));
    picture(2000, first);
    for (int i = 0; i < 2000; i++)
        fired += first[i] == 'x';
    assert_in_range(fired, 400, 600);
    rng.state = 42;
    picture(2000, again);
    assert_string_equal(first, again);
}

static void bad_ones_are_refused_and_none_is_added(void **state)
{
    static const char *const bad[] = {
        "[{'fault':'nothing'}]",
        "[{'fault':'garbage:1'}]",
        "[{'fault':'html'}]",
        "[{'fault':'html:99'}]",
        "[{'fault':'html:abc'}]",
        "[{'fault':'error:no_such_row'}]",
        "[{'fault':'error:reset'}]",
        "[{'fault':'garbage','rate':1.5}]",
        "[{'fault':'garbage','count':-1}]",
        "[{'fault':'garbage','cuont':1}]",
        "[{}]",
        "['garbage']",
        "{'fault':'garbage'}",
        "[{'fault':'garbage'},{'fault':'nothing'}]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(add(bad[i]));
        assert_true(list_empty(&faults));
    }
}

static void told_as_read(void **state)
{
    (void)state;
    assert_true(add("[{'fault':'error:429_requests','rate':0.5,'after':3,'key':'sk-a'}]"));
    json_t *json = faults_json(&faults), *one = json_array_get(json, 0);
    assert_string_equal(json_string_value(json_object_get(one, "fault")), "error:429_requests");
    assert_true(json_real_value(json_object_get(one, "rate")) == 0.5);
    assert_int_equal(json_integer_value(json_object_get(one, "after")), 3);
    assert_int_equal(json_integer_value(json_object_get(one, "id")), 1);
    assert_true(json_is_null(json_object_get(one, "stream")));
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test_setup_teardown(a_rate_is_kept_and_repeats, begin, end),
        cmocka_unit_test_setup_teardown(bad_ones_are_refused_and_none_is_added, begin, end),
        cmocka_unit_test_setup_teardown(told_as_read, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
