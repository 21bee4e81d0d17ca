#include "client/event_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[4096];
static size_t stop_at;

static bool note(void *context, const char *name, const char *data, size_t len)
{
    size_t *count = context;

    assert_int_equal(data[len], 0);
    (void)snprintf(said + strlen(said), sizeof said - strlen(said), "%s|%s;", name, data);
    return ++*count != stop_at;
}

static enum status feed(struct event_reader *r, struct slice bytes, size_t *count)
{
    return event_reader_feed(r, bytes, note, count);
}

#define STREAM                                                                                     \
    "\xEF\xBB\xBF: comment\nevent: one\ndata: a\ndata:b\n\nid: 7\ndata\n\n"                        \
    "event: nothing\n\ndata: {\"x\": 1}\r\n\r\ndata: cr\r\rdata: unfinished\n"
#define EVENTS "one|a\nb;|;|{\"x\": 1};|cr;"

/* However the bytes are cut, the events are the same. */
static void events_at_every_cut(void **state)
{
    struct slice all = slice_str(STREAM);

    (void)state;
    stop_at = 0;
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct event_reader r;
        size_t count = 0;
        event_reader_init(&r);
        said[0] = '\0';
        assert_int_equal(feed(&r, slice_of(all.ptr, cut), &count), STATUS_OK);
        assert_int_equal(feed(&r, slice_from(all, cut), &count), STATUS_OK);
        assert_string_equal(said, EVENTS);
        event_reader_fini(&r);
    }
}

static void byte_by_byte(void **state)
{
    struct slice all = slice_str(STREAM);
    struct event_reader r;
    size_t count = 0;

    (void)state;
    stop_at = 0;
    said[0] = '\0';
    event_reader_init(&r);
    for (size_t i = 0; i < all.len; i++)
        assert_int_equal(feed(&r, slice_of(all.ptr + i, 1), &count), STATUS_OK);
    assert_string_equal(said, EVENTS);
    event_reader_fini(&r);
}

static void the_sink_stops_it(void **state)
{
    struct event_reader r;
    size_t count = 0;

    (void)state;
    stop_at = 2;
    said[0] = '\0';
    event_reader_init(&r);
    assert_int_equal(feed(&r, SLICE("data: 1\n\ndata: 2\n\ndata: 3\n\n"), &count),
                     STATUS_CANCELLED);
    assert_string_equal(said, "|1;|2;");
    event_reader_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_at_every_cut),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(the_sink_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
