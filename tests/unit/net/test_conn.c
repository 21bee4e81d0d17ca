#include "net_test.h"

#include <errno.h>
#include <stdio.h>

/* ---- bytes ---- */

static void echo_both_ways(void **state)
{
    (void)state;
    int pair[2];
    tcp_pair(pair);
    struct end *left = end_new(), *right = end_new();
    assert_int_equal(conn_accept(&left->conn, pair[0], NULL), STATUS_OK);
    assert_int_equal(conn_accept(&right->conn, pair[1], NULL), STATUS_OK);
    right->on_received = ACT_ECHO;
    end_write(left, "hello", 5);
    RUN_UNTIL(left->received_bytes == 5);
    assert_received(right, "hello");
    assert_received(left, "hello");
    end_write(right, ", left", 6);
    RUN_UNTIL(left->received_bytes == 11);
    assert_received(left, "hello, left");
    assert_int_equal(left->opened, 0);
    end_free(left);
    RUN_UNTIL(right->ended);
    assert_int_equal(right->ended_as, STATUS_EOF);
    end_free(right);
}

static void parts_keep_their_order(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    char text[32] = "GET /v1/models HTTP/1.1";
    struct iovec parts[] = {{text, 4}, {text, 0}, {text + 4, 11}, {text + 15, 8}};
    conn_write(&end->conn, parts, 4, 0);
    memset(text, 0, sizeof text); /* the caller's memory is free for reuse */
    assert_int_equal(read_all(peer, text, 23), 23);
    assert_string_equal(text, "GET /v1/models HTTP/1.1");
    (void)close(peer);
    end_free(end);
}

#define TRANSFER_BYTES (64u << 20)
#define TRANSFER_STEP  100000u

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 31 + (at >> 13));
}

/* Feeds until the high-water mark, as an owner should. */
static void pump_pattern(struct end *end)
{
    static unsigned char piece[TRANSFER_STEP];
    size_t *sent = end->user;
    while (*sent < TRANSFER_BYTES && conn_queued(&end->conn) <= CONN_HIGH_WATER) {
        size_t len =
            TRANSFER_BYTES - *sent < TRANSFER_STEP ? TRANSFER_BYTES - *sent : TRANSFER_STEP;
        for (size_t i = 0; i < len; i++)
            piece[i] = pattern(*sent + i);
        end_write(end, piece, len);
        *sent += len;
    }
}

static void a_large_transfer_under_back_pressure(void **state)
{
    (void)state;
    int pair[2];
    tcp_pair(pair);
    struct end *from = end_new(), *to = end_new();
    assert_int_equal(conn_accept(&from->conn, pair[0], NULL), STATUS_OK);
    assert_int_equal(conn_accept(&to->conn, pair[1], NULL), STATUS_OK);
    size_t sent = 0;
    from->user = &sent;
    from->pump = pump_pattern;
    conn_read_stop(&to->conn);
    pump_pattern(from);
    assert_true(conn_queued(&from->conn) > CONN_HIGH_WATER);
    assert_true(conn_queued(&from->conn) <= CONN_HIGH_WATER + TRANSFER_STEP);
    (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    assert_int_equal(to->received_bytes, 0); /* it does not read, so nothing moves */
    assert_int_equal(from->drained, 0);
    conn_read_start(&to->conn);
    RUN_UNTIL(to->received_bytes == TRANSFER_BYTES);
    assert_true(from->drained > 0);
    for (size_t i = 0; i < TRANSFER_BYTES; i++) {
        if ((unsigned char)to->received.data[i] != pattern(i))
            fail_msg("byte %zu is wrong", i);
    }
    RUN_UNTIL(conn_queued(&from->conn) == 0);
    end_free(from);
    end_free(to);
}

static void small_writes_to_a_slow_peer_arrive_in_order(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    size_t lines = 0, bytes = 0;
    char line[32];
    while (conn_queued(&end->conn) < 100000) {
        int len = snprintf(line, sizeof line, "line %zu\n", lines++);
        end_write(end, line, (size_t)len);
        bytes += (size_t)len;
    }
    assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
    char *all = malloc(bytes);
    size_t have = 0;
    while (have < bytes) {
        have += read_all(peer, all + have, bytes - have);
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    }
    size_t at = 0;
    for (size_t i = 0; i < lines; i++) {
        int len = snprintf(line, sizeof line, "line %zu\n", i);
        assert_memory_equal(all + at, line, (size_t)len);
        at += (size_t)len;
    }
    free(all);
    (void)close(peer);
    end_free(end);
}

/* ---- the cork ---- */

static size_t waiting_bytes(int fd)
{
    char text[NET_CORK_BYTES * 4];
    ssize_t count = recv(fd, text, sizeof text, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 ? 0 : (size_t)count;
}

static void corked_writes_wait_and_go_together(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    conn_cork(&end->conn);
    conn_cork(&end->conn);
    end_write(end, "one ", 4);
    end_write(end, "two ", 4);
    conn_uncork(&end->conn);
    assert_int_equal(waiting_bytes(peer), 0); /* the outermost uncork sends */
    end_write(end, "three", 5);
    conn_uncork(&end->conn);
    char text[32] = "";
    assert_int_equal(read(peer, text, sizeof text), 13); /* one segment */
    assert_string_equal(text, "one two three");
    conn_uncork(&end->conn); /* once too often is harmless */
    end_write(end, "now", 3);
    assert_int_equal(waiting_bytes(peer), 3);
    (void)close(peer);
    end_free(end);
}

static void a_large_write_takes_the_cork_along(void **state)
{
    (void)state;
    static char large[NET_CORK_BYTES];
    int peer;
    struct end *end = end_with_peer(&peer);
    memset(large, 'x', sizeof large);
    conn_cork(&end->conn);
    end_write(end, "head", 4);
    end_write(end, large, sizeof large);
    static char text[sizeof large + 5];
    assert_int_equal(read(peer, text, sizeof text), sizeof large + 4); /* while still corked */
    assert_memory_equal(text, "headxxxx", 8);
    conn_uncork(&end->conn);
    assert_int_equal(waiting_bytes(peer), 0);
    (void)close(peer);
    end_free(end);
}

static void corking_another_flushes_the_first(void **state)
{
    (void)state;
    int peer_a, peer_b;
    struct end *a = end_with_peer(&peer_a), *b = end_with_peer(&peer_b);
    conn_cork(&a->conn);
    end_write(a, "aaa", 3);
    conn_cork(&b->conn);
    assert_int_equal(waiting_bytes(peer_a), 3);
    end_write(b, "bb", 2);
    end_write(a, "a", 1); /* writing to another one flushes the corked one too */
    assert_int_equal(waiting_bytes(peer_b), 2);
    assert_int_equal(waiting_bytes(peer_a), 4);
    conn_cork(&b->conn);
    end_write(b, "dropped", 7);
    end_free(b); /* closing at once drops what is corked, and leaves the loop's cork usable */
    assert_null(net.corked);
    assert_int_equal(net.cork_len, 0);
    (void)close(peer_a);
    (void)close(peer_b);
    end_free(a);
}

static bool memory_holds(const char *memory, size_t len, const char *text)
{
    return memmem(memory, len, text, strlen(text)) != NULL;
}

static void a_corked_secret_is_wiped(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    memset(net.cork, 0, NET_CORK_BYTES);
    conn_cork(&end->conn);
    char secret[] = "sk-secret-one";
    conn_write(&end->conn, &(struct iovec){secret, 13}, 1, CONN_WRITE_SECRET);
    assert_true(memory_holds(net.cork, NET_CORK_BYTES, "sk-secret-one"));
    conn_uncork(&end->conn);
    assert_false(memory_holds(net.cork, NET_CORK_BYTES, "sk-secret-one"));
    assert_int_equal(waiting_bytes(peer), 13);
    (void)close(peer);
    end_free(end);
}

/* ---- ends ---- */

static void a_half_closed_peer_is_an_end(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    assert_int_equal(write(peer, "last", 4), 4);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    RUN_UNTIL(end->ended);
    assert_received(end, "last");
    assert_int_equal(end->ended_as, STATUS_EOF);
    end_write(end, "dropped", 7); /* ENDED: no bytes go out */
    assert_int_equal(waiting_bytes(peer), 0);
    (void)close(peer);
    end_free(end);
}

static void a_reset_is_told(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    reset_socket(peer);
    RUN_UNTIL(end->ended);
    assert_int_equal(end->ended_as, STATUS_RESET);
    assert_string_not_equal(conn_error_text(&end->conn), "");
    end_free(end);
}

static void a_reset_while_writing_is_told_from_the_loop(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    reset_socket(peer);
    for (int i = 0; i < 10; i++)
        end_write(end, "into the void", 13); /* asserts that nothing is called from inside */
    RUN_UNTIL(end->ended);
    assert_int_equal(end->ended_as, STATUS_RESET);
    end_free(end);
}

static void a_reset_is_told_although_reading_is_stopped(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    conn_read_stop(&end->conn);
    reset_socket(peer);
    for (int i = 0; i < 10; i++)
        end_write(end, "into the void", 13);
    RUN_UNTIL(end->ended);
    assert_int_equal(end->ended_as, STATUS_RESET);
    end_free(end);
}

static void a_reset_of_a_peer_that_blocks_us_is_told(void **state)
{
    (void)state;
    static char block[1u << 20];
    int peer;
    struct end *end = end_with_peer(&peer);
    conn_read_stop(&end->conn);
    while (conn_queued(&end->conn) <= CONN_HIGH_WATER)
        end_write(end, block, sizeof block);
    reset_socket(peer);
    RUN_UNTIL(end->ended);
    assert_int_equal(end->ended_as, STATUS_RESET);
    end_free(end);
}

/* The early answer of a server that refuses a body: it must be read although writing failed. */
static void an_answer_before_the_reset_is_read(void **state)
{
    (void)state;
    static char block[4u << 20];
    int peer;
    struct end *end = end_with_peer(&peer);
    assert_int_equal(write(peer, "413", 3), 3);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    end_write(end, block, sizeof block);
    RUN_UNTIL(end->receipts);
    assert_received(end, "413");
    RUN_UNTIL(end->ended);
    (void)close(peer);
    end_free(end);
}

static void nothing_is_told_after_close(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    assert_int_equal(write(peer, "late", 4), 4);
    conn_close(&end->conn);
    conn_close(&end->conn);
    conn_finish(&end->conn);
    conn_reset(&end->conn);
    end_write(end, "x", 1);
    RUN_UNTIL(end->closed);
    assert_int_equal(end->receipts + end->ended + end->opened, 0);
    (void)close(peer);
    end_free(end);
}

static void an_idle_connection_can_be_closed(void **state)
{
    (void)state;
    struct end *end = end_new();
    end->inside_call = true;
    conn_close(&end->conn);
    end->inside_call = false;
    RUN_UNTIL(end->closed);
    end_free(end);
}

static void closing_inside(enum act how, bool by_ended)
{
    int peer;
    struct end *end = end_with_peer(&peer);
    if (by_ended)
        end->on_ended = how;
    else
        end->on_received = how;
    assert_int_equal(write(peer, "bytes", 5), 5);
    if (by_ended || how == ACT_FINISH)
        (void)close(peer);
    RUN_UNTIL(end->closed);
    assert_int_equal(end->receipts, 1);
    assert_int_equal(end->ended, by_ended);
    if (!by_ended && how != ACT_FINISH)
        (void)close(peer);
    end_free(end);
}

static void close_inside_each_callback(void **state)
{
    (void)state;
    static const enum act ways[] = {ACT_CLOSE, ACT_RESET, ACT_FINISH};
    for (unsigned i = 0; i < 3; i++) {
        closing_inside(ways[i], false);
        closing_inside(ways[i], true);
    }
}

static void close_inside_drained(void **state)
{
    (void)state;
    static char block[1u << 20];
    int pair[2];
    tcp_pair(pair);
    struct end *from = end_new(), *to = end_new();
    assert_int_equal(conn_accept(&from->conn, pair[0], NULL), STATUS_OK);
    assert_int_equal(conn_accept(&to->conn, pair[1], NULL), STATUS_OK);
    from->on_drained = ACT_CLOSE;
    while (conn_queued(&from->conn) <= CONN_HIGH_WATER)
        end_write(from, block, sizeof block);
    RUN_UNTIL(from->closed);
    assert_int_equal(from->drained, 1);
    end_free(from);
    end_free(to);
}

/* ---- finish and reset ---- */

static void finish_sends_everything_first(void **state)
{
    (void)state;
    static char block[4u << 20];
    int pair[2];
    tcp_pair(pair);
    struct end *from = end_new(), *to = end_new();
    assert_int_equal(conn_accept(&from->conn, pair[0], NULL), STATUS_OK);
    assert_int_equal(conn_accept(&to->conn, pair[1], NULL), STATUS_OK);
    to->count_only = true;
    to->on_ended = ACT_CLOSE;
    end_write(from, block, sizeof block);
    assert_true(conn_queued(&from->conn) > 0);
    conn_cork(&from->conn);
    end_write(from, "end", 3); /* corked bytes go too */
    conn_finish(&from->conn);
    RUN_UNTIL(from->closed);
    RUN_UNTIL(to->closed);
    assert_int_equal(to->received_bytes, sizeof block + 3);
    assert_int_equal(to->ended_as, STATUS_EOF);
    assert_int_equal(from->ended, 0);
    end_free(from);
    end_free(to);
}

/* Unread bytes at close(2) mean RST, and a RST overtakes the answer. */
static void finish_does_not_reset_a_peer_that_still_sends(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    end_write(end, "answer", 6);
    assert_int_equal(write(peer, "more of the body", 16), 16);
    conn_finish(&end->conn);
    RUN_UNTIL(waiting_bytes(peer) == 6);
    (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    assert_int_equal(write(peer, "and more", 8), 8);
    (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    char text[16];
    assert_int_equal(read(peer, text, sizeof text), 6);
    assert_int_equal(read(peer, text, sizeof text), 0); /* a clean end, not ECONNRESET */
    assert_int_equal(end->closed, 0);
    (void)close(peer);
    RUN_UNTIL(end->closed);
    assert_int_equal(end->receipts, 0);
    end_free(end);
}

static void finish_gives_up_on_a_peer_that_stays(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    conn_finish(&end->conn);
    int64_t begun_ms = (int64_t)uv_now(&net.uv);
    RUN_UNTIL(end->closed);
    assert_in_range((int64_t)uv_now(&net.uv) - begun_ms, CONN_LINGER_MS - 1, CONN_LINGER_MS + 1000);
    (void)close(peer);
    end_free(end);
}

static void finish_gives_up_on_a_peer_that_does_not_read(void **state)
{
    (void)state;
    static char block[8u << 20];
    int peer;
    struct end *end = end_with_peer(&peer);
    end_write(end, block, sizeof block);
    assert_true(conn_queued(&end->conn) > 0);
    conn_finish(&end->conn);
    RUN_UNTIL(end->closed);
    (void)close(peer);
    end_free(end);
}

static void reset_sends_rst(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    conn_reset(&end->conn);
    RUN_UNTIL(end->closed);
    char byte;
    assert_int_equal(read(peer, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    (void)close(peer);
    end_free(end);
}

/* ---- out of memory ---- */

static bool memory_is_gone;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return memory_is_gone ? NULL : __real_malloc(size);
}

static void no_memory_for_the_queue_is_an_end(void **state)
{
    (void)state;
    static char block[8u << 20];
    int peer;
    struct end *end = end_with_peer(&peer);
    memory_is_gone = true;
    end_write(end, "taken by the socket", 19); /* needs none */
    assert_int_equal(waiting_bytes(peer), 19);
    end_write(end, block, sizeof block);
    memory_is_gone = false;
    end_write(end, "dropped", 7); /* after a gap in the stream nothing may follow */
    assert_int_equal(end->conn.state, CONN_OPEN);
    RUN_UNTIL(end->ended);
    assert_int_equal(end->ended_as, STATUS_NO_MEMORY);
    assert_int_equal(conn_queued(&end->conn), 0);
    (void)close(peer);
    end_free(end);
}

static void no_memory_to_linger_closes_at_once(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    end_write(end, "answer", 6);
    memory_is_gone = true;
    conn_finish(&end->conn);
    memory_is_gone = false;
    RUN_UNTIL(end->closed);
    assert_int_equal(waiting_bytes(peer), 6);
    (void)close(peer);
    end_free(end);
}

/* ---- the price of being idle ---- */

static void an_idle_connection_owns_nothing(void **state)
{
    (void)state;
    int peer;
    struct end *end = end_with_peer(&peer);
    end_write(end, "x", 1);
    assert_int_equal(write(peer, "y", 1), 1);
    RUN_UNTIL(end->receipts);
    assert_true(list_empty(&end->conn.writes));
    assert_true(list_empty(&end->conn.deferred));
    assert_null(end->conn.tls);
    assert_null(end->conn.dial);
    assert_null(end->conn.linger);
    assert_false(uv_is_active((uv_handle_t *)&net.deferred_idle));
    assert_false(uv_has_ref((uv_handle_t *)&net.tick));
    (void)close(peer);
    end_free(end);
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(echo_both_ways),
        NET_TEST(parts_keep_their_order),
        NET_TEST(a_large_transfer_under_back_pressure),
        NET_TEST(small_writes_to_a_slow_peer_arrive_in_order),
        NET_TEST(corked_writes_wait_and_go_together),
        NET_TEST(a_large_write_takes_the_cork_along),
        NET_TEST(corking_another_flushes_the_first),
        NET_TEST(a_corked_secret_is_wiped),
        NET_TEST(a_half_closed_peer_is_an_end),
        NET_TEST(a_reset_is_told),
        NET_TEST(a_reset_while_writing_is_told_from_the_loop),
        NET_TEST(a_reset_is_told_although_reading_is_stopped),
        NET_TEST(a_reset_of_a_peer_that_blocks_us_is_told),
        NET_TEST(an_answer_before_the_reset_is_read),
        NET_TEST(nothing_is_told_after_close),
        NET_TEST(an_idle_connection_can_be_closed),
        NET_TEST(close_inside_each_callback),
        NET_TEST(close_inside_drained),
        NET_TEST(finish_sends_everything_first),
        NET_TEST(finish_does_not_reset_a_peer_that_still_sends),
        NET_TEST(finish_gives_up_on_a_peer_that_stays),
        NET_TEST(finish_gives_up_on_a_peer_that_does_not_read),
        NET_TEST(reset_sends_rst),
        NET_TEST(no_memory_for_the_queue_is_an_end),
        NET_TEST(no_memory_to_linger_closes_at_once),
        NET_TEST(an_idle_connection_owns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
