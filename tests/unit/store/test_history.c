/* The history in a file and in memory: sums, bounds, damage, and who may read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/history.h"

#define NOW INT64_C(29000000) /* the minute of these tests */

static char directory[64], path[96];
static struct buffer warning;
static struct history *history;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/test-history-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(path, sizeof path, "%s/state", directory);
    return 0;
}

static int tear_down(void **state)
{
    char line[128];

    (void)state;
    history_close(history);
    history = NULL;
    buffer_clear(&warning);
    (void)snprintf(line, sizeof line, "rm -r %s", directory);
    return system(line) == 0 ? 0 : -1;
}

static void open_at(const char *file, unsigned days, int64_t minute)
{
    history_close(history);
    history = NULL;
    assert_int_equal(history_open(file, days, minute, &warning, &history), STATUS_OK);
}

static struct history_key key_of(uint64_t fingerprint, const char *name, uint64_t requests)
{
    struct history_key key = {.fingerprint = fingerprint, .mask = "sk-proj...N0IA"};

    (void)snprintf(key.name, sizeof key.name, "%s", name);
    key.counts.requests = requests;
    return key;
}

/* Two keys: 3 requests and 2, of which one met a limit. */
static void add_two(int64_t minute)
{
    struct history_key keys[2] = {key_of(1, "FIRST", 3), key_of(UINT64_MAX, "SECOND", 2)};
    struct history_minute m = {.minute = minute, .keys = keys, .key_count = 2};

    keys[1].counts.failures[HISTORY_RATE_LIMITED] = 1;
    keys[0].counts.failovers = 1;
    for (int i = 0; i < 2; i++)
        history_counts_add(&m.all, &keys[i].counts);
    assert_int_equal(history_add(history, &m, &warning), STATUS_OK);
}

static struct history_counts at(const char *key, int64_t minute)
{
    struct history_counts counts;

    assert_int_equal(history_read(history, key, minute, 1, &counts), STATUS_OK);
    return counts;
}

static void minutes_are_summed(void **state)
{
    struct history_counts span[3];

    (void)state;
    open_at(path, 7, NOW);
    add_two(NOW);
    add_two(NOW);
    add_two(NOW + 2);
    assert_int_equal(history_read(history, NULL, NOW, 3, span), STATUS_OK);
    assert_int_equal(span[0].requests, 10);
    assert_int_equal(span[0].failures[HISTORY_RATE_LIMITED], 2);
    assert_int_equal(span[0].failovers, 2);
    assert_true(history_is_nothing(&span[1]));
    assert_int_equal(span[2].requests, 5);
    assert_int_equal(at("FIRST", NOW).requests, 6);
    assert_int_equal(at("SECOND", NOW).requests, 4);
    assert_int_equal(at("sk-proj...N0IA", NOW).requests, 10); /* both look like that */
}

static void a_key_is_known_again(void **state)
{
    (void)state;
    open_at(path, 7, NOW);
    struct hash_seed seed = history_seed(history);
    add_two(NOW);
    open_at(path, 7, NOW);
    assert_true(seed.k0 == history_seed(history).k0 && seed.k1 == history_seed(history).k1);
    add_two(NOW);
    assert_int_equal(at("FIRST", NOW).requests, 6);
    assert_int_equal(warning.len, 0);
}

static void what_is_unknown_is_said(void **state)
{
    struct history_counts counts;

    (void)state;
    open_at(path, 7, NOW);
    add_two(NOW);
    assert_int_equal(history_read(history, "THIRD", NOW, 1, &counts), STATUS_NOT_FOUND);
    assert_int_equal(history_read(history, "all", NOW, 1, &counts), STATUS_NOT_FOUND);
    assert_int_equal(history_read(history, "' OR 1=1 --", NOW, 1, &counts), STATUS_NOT_FOUND);
}

static void old_minutes_are_removed(void **state)
{
    (void)state;
    open_at(path, 1, NOW);
    add_two(NOW);
    add_two(NOW + 1440);
    assert_int_equal(at(NULL, NOW).requests, 5); /* exactly a day old */
    open_at(path, 1, NOW + 1441);
    assert_int_equal(at(NULL, NOW).requests, 0);
    assert_int_equal(at("FIRST", NOW + 1440).requests, 3);
    add_two(NOW + 3000); /* and while it runs */
    assert_int_equal(at(NULL, NOW + 1440).requests, 0);
}

static void only_its_owner_may_read_it(void **state)
{
    struct stat st;
    char side[128];

    (void)state;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
    open_at(path, 7, NOW);
    add_two(NOW);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(side, sizeof side, "%s-wal", path);
    assert_int_equal(stat(side, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_damaged_file_is_set_aside(void **state)
{
    char aside[128];

    (void)state;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite("SQLite format 3", 1, 16, file), 16);
    for (int i = 0; i < 2000; i++)
        assert_true(fputs("and then no database", file) >= 0);
    assert_int_equal(fclose(file), 0);
    open_at(path, 7, NOW);
    assert_non_null(memmem(warning.data, warning.len, "is damaged", 10));
    (void)snprintf(aside, sizeof aside, "%s.damaged", path);
    assert_int_equal(access(aside, F_OK), 0);
    add_two(NOW);
    assert_int_equal(at(NULL, NOW).requests, 5);
}

static void write_file(const char *where, const char *text)
{
    FILE *file = fopen(where, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void check_refused(const char *why)
{
    struct history *none = NULL;
    struct stat st;

    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(history_open(path, 7, NOW, &warning, &none), STATUS_IO);
    assert_non_null(memmem(warning.data, warning.len, why, strlen(why)));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

/* The path may be a slip: what stands there stays as it is. */
static void a_file_that_is_no_database_is_left_alone(void **state)
{
    static const char *const texts[] = {"my notes, all of them", "x", "SQLite format 4 and more"};
    char text[64] = "";

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file(path, texts[i]);
        check_refused("it is no database and stays as it is; SPAREKEY_STATE_FILE must name");
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        assert_int_equal(fclose(file), 0);
        assert_string_equal(text, texts[i]);
    }
    write_file(path, "");
    open_at(path, 7, NOW);
    add_two(NOW);
}

static void a_database_of_another_program_is_left_alone(void **state)
{
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE keys(door TEXT)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    check_refused("it is a database of another program");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0644), 0);
    check_refused("it is no regular file");
}

static void check_warning(const char *text)
{
    assert_non_null(memmem(warning.data, warning.len, text, strlen(text)));
    warning.len = 0;
}

static void one_that_is_removed_is_begun_anew(void **state)
{
    struct hash_seed before;
    char other[128];

    (void)state;
    open_at(path, 7, NOW);
    before = history_seed(history);
    add_two(NOW);
    assert_int_equal(unlink(path), 0);
    add_two(NOW);
    check_warning("is not there any more: a new one is begun");
    assert_int_equal(at(NULL, NOW).requests, 5);
    struct hash_seed after = history_seed(history);
    assert_memory_equal(&after, &before, sizeof before); /* keys are known by it */
    add_two(NOW);                                        /* said once, and kept on disk */
    assert_int_equal(warning.len, 0);
    open_at(path, 7, NOW);
    assert_int_equal(at(NULL, NOW).requests, 10);

    (void)snprintf(other, sizeof other, "%s.mine", path);
    write_file(other, "x"); /* somebody's own, put in its place */
    assert_int_equal(rename(other, path), 0);
    struct history_minute m = {.minute = NOW, .all.requests = 1};
    assert_int_equal(history_add(history, &m, &warning), STATUS_IO);
    check_warning("it is no database and stays as it is");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(history_add(history, &m, &warning), STATUS_OK);
    assert_int_equal(at(NULL, NOW).requests, 1);
}

/* Found out only when its pages are read. */
static void one_damaged_inside_too(void **state)
{
    char *junk = malloc(65536);

    (void)state;
    open_at(path, 7, NOW);
    add_two(NOW);
    history_close(history);
    history = NULL;
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_non_null(junk);
    memset(junk, 0xa5, 65536);
    assert_int_equal(fseek(file, 4096, SEEK_SET), 0);
    assert_int_equal(fwrite(junk, 1, 65536, file), 65536);
    assert_int_equal(fclose(file), 0);
    free(junk);
    open_at(path, 7, NOW);
    add_two(NOW);
    assert_non_null(memmem(warning.data, warning.len, "is damaged", 10));
    assert_int_equal(at(NULL, NOW).requests, 5);
}

static void a_file_that_cannot_be_is_an_error(void **state)
{
    char below[160];

    (void)state;
    open_at(path, 7, NOW);
    (void)snprintf(below, sizeof below, "%s/none/state", directory);
    struct history *none = NULL;
    assert_int_equal(history_open(below, 7, NOW, &warning, &none), STATUS_IO);
    assert_null(none);
    assert_non_null(memmem(warning.data, warning.len, "No such file or directory", 25));
}

static void one_of_a_later_version_is_left_alone(void **state)
{
    char line[256];
    struct history *none = NULL;

    (void)state;
    open_at(path, 7, NOW);
    history_close(history);
    history = NULL;
    /* user_version is the big-endian number at byte 60 of the header. */
    (void)snprintf(line, sizeof line,
                   "printf '\\002' | dd of=%s bs=1 seek=63 conv=notrunc status=none", path);
    assert_int_equal(system(line), 0);
    assert_int_equal(history_open(path, 7, NOW, &warning, &none), STATUS_IO);
    assert_non_null(memmem(warning.data, warning.len, "later version", 13));
}

static void memory_keeps_a_day_of_totals(void **state)
{
    struct history_counts counts;

    (void)state;
    open_at(NULL, 7, NOW);
    assert_false(history_is_file(history));
    add_two(NOW);
    assert_int_equal(at(NULL, NOW).requests, 5);
    assert_int_equal(history_read(history, "FIRST", NOW, 1, &counts), STATUS_NOT_FOUND);
    add_two(NOW + HISTORY_MEMORY_MINUTES + 1);
    assert_int_equal(at(NULL, NOW).requests, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(minutes_are_summed),
        test(a_key_is_known_again),
        test(what_is_unknown_is_said),
        test(old_minutes_are_removed),
        test(only_its_owner_may_read_it),
        test(a_damaged_file_is_set_aside),
        test(one_damaged_inside_too),
        test(a_file_that_is_no_database_is_left_alone),
        test(a_database_of_another_program_is_left_alone),
        test(one_that_is_removed_is_begun_anew),
        test(a_file_that_cannot_be_is_an_error),
        test(one_of_a_later_version_is_left_alone),
        test(memory_keeps_a_day_of_totals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
