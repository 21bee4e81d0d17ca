/* .env files: every quoting form, every oddity, and every byte of a prefix. */
#include "fixture.h"

#include <stdlib.h>

#include "settings/dotenv.h"

struct row {
    const char *text;
    const char *name, *value; /* value NULL: a problem */
    unsigned line;
};

static void check_row(const struct row *row)
{
    struct arena arena = {0};
    struct dotenv d;
    struct dotenv_line line;
    bool no_memory = false;

    dotenv_init(&d, slice_str(row->text), &arena);
    if (!dotenv_next(&d, &line, &no_memory))
        fail_msg("nothing in <%s>", row->text);
    if ((line.problem == NULL) != (row->value != NULL))
        fail_msg("<%s>: %s", row->text, line.problem ? line.problem : "no problem");
    if (!slice_eq(line.name, slice_str(row->name)))
        fail_msg("<%s>: name <%.*s>", row->text, (int)line.name.len, line.name.ptr);
    if (row->value && !slice_eq(line.value, slice_str(row->value)))
        fail_msg("<%s>: value <%.*s>", row->text, (int)line.value.len, line.value.ptr);
    assert_int_equal(line.line, row->line);
    assert_false(no_memory);
    arena_clear(&arena);
}

static void reads_every_form(void **state)
{
    static const struct row rows[] = {
        {"A=b", "A", "b", 1},
        {"A=b\n", "A", "b", 1},
        {"A=b\r\n", "A", "b", 1},
        {"\xEF\xBB\xBF"
         "A=b",
         "A", "b", 1},
        {"\n\n# c\n \t# d\r\nA=b", "A", "b", 5},
        {"  A = b  ", "A", "b", 1},
        {"\tA\t=\tb c\t", "A", "b c", 1},
        {"export A=b", "A", "b", 1},
        {"export\tA = b", "A", "b", 1},
        {"export=b", "export", "b", 1},
        {"export = b", "export", "b", 1},
        {"A=", "A", "", 1},
        {"A=   ", "A", "", 1},
        {"A= # nothing", "A", "", 1},
        {"A=b # comment", "A", "b", 1},
        {"A=b\t# comment", "A", "b", 1},
        {"A=b#c", "A", "b#c", 1},
        {"A=#b", "A", "#b", 1},
        {"A=b=c==", "A", "b=c==", 1},
        {"A=$HOME", "A", "$HOME", 1},
        {"A=b\\n", "A", "b\\n", 1},
        {"A=it's", "A", "it's", 1},
        {"_a.b-1=x", "_a.b-1", "x", 1},
        {"A='b'", "A", "b", 1},
        {"A=''", "A", "", 1},
        {"A=' b '", "A", " b ", 1},
        {"A='b # c'", "A", "b # c", 1},
        {"A='b' # c", "A", "b", 1},
        {"A='b'\r\n", "A", "b", 1},
        {"A='b\\n\\\\\\''", "A", "b\\n\\'", 1},
        {"A='\"'", "A", "\"", 1},
        {"A=\"b\"", "A", "b", 1},
        {"A=\"\"", "A", "", 1},
        {"A=\" b \"", "A", " b ", 1},
        {"A=\"b # c\" # d", "A", "b # c", 1},
        {"A=\"\\n\\r\\t\\\"\\\\\\$\"", "A", "\n\r\t\"\\$", 1},
        {"A=\"\\x\\'\"", "A", "\\x\\'", 1},
        {"A=\"b\nc\"", "A", "b\nc", 1},
        {"A=\"it's\"", "A", "it's", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

static void names_what_is_wrong(void **state)
{
    static const struct row rows[] = {
        {"A", "A", NULL, 1},      {"A b", "A", NULL, 1},           {"=b", "", NULL, 1},
        {"1A=b", "", NULL, 1},    {"export", "export", NULL, 1},   {"export 1=2", "", NULL, 1},
        {"\nA='b", "A", NULL, 2}, {"A=\"b", "A", NULL, 1},         {"A=\"b\\\"", "A", NULL, 1},
        {"A='b'c", "A", NULL, 1}, {"A=\"b\" \"c\"", "A", NULL, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

static void refuses_zero_bytes(void **state)
{
    static const char text[] = "A=b\0c";
    struct arena arena = {0};
    struct dotenv d;
    struct dotenv_line line;
    bool no_memory = false;

    (void)state;
    dotenv_init(&d, slice_of(text, sizeof text - 1), &arena);
    assert_true(dotenv_next(&d, &line, &no_memory));
    assert_string_equal(line.problem, "the value has a zero byte");
    arena_clear(&arena);
}

static void goes_on_behind_a_fault(void **state)
{
    struct arena arena = {0};
    struct dotenv d;
    struct dotenv_line line;
    bool no_memory = false;

    (void)state;
    dotenv_init(&d, SLICE("A=\"open\nB=\"two\nlines\"\r\nrubbish\nC=3"), &arena);
    assert_true(dotenv_next(&d, &line, &no_memory)); /* closes at B's quote, then `two` follows */
    assert_true(slice_eq(line.name, SLICE("A")));
    assert_non_null(line.problem);
    while (dotenv_next(&d, &line, &no_memory) && !slice_eq(line.name, SLICE("C")))
        assert_non_null(line.problem);
    assert_null(line.problem);
    assert_int_equal(line.line, 5);
    assert_true(slice_eq(line.value, SLICE("3")));
    assert_false(dotenv_next(&d, &line, &no_memory));
    arena_clear(&arena);
}

/* Any prefix of a file, in memory of exactly its size: never a read beyond, never without an end. */
static void reads_every_prefix(void **state)
{
    static const char text[] = "\xEF\xBB\xBF# c\r\nexport A = 'x\\'' # d\nB=\"\\n\\\"\"\r\nC=d #\n";

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        struct arena arena = {0};
        struct dotenv d;
        struct dotenv_line line;
        bool no_memory = false;
        unsigned lines = 0;
        char *exact = malloc(len + !len);

        assert_non_null(exact);
        memcpy(exact, text, len);
        dotenv_init(&d, slice_of(exact, len), &arena);
        while (dotenv_next(&d, &line, &no_memory))
            assert_true(++lines <= 5);
        free(exact);
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form),   cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(refuses_zero_bytes), cmocka_unit_test(goes_on_behind_a_fault),
        cmocka_unit_test(reads_every_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
