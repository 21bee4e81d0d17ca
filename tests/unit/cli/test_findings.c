/* Findings: order, counts, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/findings.h"

static char *text_of(struct buffer *b)
{
    char *text = calloc(1, b->len + 1);

    assert_non_null(text);
    memcpy(text, b->data, b->len);
    buffer_clear(b);
    return text;
}

static void the_heaviest_come_first(void **state)
{
    struct findings f = {0};
    struct buffer out = {0};

    (void)state;
    findings_add(&f, SEVERITY_NOTE, "c", "there", "nothing", "see %d", 1);
    findings_add(&f, SEVERITY_ERROR, "a", "here", "mend it", "broken");
    findings_add(&f, SEVERITY_WARNING, "b", "here", "look", "odd");
    assert_true(findings_any(&f));
    assert_int_equal(findings_write(&f, 1, true, &out), STATUS_OK);
    char *text = text_of(&out);
    assert_string_equal(text, "error: here: broken [a]\n    mend it\n"
                              "warning: here: odd [b]\n    look\n"
                              "note: there: see 1 [c]\n    nothing\n"
                              "1 key checked: 1 errors, 1 warnings, 1 notes\n");
    free(text);
    findings_clear(&f);
}

static void notes_are_no_findings(void **state)
{
    struct findings f = {0};

    (void)state;
    assert_false(findings_any(&f));
    findings_add(&f, SEVERITY_NOTE, "c", "there", "nothing", "quiet");
    assert_false(findings_any(&f));
    findings_clear(&f);
}

static void too_many_are_counted(void **state)
{
    struct findings f = {0};
    struct buffer out = {0};

    (void)state;
    for (int i = 0; i < FINDINGS_MAX + 5; i++)
        findings_add(&f, SEVERITY_WARNING, "b", "key", "look", "odd %d", i);
    assert_int_equal(f.count, FINDINGS_MAX);
    assert_int_equal(findings_write(&f, 2000, false, &out), STATUS_OK);
    char *text = text_of(&out);
    assert_non_null(strstr(text, "and 5 more\n2000 keys checked (--live asks the service, too): 0 "
                                 "errors, 1005 warnings, 0 notes\n"));
    free(text);
    assert_int_equal(findings_write_json(&f, 2000, false, &out), STATUS_OK);
    text = text_of(&out);
    assert_non_null(strstr(text, "\"warnings\": 1005"));
    free(text);
    findings_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heaviest_come_first),
        cmocka_unit_test(notes_are_no_findings),
        cmocka_unit_test(too_many_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
