#include "mock_test.h"

#include "mock/journal.h"

static struct journal journal;

static int begin(void **state)
{
    (void)state;
    assert_true(journal_init(&journal));
    return 0;
}

static int end(void **state)
{
    (void)state;
    journal_fini(&journal);
    return 0;
}

static uint64_t arrive(const char *key, const char *path, const char *id, unsigned char body)
{
    struct journal_pair fields[] = {{SLICE("X-Client-Request-Id"), slice_str(id)},
                                    {SLICE("Accept"), SLICE("*/*")}};
    unsigned char sha256[32] = {body};
    uint64_t n = journal_begin(&journal, &(struct journal_head){.key = slice_str(key),
                                                                .method = SLICE("POST"),
                                                                .path = slice_str(path),
                                                                .query = SLICE("a=b"),
                                                                .fields = id ? fields : fields + 1,
                                                                .field_count = id ? 2 : 1,
                                                                .connection = 7,
                                                                .wall_ms = 12345});
    journal_arrived(&journal, n, &(struct journal_body){100, sha256, SLICE("m-1"), true});
    return n;
}

static void an_entry_is_told_whole(void **state)
{
    struct journal_filter all = {.states = ~0u};

    (void)state;
    uint64_t n = arrive("sk-a", "/v1/responses", "id-1", 0xAB);
    journal_fault(&journal, n, "garbage");
    journal_done(&journal, n, JOURNAL_COMPLETE, 200, 55);
    json_t *list = journal_json(&journal, &all, 10), *e = json_array_get(list, 0);
    json_t *want = json_of(
        "{'n':1,'time':12345,'key':'sk-a','method':'POST','path':'/v1/responses','query':'a=b',"
        "'headers':[['X-Client-Request-Id','id-1'],['Accept','*/*']],'body_bytes':100,"
        "'sha256':'ab00000000000000000000000000000000000000000000000000000000000000',"
        "'model':'m-1','stream':true,'attempt':1,'connection':7,'fault':'garbage','status':200,"
        "'state':'done','outcome':'complete','bytes_sent':55}");
    assert_true(json_equal(e, want));
    json_decref(want);
    json_decref(list);
}

static void attempts_are_counted_by_id_or_body(void **state)
{
    static const struct {
        const char *id;
        unsigned char body;
        uint64_t attempt;
    } rows[] = {{NULL, 1, 1}, {NULL, 2, 1}, {NULL, 1, 2}, {"x", 1, 1}, {"x", 9, 2}, {NULL, 1, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t n = arrive("k", "/p", rows[i].id, rows[i].body);
        assert_int_equal(journal_get(&journal, n)->attempt, rows[i].attempt);
    }
}

static void the_oldest_make_room(void **state)
{
    uint64_t last = 0;

    (void)state;
    for (size_t i = 0; i < JOURNAL_ENTRIES_MAX + 10; i++)
        last = arrive("k", "/p", NULL, 1);
    assert_int_equal(journal.dropped, 10);
    assert_null(journal_get(&journal, 10));
    assert_non_null(journal_get(&journal, 11));
    assert_int_equal(journal_get(&journal, last)->attempt, last);
    journal_done(&journal, 3, JOURNAL_COMPLETE, 200, 0); /* forgotten: nothing happens */
    struct journal_filter filter = {.states = ~0u, .since = last - 2};
    assert_int_equal(journal_count(&journal, &filter), 2);
}

static void clearing_goes_on_counting(void **state)
{
    struct journal_filter all = {.states = ~0u};

    (void)state;
    arrive("k", "/p", NULL, 1);
    journal_clear(&journal);
    assert_int_equal(journal_count(&journal, &all), 0);
    uint64_t n = arrive("k", "/p", NULL, 1);
    assert_int_equal(n, 2);
    assert_int_equal(journal_get(&journal, n)->attempt, 1);
    assert_int_equal(journal.bytes, journal_get(&journal, n)->text_len);
}

static void filters(void **state)
{
    (void)state;
    uint64_t a = arrive("sk-a", "/x", NULL, 1);
    arrive("sk-b", "/y", NULL, 1);
    journal_done(&journal, a, JOURNAL_CLIENT_LEFT, 0, 0);
    const struct {
        struct journal_filter filter;
        uint64_t count;
    } rows[] = {
        {{.states = ~0u}, 2},
        {{.states = ~0u, .key = SLICE("sk-a")}, 1},
        {{.states = ~0u, .path = SLICE("/y")}, 1},
        {{.states = ~0u, .path = SLICE("/")}, 0},
        {{.states = ~0u, .model = SLICE("m-1")}, 2},
        {{.states = 1u << JOURNAL_DONE}, 1},
        {{.states = 1u << JOURNAL_OPEN}, 1},
        {{.states = ~0u, .since = 1}, 1},
        {{.states = ~0u, .since = 99}, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(journal_count(&journal, &rows[i].filter), rows[i].count);
}

static char moves[64];

static void note_move(struct journal *j, const struct journal_entry *entry, enum journal_state from,
                      enum journal_state to)
{
    size_t len = strlen(moves);
    (void)j;
    assert_int_equal(entry->state, to);
    moves[len] = (char)('0' + from);
    moves[len + 1] = (char)('0' + to);
    moves[len + 2] = ' ';
}

static void each_move_is_announced_once(void **state)
{
    (void)state;
    journal.moved = note_move;
    uint64_t n = arrive("k", "/p", NULL, 1);
    journal_stalled(&journal, n, true);
    journal_stalled(&journal, n, true);
    journal_stalled(&journal, n, false);
    journal_done(&journal, n, JOURNAL_CUT, 200, 1);
    journal_done(&journal, n, JOURNAL_CUT, 200, 1);
    assert_string_equal(moves, "01 12 21 13 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_entry_is_told_whole, begin, end),
        cmocka_unit_test_setup_teardown(attempts_are_counted_by_id_or_body, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_make_room, begin, end),
        cmocka_unit_test_setup_teardown(clearing_goes_on_counting, begin, end),
        cmocka_unit_test_setup_teardown(filters, begin, end),
        cmocka_unit_test_setup_teardown(each_move_is_announced_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
