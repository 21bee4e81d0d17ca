/* The table of log lines. That every name in the sources is in it is a lint check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "observe/events.h"
#include "observe/log_events.h"

static const char *const names[] = {
#define X(name, ...) name,
    LOG_EVENT_TABLE(X)
#undef X
};
enum { COUNT = sizeof names / sizeof names[0] };

static void names_are_sorted_and_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(i == 0 || strcmp(names[i - 1], names[i]) < 0);
        assert_string_equal(log_event_of(names[i]).name, names[i]);
    }
    assert_string_equal(log_event_of("new").name, "new");
    assert_int_equal(log_event_of("new").component, LOG_GATEWAY);
}

/* The same thing has the same name in both. */
static void events_are_logged_under_their_names(void **state)
{
    (void)state;
#define X(which, told_as, severity, part, ...)                                                     \
    assert_int_equal(log_event_of(told_as).component, part);                                       \
    assert_int_equal(event_severity(&(struct event){.kind = which}), severity);
    EVENT_TABLE(X)
#undef X
}

static void tags_follow_the_event_or_its_severity(void **state)
{
    (void)state;
    assert_string_equal(log_tag_text(TAG_KEYS, LOG_SEVERITY_WARN), "🔑 [OpenAI Key Manager]");
    assert_string_equal(log_tag_text(TAG_SUCCESS, LOG_SEVERITY_DEBUG), "✅ [Enhanced OpenAI]");
    assert_string_equal(log_tag_text(TAG_AUTO, LOG_SEVERITY_WARN), "⚠️ [Enhanced OpenAI]");
    assert_string_equal(log_tag_text(TAG_AUTO, LOG_SEVERITY_ERROR), "❌ [Enhanced OpenAI]");
    assert_string_equal(log_tag_text(TAG_AUTO, LOG_SEVERITY_INFO), "🔑 [OpenAI Key Manager]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sorted_and_found),
        cmocka_unit_test(events_are_logged_under_their_names),
        cmocka_unit_test(tags_follow_the_event_or_its_severity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
