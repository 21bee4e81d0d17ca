/* Metrics: one table of everything /metrics says, what each worker counts, and the page's words.
 *
 *   worker's thread ──metric_add, histogram_add──▶ its own struct metrics
 *                                                       │ metrics_gather, any thread
 *                         figures of the moment ──▶ metrics_page ──▶ text 0.0.4 or OpenMetrics 1.0
 *
 * What always holds:
 * - a struct metrics is written by one thread, with relaxed stores, and read by any: a request takes
 *   no lock, no read-modify-write and no allocation for it. A reader may see one counter of a request
 *   and not yet another;
 * - the number of series is bounded whatever clients send and however many keys there are: labels
 *   are names out of tables, base URLs of the settings (METRICS_SERVICES_MAX), and the keys' names
 *   only up to METRICS_KEYS_MAX keys;
 * - every row of the table is on every page, also without a sample.
 */
#ifndef SPAREKEY_OBSERVE_METRICS_H
#define SPAREKEY_OBSERVE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define METRICS_PAGE_MAX     1048576 /* bytes of a page */
#define METRICS_KEYS_MAX     64      /* with more keys there are no series for each */
#define METRICS_SERVICES_MAX 64      /* base URLs with series of their own */
#define METRICS_FAMILIES     32      /* room for endpoint families … */
#define METRICS_FAILURES     32      /* … and for classes of attempts */
#define METRICS_BUCKETS_MAX  12

/* id, name, kind, labels (separated by commas), help. Counters end in _total. */
#define METRICS_TABLE(X)                                                                           \
    X(BUILD, "sparekey_build_info", GAUGE, "version", "1, labelled with the version that runs.")   \
    X(WORKERS, "sparekey_workers", GAUGE, "", "Threads that serve.")                               \
    X(START, "process_start_time_seconds", GAUGE, "",                                              \
      "When the gateway started, in seconds since 1970.")                                          \
    X(CPU, "process_cpu_seconds_total", COUNTER, "", "Processor time used, user and system.")      \
    X(MEMORY, "process_resident_memory_bytes", GAUGE, "", "Resident memory.")                      \
    X(REQUESTS, "sparekey_requests_total", COUNTER, "endpoint,class",                              \
      "Requests for OpenAI that ended, by endpoint family and class of the status the client "     \
      "got; "                                                                                      \
      "gone: it left before any.")                                                                 \
    X(IN_FLIGHT, "sparekey_requests_in_flight", GAUGE, "",                                         \
      "Requests for OpenAI that have begun and not ended, streams included.")                      \
    X(FIRST_BYTE, "sparekey_time_to_first_byte_seconds", HISTOGRAM, "",                            \
      "From a request's last byte to the first byte of its answer given to the client: all "       \
      "attempts and waits.")                                                                       \
    X(OVERHEAD, "sparekey_overhead_seconds", HISTOGRAM, "",                                        \
      "Of that, what the gateway adds by itself: time in which neither an attempt was with the "   \
      "upstream nor the request waited in line.")                                                  \
    X(WAIT, "sparekey_wait_seconds", HISTOGRAM, "",                                                \
      "Each wait of a request for a key to recover, for headroom or for a backoff.")               \
    X(ATTEMPTS, "sparekey_attempts_total", COUNTER, "verdict",                                     \
      "Attempts that were judged, by verdict; ok: served.")                                        \
    X(FAILOVERS, "sparekey_failovers_total", COUNTER, "",                                          \
      "Times a request moved on to another key.")                                                  \
    X(RESCUED, "sparekey_rescued_requests_total", COUNTER, "",                                     \
      "Requests served although an attempt had failed.")                                           \
    X(LAST_RESORT, "sparekey_last_resort_answers_total", COUNTER, "",                              \
      "Requests answered by the last resort (SPAREKEY_LAST_RESORT).")                              \
    X(GIVEN_UP, "sparekey_given_up_requests_total", COUNTER, "reason",                             \
      "Requests answered with an error of the gateway's own, by what stood in the way.")           \
    X(CUT, "sparekey_cut_answers_total", COUNTER, "",                                              \
      "Answers that broke off after their first byte had reached the client.")                     \
    X(CLIENTS, "sparekey_client_connections", GAUGE, "", "Open connections of clients.")           \
    X(UPSTREAMS, "sparekey_upstream_connections", GAUGE, "state",                                  \
      "Open connections to the upstream, by what they do.")                                        \
    X(DIALS, "sparekey_upstream_dials_total", COUNTER, "", "Connections opened to the upstream.")  \
    X(REUSES, "sparekey_upstream_reuses_total", COUNTER, "",                                       \
      "Attempts sent on a connection that was open already.")                                      \
    X(WAITING, "sparekey_waiting_requests", GAUGE, "",                                             \
      "Requests waiting for a key to recover, for headroom or for a backoff.")                     \
    X(BUFFERED, "sparekey_buffered_bytes", GAUGE, "",                                              \
      "Bytes of larger request bodies held for a possible replay.")                                \
    X(KEYS, "sparekey_keys", GAUGE, "condition", "Keys, by condition, as the health page counts.") \
    X(KEYS_READY, "sparekey_ready_keys", GAUGE, "",                                                \
      "Keys that can serve, for some model at least; with none the health page answers 503.")      \
    X(BREAKERS, "sparekey_breakers", GAUGE, "scope,state",                                         \
      "Circuit breakers that are not closed, by scope and state.")                                 \
    X(HEADROOM, "sparekey_headroom_ratio", GAUGE, "service,of",                                    \
      "Share of the known rate limits that is left: of the account with the least, and of all.")   \
    X(LOG_DROPPED, "sparekey_log_lines_dropped_total", COUNTER, "",                                \
      "Log lines lost because nobody read them in time.")                                          \
    X(RELOADS, "sparekey_reloads_total", COUNTER, "",                                              \
      "New settings applied to the running "                                                       \
      "gateway.")                                                                                  \
    X(SPANS, "sparekey_trace_spans_total", COUNTER, "result",                                      \
      "Spans: exported, dropped because the queue was full, or lost because the collector did "    \
      "not take them.")                                                                            \
    X(KEY_REQUESTS, "sparekey_key_attempts_total", COUNTER, "key,mask",                            \
      "Attempts that ended, of each key; only with at most 64 keys.")                              \
    X(KEY_FAILURES, "sparekey_key_failures_total", COUNTER, "key,mask",                            \
      "Of these, those that were no success; only with at most 64 keys.")                          \
    X(KEY_IN_FLIGHT, "sparekey_key_in_flight", GAUGE, "key,mask",                                  \
      "Attempts of each key in flight; only with at most 64 keys.")                                \
    X(KEY_READY, "sparekey_key_ready", GAUGE, "key,mask",                                          \
      "1 when the key can serve, for some model at least, else 0; only with at most 64 keys.")

enum metric {
#define X(id, ...) METRIC_##id,
    METRICS_TABLE(X)
#undef X
        METRIC_IDS, /* how many there are */
};

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *labels, *help;
};

extern const struct metric_row metrics_table[METRIC_IDS];

/* ---- what a worker counts ---------------------------------------------------------------- */

/* How the client was answered. */
enum metric_class {
    METRIC_CLASS_GONE,
    METRIC_CLASS_2XX,
    METRIC_CLASS_3XX,
    METRIC_CLASS_4XX,
    METRIC_CLASS_5XX,
    METRIC_CLASSES
};

struct histogram {
    uint64_t
        counts[METRICS_BUCKETS_MAX + 1]; /* by the first bound that is not less; the rest last */
    uint64_t sum_ns;
};

struct metrics {
    uint64_t begun;
    uint64_t requests[METRICS_FAMILIES][METRIC_CLASSES];
    uint64_t attempts[METRICS_FAILURES];
    uint64_t given_up[METRICS_FAILURES];
    uint64_t failovers, rescued, last_resorts, cut;
    struct histogram first_byte, overhead, wait;
};

static inline void metric_add(uint64_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* Ascending bounds, METRICS_BUCKETS_MAX of them: of the overhead, of everything else. */
extern const int64_t metrics_fine_ns[METRICS_BUCKETS_MAX];
extern const int64_t metrics_coarse_ns[METRICS_BUCKETS_MAX];

void histogram_add(struct histogram *histogram, const int64_t *bounds_ns, int64_t value_ns);

enum metric_class metric_class_of(int status); /* 0: gone */

/* Adds what `from`'s thread has counted so far to `sum`. Any thread. */
void metrics_gather(const struct metrics *from, struct metrics *sum);

/* ---- the page ---------------------------------------------------------------------------- */

struct metrics_page {
    bool openmetrics;
    struct buffer out;
    enum status status; /* the first failure; nothing is written after it */
    enum metric metric; /* of the present family */
};

/* A family begins: HELP, TYPE, UNIT. Its samples follow. */
void metrics_family(struct metrics_page *page, enum metric metric);

/* One sample of the present family; as many values as the row has labels, any text. */
void metrics_sample(struct metrics_page *page, double value, const char *const *label_values);
void metrics_histogram(struct metrics_page *page, const int64_t *bounds_ns,
                       const struct histogram *histogram);

/* The last line, where the form has one. */
void metrics_end(struct metrics_page *page);

/* Whether who sends this Accept field would rather have OpenMetrics than text 0.0.4. */
bool metrics_wants_openmetrics(struct slice accept);

#define METRICS_TEXT_TYPE        "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#ifdef __cplusplus
}
#endif
#endif
