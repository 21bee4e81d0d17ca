#include "mock_test.h"

#include "mock/yaml_json.h"

static void same_as_json(void **state)
{
    static const char *const rows[][2] = {
        {"", "{}"},
        {"# nothing\n", "{}"},
        {"a: 1\nb: -2\nc: 1.5\nd: 1e3\n", "{'a':1,'b':-2,'c':1.5,'d':1000.0}"},
        {"a: true\nb: false\nc: null\nd: ~\ne:\n",
         "{'a':true,'b':false,'c':null,'d':null,'e':null}"},
        {"a: \"1\"\nb: 'true'\nc: yes\nd: 1.2.3\ne: 12h\n",
         "{'a':'1','b':'true','c':'yes','d':'1.2.3','e':'12h'}"},
        {"a: 99999999999999999999\n", "{'a':1e20}"},
        {"a: 0x10\nb: nan\nc: -inf\nd: '-'\n", "{'a':'0x10','b':'nan','c':'-inf','d':'-'}"},
        {"- a\n- [b, {c: d}]\n", "['a',['b',{'c':'d'}]]"},
        {"a: |\n  x\n  y\n", "{'a':'x\\ny\\n'}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_json doc;
        json_t *want = json_of(rows[i][1]);
        assert_int_equal(yaml_json_read(&doc, slice_str(rows[i][0])), STATUS_OK);
        if (!json_equal(doc.root, want))
            fail_msg("%s", rows[i][0]);
        json_decref(want);
        yaml_json_clear(&doc);
    }
}

static void lines_are_remembered(void **state)
{
    struct yaml_json doc;

    (void)state;
    assert_int_equal(yaml_json_read(&doc, SLICE("a: 1\n\nb:\n  - c: 1\n    d: 2\n")), STATUS_OK);
    const json_t *b = json_object_get(doc.root, "b"), *item = json_array_get(b, 0);
    assert_int_equal(yaml_json_line(&doc, doc.root, "a"), 1);
    assert_int_equal(yaml_json_line(&doc, doc.root, "b"), 3);
    assert_int_equal(yaml_json_line(&doc, item, "d"), 5);
    assert_int_equal(yaml_json_line(&doc, item, "absent"), 4);
    assert_int_equal(yaml_json_line(&doc, b, ""), 4);
    assert_int_equal(yaml_json_line(&doc, NULL, "a"), 0);
    yaml_json_clear(&doc);
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *text;
        int line;
    } rows[] = {
        {"a: 1\na: 2\n", 2}, {"a: &x 1\nb: *x\n", 2}, {"a: 1\n---\nb: 2\n", 3},
        {"a: [1\n", 2},      {"[a]: 1\n", 1},         {"a: \"\\xff\n", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_json doc;
        assert_int_equal(yaml_json_read(&doc, slice_str(rows[i].text)), STATUS_INVALID);
        if (doc.error_line != rows[i].line)
            fail_msg("%s: line %d: %s", rows[i].text, doc.error_line, doc.error);
        assert_true(doc.error[0] != '\0');
        yaml_json_clear(&doc);
    }
}

static void depth_is_bounded(void **state)
{
    char text[2 * YAML_DEPTH_MAX + 16];
    struct yaml_json doc;

    (void)state;
    memset(text, '[', YAML_DEPTH_MAX + 2);
    memset(text + YAML_DEPTH_MAX + 2, ']', YAML_DEPTH_MAX + 2);
    assert_int_equal(yaml_json_read(&doc, slice_of(text, 2 * YAML_DEPTH_MAX + 4)), STATUS_INVALID);
    yaml_json_clear(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_json),
        cmocka_unit_test(lines_are_remembered),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
