#include "gateway/history_route.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/number.h"
#include "gateway/recorder.h"

enum { MINUTE_MS = 60000 };

/* What is asked for, and what came of it. */
struct question {
    struct recorder *recorder;
    size_t minutes, step, points; /* minutes = step * points */
    char key[HISTORY_NAME_MAX];   /* "": all together */
    enum status status;
    char *text;
};

/* ---- the document ------------------------------------------------------------------------ */

static uint64_t requests_of(const struct history_counts *c, int group)
{
    (void)group;
    return c->requests;
}

static uint64_t successes_of(const struct history_counts *c, int group)
{
    (void)group;
    return c->successes;
}

static uint64_t failures_of(const struct history_counts *c, int group)
{
    (void)group;
    return history_failures(c);
}

static uint64_t failovers_of(const struct history_counts *c, int group)
{
    (void)group;
    return c->failovers;
}

static uint64_t group_of(const struct history_counts *c, int group)
{
    return c->failures[group];
}

static json_t *array_of(const struct question *q, const struct history_counts *points,
                        uint64_t (*number)(const struct history_counts *c, int group), int group)
{
    json_t *array = json_array();

    for (size_t i = 0; i < q->points; i++)
        (void)json_array_append_new(array, json_integer((json_int_t)number(&points[i], group)));
    return array;
}

static json_t *times_of(const struct question *q, int64_t first)
{
    json_t *array = json_array();

    for (size_t i = 0; i < q->points; i++)
        (void)json_array_append_new(array,
                                    json_integer((first + (int64_t)(i * q->step)) * MINUTE_MS));
    return array;
}

static json_t *groups_of(const struct question *q, const struct history_counts *points)
{
    json_t *groups = json_object();

    for (int g = 0; g < HISTORY_GROUPS; g++)
        (void)json_object_set_new(groups, history_group_name((enum history_group)g),
                                  array_of(q, points, group_of, g));
    return groups;
}

static char *document(const struct question *q, const struct history_counts *points, int64_t first)
{
    json_t *root = json_pack(
        "{s:b, s:s?, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "success", 1, "key",
        *q->key ? q->key : NULL, "kept",
        history_is_file(recorder_history(q->recorder)) ? "file" : "memory", "minutes",
        (json_int_t)q->minutes, "stepMs", (json_int_t)q->step * MINUTE_MS, "time",
        times_of(q, first), "requests", array_of(q, points, requests_of, 0), "successes",
        array_of(q, points, successes_of, 0), "failures", array_of(q, points, failures_of, 0),
        "failovers", array_of(q, points, failovers_of, 0), "rateLimited",
        array_of(q, points, group_of, HISTORY_RATE_LIMITED), "failuresByClass",
        groups_of(q, points));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    return text;
}

/* Minutes become points, in place. */
static void sum_up(const struct question *q, struct history_counts *counts)
{
    for (size_t i = 0; i < q->points; i++) {
        struct history_counts sum = {0};
        for (size_t m = 0; m < q->step; m++)
            history_counts_add(&sum, &counts[i * q->step + m]);
        counts[i] = sum;
    }
}

/* ---- the route --------------------------------------------------------------------------- */

static void look_up(struct own_request *own)
{
    struct question *q = own->state;
    struct history_counts *counts = calloc(q->minutes, sizeof *counts);
    int64_t first = net_wall_ms() / MINUTE_MS + 1 - (int64_t)q->minutes;

    q->status = STATUS_NO_MEMORY;
    if (counts) {
        recorder_refresh(q->recorder);
        q->status = history_read(recorder_history(q->recorder), *q->key ? q->key : NULL, first,
                                 q->minutes, counts);
    }
    if (q->status == STATUS_OK) {
        sum_up(q, counts);
        q->text = document(q, counts, first);
        q->status = q->text ? STATUS_OK : STATUS_NO_MEMORY;
    }
    free(counts);
}

static void refuse(struct own_request *own, const struct question *q)
{
    if (q->status == STATUS_NOT_FOUND)
        own_reply_error(own, 404, "unknown_key", "The history knows no key of that name or mask%s.",
                        history_is_file(recorder_history(q->recorder))
                            ? ""
                            : ": single keys are remembered only in a file, SPAREKEY_STATE_FILE");
    else
        own_reply_error(own, 503, "history_unavailable", "The history cannot be read: %s.",
                        status_text(q->status));
}

static void reply(struct own_request *own)
{
    struct question q = *(struct question *)own->state;

    free(own->state);
    if (q.status == STATUS_OK)
        own_reply_json(own, 200, slice_str(q.text));
    else
        refuse(own, &q);
    free(q.text);
}

/* A whole number from 1 to `most`; false when it is something else. */
static bool read_number(const struct own_request *own, const char *name, size_t most, size_t *ret)
{
    char text[32];
    uint64_t number;

    if (!own_parameter(own, name, text, sizeof text))
        return true;
    if (number_parse(slice_str(text), most, &number) != STATUS_OK || number == 0)
        return false;
    *ret = (size_t)number;
    return true;
}

static bool read_question(struct own_request *own, struct question *q)
{
    q->minutes = HISTORY_MINUTES_DEFAULT;
    q->step = 1;
    if (!read_number(own, "minutes", HISTORY_MINUTES_MAX, &q->minutes) ||
        !read_number(own, "step", HISTORY_STEP_MAX, &q->step))
        return false;
    (void)own_parameter(own, "key", q->key, sizeof q->key);
    if (q->step > q->minutes)
        q->step = q->minutes;
    q->points = q->minutes / q->step;
    q->minutes = q->points * q->step;
    return true;
}

void history_answer(struct own_request *own)
{
    struct question *q = calloc(1, sizeof *q);

    if (!own->worker->shared->recorder) {
        own_reply_error(own, 404, "history_off", "No history is kept: SPAREKEY_HISTORY_DAYS is 0.");
    } else if (!q) {
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
    } else if (!read_question(own, q)) {
        own_reply_error(own, 400, "invalid_parameter",
                        "Expected minutes=1 … %d and step=1 … %d, whole numbers.",
                        HISTORY_MINUTES_MAX, HISTORY_STEP_MAX);
    } else {
        q->recorder = own->worker->shared->recorder;
        own->state = q;
        own_background(own, look_up, reply);
        return;
    }
    free(q);
}
