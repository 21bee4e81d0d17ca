/* The log: both forms of a line, what is escaped and cut, and that a full pipe is never waited for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "observe/log.h"

struct pipe_log {
    int read_fd, write_fd;
    struct log *log;
};

static int open_pipe(void **state)
{
    struct pipe_log *p = calloc(1, sizeof *p);
    int fds[2];

    if (!p || pipe(fds) != 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
        return -1;
    p->read_fd = fds[0];
    p->write_fd = fds[1];
    *state = p;
    return log_new(p->write_fd, LOG_SEVERITY_INFO, &p->log) == STATUS_OK ? 0 : -1;
}

static int close_pipe(void **state)
{
    struct pipe_log *p = *state;

    log_free(p->log);
    if (p->read_fd >= 0)
        close(p->read_fd);
    close(p->write_fd);
    free(p);
    return 0;
}

/* Whatever is in the pipe, as text; "" when it is empty. */
static char *take_all(int fd)
{
    static char text[1 << 17];
    ssize_t count = read(fd, text, sizeof text - 1);

    text[count > 0 ? count : 0] = '\0';
    return text;
}

/* The line behind its time: `{"time":"2026-01-01T00:00:00.000Z",` or `12:34:56 `. */
static const char *after_time(const char *line)
{
    if (*line == '{') {
        unsigned y, mo, d, h, mi, s, ms;
        int len = 0;
        assert_int_equal(sscanf(line, "{\"time\":\"%4u-%2u-%2uT%2u:%2u:%2u.%3uZ\",%n", &y, &mo, &d,
                                &h, &mi, &s, &ms, &len),
                         7);
        assert_int_equal(len, 35);
        return line + len;
    }
    assert_true(strlen(line) > 9 && line[2] == ':' && line[5] == ':' && line[8] == ' ');
    return line + 9;
}

static void quiet_is_what_needs_a_person(void **state)
{
    struct pipe_log *p = *state;

    log_set_quiet(p->log);
    log_line(p->log, LOG_SEVERITY_WARN, "few_open_files", "x");
    log_line(p->log, LOG_SEVERITY_WARN, "failover", "x");
    log_line(p->log, LOG_SEVERITY_INFO, "ready", "x");
    assert_string_equal(take_all(p->read_fd), "");
    log_line(p->log, LOG_SEVERITY_WARN, "key_disabled", "revoked");
    assert_non_null(strstr(take_all(p->read_fd), "\"message\":\"revoked\""));
    log_fields(p->log, LOG_SEVERITY_ERROR, "gave_up", NULL, 0, "gone");
    assert_non_null(strstr(take_all(p->read_fd), "\"message\":\"gone\""));
}

static void writes_json(void **state)
{
    struct pipe_log *p = *state;

    log_line(p->log, LOG_SEVERITY_WARN, "circuit_opened", "key %d of %s", 3, "five");
    assert_string_equal(after_time(take_all(p->read_fd)),
                        "\"level\":\"warn\",\"event\":\"circuit_opened\",\"component\":\"keys\","
                        "\"message\":\"key 3 of five\"}\n");
}

static void escapes_json(void **state)
{
    static const char *const rows[][2] = {
        {"say \"hi\" \\ bye", "say \\\"hi\\\" \\\\ bye"},
        {"a\nb\tc\x1b[2J\x7f", "a\\nb\\u0009c\\u001b[2J\\u007f"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91"},
        {"\xc2\x9b", "\\u009b"},
        {"\xff.\xc3.\xe2\x82.\xc0\xaf.\xed\xa0\x80",
         "\\ufffd.\\ufffd.\\ufffd\\ufffd.\\ufffd\\ufffd.\\ufffd\\ufffd\\ufffd"},
        {"", ""},
    };
    struct pipe_log *p = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[256];
        (void)snprintf(expected, sizeof expected,
                       "\"level\":\"info\",\"event\":\"e\",\"component\":\"gateway\","
                       "\"message\":\"%s\"}\n",
                       rows[i][1]);
        log_line(p->log, LOG_SEVERITY_INFO, "e", "%s", rows[i][0]);
        assert_string_equal(after_time(take_all(p->read_fd)), expected);
    }
}

static void fields_become_members(void **state)
{
    struct pipe_log *p = *state;
    const struct log_field fields[] = {
        {"keyId", "sk-proj...N0IA", 0}, {"code", "a\"b\xff", 0}, {"name", "", 0},
        {"status", NULL, 429},          {"count", NULL, -1},     {"attempts", NULL, 0},
    };

    log_fields(p->log, LOG_SEVERITY_WARN, "failover", fields, 6, "served %s", "at last");
    assert_string_equal(
        after_time(take_all(p->read_fd)),
        "\"level\":\"warn\",\"event\":\"failover\",\"component\":\"requests\","
        "\"keyId\":\"sk-proj...N0IA\",\"code\":\"a\\\"b\\ufffd\",\"status\":429,\"attempts\":0,"
        "\"message\":\"served at last\"}\n");
}

/* All of a member or nothing of it, so that the line stays JSON. */
static void a_field_that_does_not_fit_is_left_out(void **state)
{
    struct pipe_log *p = *state;
    char *text = calloc(1, LOG_LINE_MAX + 1);

    assert_non_null(text);
    for (size_t len = LOG_LINE_MAX - 200; len < LOG_LINE_MAX; len++) {
        memset(text, '"', len);
        const struct log_field fields[] = {{"long", text, 0}, {"status", NULL, 7}};
        log_fields(p->log, LOG_SEVERITY_DEBUG, "served", fields, 2, "x");
        assert_string_equal(take_all(p->read_fd), "");
        log_fields(p->log, LOG_SEVERITY_INFO, "ready", fields, 2, "x");
        const char *line = take_all(p->read_fd);
        assert_null(strstr(line, "long"));
        assert_non_null(strstr(line, "\"status\":7,\"message\":\"x\"}\n"));
    }
    free(text);
}

static void components_have_levels_of_their_own(void **state)
{
    struct pipe_log *p = *state;
    struct log_levels levels;

    assert_int_equal(log_levels_parse(SLICE("error,requests=debug"), &levels), STATUS_OK);
    log_set_levels(p->log, &levels);
    assert_true(log_wants(p->log, LOG_REQUESTS, LOG_SEVERITY_DEBUG));
    assert_false(log_wants(p->log, LOG_KEYS, LOG_SEVERITY_WARN));
    assert_false(log_wants(NULL, LOG_KEYS, LOG_SEVERITY_ERROR));
    log_line(p->log, LOG_SEVERITY_WARN, "circuit_opened", "not shown");
    assert_string_equal(take_all(p->read_fd), "");
    log_line(p->log, LOG_SEVERITY_DEBUG, "served", "shown");
    assert_non_null(strstr(take_all(p->read_fd), "shown"));
}

static void cuts_long_lines_whole(void **state)
{
    struct pipe_log *p = *state;
    char *text = calloc(1, 10000);

    assert_non_null(text);
    for (size_t pad = 0; pad < 7; pad++) { /* the cut falls on every byte of an escape */
        memset(text, 'x', pad);
        memset(text + pad, '\x01', 5000);
        text[pad + 5000] = '\0';
        log_line(p->log, LOG_SEVERITY_INFO, "long", "%s", text);
        const char *line = take_all(p->read_fd);
        size_t len = strlen(line);
        assert_true(len <= LOG_LINE_MAX && len > LOG_LINE_MAX - 16);
        assert_string_equal(line + len - 9, "\\u0001\"}\n");
    }
    free(text);
}

static void keeps_to_its_least_severity(void **state)
{
    struct pipe_log *p = *state;

    log_line(p->log, LOG_SEVERITY_DEBUG, "e", "not shown");
    assert_string_equal(take_all(p->read_fd), "");
    log_set_least(p->log, LOG_SEVERITY_DEBUG);
    log_line(p->log, LOG_SEVERITY_DEBUG, "e", "shown");
    assert_non_null(strstr(take_all(p->read_fd), "\"debug\""));
    log_set_least(p->log, LOG_SEVERITY_ERROR);
    log_line(p->log, LOG_SEVERITY_WARN, "e", "not shown");
    assert_string_equal(take_all(p->read_fd), "");
    log_line(NULL, LOG_SEVERITY_ERROR, "e", "nothing");
    assert_int_equal(log_dropped(p->log), 0);
}

/* The descriptor is a blocking one and nobody reads: every line must return all the same. */
static void drops_what_nobody_reads(void **state)
{
    enum { LINES = 5000 };
    struct pipe_log *p = *state;
    size_t shown = 0;

    for (int i = 0; i < LINES; i++)
        log_line(p->log, LOG_SEVERITY_INFO, "e", "line %d", i);
    uint64_t dropped = log_dropped(p->log);
    assert_true(dropped > 0 && dropped < LINES);
    for (const char *at = take_all(p->read_fd); (at = strchr(at, '\n')) != NULL; at++)
        shown++;
    assert_int_equal(shown + dropped, LINES);

    log_line(p->log, LOG_SEVERITY_INFO, "e", "after");
    const char *text = take_all(p->read_fd);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "\"message\":\"%llu lines were dropped",
                   (unsigned long long)dropped);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "\"message\":\"after\""));
    log_line(p->log, LOG_SEVERITY_INFO, "e", "again");
    assert_null(strstr(take_all(p->read_fd), "log_dropped")); /* said once */
}

static void outlives_its_reader(void **state)
{
    struct pipe_log *p = *state;

    (void)signal(SIGPIPE, SIG_DFL); /* a write would end the test */
    close(p->read_fd);
    p->read_fd = -1;
    log_line(p->log, LOG_SEVERITY_INFO, "e", "to nobody");
    assert_int_equal(log_dropped(p->log), 1);
}

static int open_terminal(int *ret_main)
{
    int main_fd = posix_openpt(O_RDWR | O_NOCTTY);

    assert_true(main_fd >= 0);
    assert_int_equal(grantpt(main_fd), 0);
    assert_int_equal(unlockpt(main_fd), 0);
    int fd = open(ptsname(main_fd), O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    *ret_main = main_fd;
    return fd;
}

static void writes_for_people_on_a_terminal(void **state)
{
    struct log *log;
    int main_fd, fd = open_terminal(&main_fd);

    (void)state;
    assert_int_equal(log_new(fd, LOG_SEVERITY_INFO, &log), STATUS_OK);
    log_line(log, LOG_SEVERITY_WARN, "circuit_opened", "a\x1b[31m\nb \"q\" \xff \xc2\x9b \xc3\xbc");
    /* The terminal driver turns \n into \r\n. */
    assert_string_equal(after_time(take_all(main_fd)),
                        "🔑 [OpenAI Key Manager] a?[31m b \"q\" ? ? \xc3\xbc\r\n");
    log_free(log);
    close(fd);
    close(main_fd);
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        count++;
    return count;
}

/* What is written to a terminal arrives at its other end in pieces, and later. */
struct seen {
    size_t len;
    char text[1 << 20];
};

static void read_until(struct seen *seen, int main_fd, const char *word, size_t count)
{
    struct pollfd end = {.fd = main_fd, .events = POLLIN};

    while (count_of(seen->text, word) < count) {
        assert_int_equal(poll(&end, 1, 60000), 1);
        ssize_t got = read(main_fd, seen->text + seen->len, sizeof seen->text - 1 - seen->len);
        assert_true(got > 0);
        seen->len += (size_t)got;
        seen->text[seen->len] = '\0';
    }
}

/* Also when the line before it was cut. */
static void check_begins_a_line(const char *text, const char *word)
{
    const char *at = strstr(text, word);

    assert_non_null(at);
    while (at > text && at[-1] != '\n')
        at--;
    (void)after_time(at);
}

/* The descriptor is a blocking one and stays so; without O_NONBLOCK the test would hang here. */
static void check_unread_terminal(struct log *log, int main_fd, int fd)
{
    enum { LINES = 2000 };
    static struct seen seen;
    char padding[200];

    memset(padding, 'x', sizeof padding - 1);
    padding[sizeof padding - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_line(log, LOG_SEVERITY_INFO, "e", "%s<%d>", padding, i);
    uint64_t dropped = log_dropped(log);
    assert_true(dropped > 0 && dropped < LINES);
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);

    seen.len = 0;
    seen.text[0] = '\0';
    read_until(&seen, main_fd, ">", LINES - dropped);
    log_line(log, LOG_SEVERITY_INFO, "e", "after");
    read_until(&seen, main_fd, " after\r\n", 1);
    assert_int_equal(count_of(seen.text, ">"), LINES - dropped);
    check_begins_a_line(seen.text, "lines were dropped: nobody read them in time\r\n");
    check_begins_a_line(seen.text, " after\r\n");
}

static void never_waits_for_a_terminal(void **state)
{
    struct log *log;
    int main_fd, fd = open_terminal(&main_fd);

    (void)state;
    assert_int_equal(log_new(fd, LOG_SEVERITY_INFO, &log), STATUS_OK);
    check_unread_terminal(log, main_fd, fd);
    log_free(log);
    assert_int_equal(fcntl(fd, F_GETFD), 0); /* the caller's is still open */
    close(fd);
    close(main_fd);
}

/* As after su: the terminal belongs to somebody else, only the descriptor is ours. */
static void never_waits_for_a_terminal_it_cannot_open(void **state)
{
    struct log *log;
    int main_fd, fd = open_terminal(&main_fd);
    struct rlimit before, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(log_new(fd, LOG_SEVERITY_INFO, &log), STATUS_OK);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    check_unread_terminal(log, main_fd, fd);
    log_free(log);
    close(fd);
    close(main_fd);
}

static void *write_lines(void *argument)
{
    for (int i = 0; i < 100; i++)
        log_line(argument, LOG_SEVERITY_INFO, "thread", "%0200d", i);
    return NULL;
}

static void never_mixes_lines_of_threads(void **state)
{
    struct pipe_log *p = *state;
    pthread_t threads[4];
    size_t lines = 0;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, p->log), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (char *line = take_all(p->read_fd), *end; (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        *end = '\0';
        const char *rest = after_time(line);
        lines += strstr(rest, "\"thread\"") != NULL;
        assert_string_equal(rest + strlen(rest) - 2, "\"}");
    }
    assert_int_equal(lines + log_dropped(p->log), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(quiet_is_what_needs_a_person, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(writes_json, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(escapes_json, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(fields_become_members, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_field_that_does_not_fit_is_left_out, open_pipe,
                                        close_pipe),
        cmocka_unit_test_setup_teardown(components_have_levels_of_their_own, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(cuts_long_lines_whole, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(keeps_to_its_least_severity, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(drops_what_nobody_reads, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(outlives_its_reader, open_pipe, close_pipe),
        cmocka_unit_test(writes_for_people_on_a_terminal),
        cmocka_unit_test(never_waits_for_a_terminal),
        cmocka_unit_test(never_waits_for_a_terminal_it_cannot_open),
        cmocka_unit_test_setup_teardown(never_mixes_lines_of_threads, open_pipe, close_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
