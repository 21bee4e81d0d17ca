#include "gateway/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/loop.h"

enum { MINUTE_MS = 60000, TRACK_MIN = 64, REFRESH_SHARE = 4 };

/* The counters of a key as of the last look. */
struct track {
    uint64_t fingerprint; /* 0 = free */
    uint64_t requests, successes;
    uint32_t look; /* the last that saw it */
};

/* By fingerprint, open addressing. */
struct tracks {
    struct track *slots;
    size_t capacity, count; /* capacity: a power of two, at least twice the count */
};

struct recorder {
    struct keyring *ring;
    struct log *log;
    struct history *history;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    bool stop;
    bool failing; /* the last look could not be written */
    int64_t looked_ns, look_took_ns;
    uint32_t looks;
    struct tracks tracks;
    uint64_t rest_requests, rest_successes; /* of keys that are not tracked, as of the last look */
    /* Of the present minute: which keys are told apart, and what is not written yet. */
    struct history_minute minute;
    struct history_key keys[HISTORY_KEYS_PER_MINUTE];
    /* Of the present look. */
    struct tally tally;
    struct key_sample samples[RECORDER_SLICE];
};

static int64_t now_ns(void)
{
    return (int64_t)uv_hrtime();
}

/* ---- what was known of a key ------------------------------------------------------------- */

static struct track *place_of(const struct tracks *t, uint64_t fingerprint)
{
    size_t at = (size_t)fingerprint & (t->capacity - 1);

    while (t->slots[at].fingerprint && t->slots[at].fingerprint != fingerprint)
        at = (at + 1) & (t->capacity - 1);
    return &t->slots[at];
}

/* Room for `more`: a new table with those that the last look saw. False: no memory. */
static bool make_room(struct tracks *t, size_t more, uint32_t last_look)
{
    struct tracks next = {.capacity = TRACK_MIN};

    if (t->capacity && (t->count + more) * 2 <= t->capacity)
        return true;
    while (next.capacity < (t->count + more) * 2)
        next.capacity *= 2;
    next.slots = calloc(next.capacity, sizeof *next.slots);
    if (!next.slots)
        return false;
    for (size_t i = 0; i < t->capacity; i++) {
        if (!t->slots[i].fingerprint || last_look - t->slots[i].look > 1)
            continue;
        *place_of(&next, t->slots[i].fingerprint) = t->slots[i];
        next.count++;
    }
    free(t->slots);
    *t = next;
    return true;
}

/* The key's track, new ones at zero; NULL: it is not tracked. */
static struct track *track_of(struct recorder *r, uint64_t fingerprint)
{
    struct tracks *t = &r->tracks;

    if (!fingerprint || !make_room(t, 1, r->looks))
        return NULL;
    struct track *track = place_of(t, fingerprint);
    if (!track->fingerprint) {
        if (t->count == RECORDER_TRACKED_MAX)
            return NULL;
        *track = (struct track){.fingerprint = fingerprint};
        t->count++;
    }
    track->look = r->looks;
    return track;
}

/* Counters that went back are those of a key that was dropped and came again. */
static uint64_t growth(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

/* ---- a look ------------------------------------------------------------------------------ */

/* Where the key's counts of this minute go. */
static struct history_counts *counts_of(struct recorder *r, const struct key_sample *sample)
{
    struct history_key *key = NULL;

    for (size_t i = 0; i < r->minute.key_count && !key; i++) {
        if (r->keys[i].fingerprint == sample->fingerprint)
            key = &r->keys[i];
    }
    if (!key && r->minute.key_count == HISTORY_KEYS_PER_MINUTE)
        return &r->minute.other;
    if (!key) {
        key = &r->keys[r->minute.key_count++];
        *key = (struct history_key){.fingerprint = sample->fingerprint};
        (void)slice_copy(slice_str(sample->mask), key->mask, sizeof key->mask);
        (void)slice_copy(slice_str(sample->name), key->name, sizeof key->name);
    }
    return &key->counts;
}

static void record(struct recorder *r, const struct key_sample *sample,
                   const struct history_counts *counts)
{
    history_counts_add(&r->minute.all, counts);
    history_counts_add(counts_of(r, sample), counts);
}

static void look_at(struct recorder *r, const struct key_sample *sample, uint64_t rest[2])
{
    struct history_counts counts = {0};
    struct tally_row *row = tally_find(&r->tally, sample->fingerprint);
    struct track *track = track_of(r, sample->fingerprint);

    if (row)
        tally_move(row, &counts);
    if (track) {
        counts.requests = growth(track->requests, sample->requests);
        counts.successes = growth(track->successes, sample->successes);
        track->requests = sample->requests;
        track->successes = sample->successes;
    } else {
        rest[0] += sample->requests;
        rest[1] += sample->successes;
    }
    if (!history_is_nothing(&counts))
        record(r, sample, &counts);
}

/* Of keys that are not tracked, or are gone. */
static void record_rest(struct recorder *r, const uint64_t rest[2])
{
    struct history_counts counts = {.requests = growth(r->rest_requests, rest[0]),
                                    .successes = growth(r->rest_successes, rest[1])};

    r->rest_requests = rest[0];
    r->rest_successes = rest[1];
    for (size_t i = 0; i < TALLY_SLOTS; i++)
        tally_move(&r->tally.rows[i], &counts);
    tally_move(&r->tally.rest, &counts);
    history_counts_add(&r->minute.all, &counts);
    history_counts_add(&r->minute.other, &counts);
}

static void look_at_all(struct recorder *r)
{
    uint64_t rest[2] = {0};
    size_t first = 0, count;

    r->looks++;
    keyring_take_tally(r->ring, &r->tally);
    do {
        count = keyring_sample(r->ring, first, r->samples, RECORDER_SLICE);
        for (size_t i = 0; i < count; i++)
            look_at(r, &r->samples[i], rest);
        first += count;
    } while (count == RECORDER_SLICE);
    record_rest(r, rest);
}

static void forget_counts(struct recorder *r)
{
    r->minute.all = r->minute.other = (struct history_counts){0};
    for (size_t i = 0; i < r->minute.key_count; i++)
        r->keys[i].counts = (struct history_counts){0};
}

/* Trouble is told when it begins and when it is over. */
static void tell(struct recorder *r, enum status status, const struct buffer *warning)
{
    bool failed = status != STATUS_OK;

    if (warning->len && !(failed && r->failing))
        log_line(r->log, LOG_SEVERITY_WARN, "history", "%.*s%s", (int)warning->len, warning->data,
                 failed ? "; what happens meanwhile is not remembered" : "");
    else if (r->failing && !failed)
        log_line(r->log, LOG_SEVERITY_INFO, "history", "is kept again");
    r->failing = failed;
}

/* What could not be written is tried again with the next look, as long as the minute lasts. */
static void write_minute(struct recorder *r)
{
    struct buffer warning = {0};

    if (history_is_nothing(&r->minute.all))
        return;
    enum status status = history_add(r->history, &r->minute, &warning);
    tell(r, status, &warning);
    if (status == STATUS_OK)
        forget_counts(r);
    buffer_clear(&warning);
}

static void look(struct recorder *r)
{
    int64_t begun_ns = now_ns(), minute = (net_wall_ms() - RECORDER_GRACE_MS) / MINUTE_MS;

    if (minute != r->minute.minute) {
        write_minute(r);
        forget_counts(r);
        r->minute.minute = minute;
        r->minute.key_count = 0;
    }
    look_at_all(r);
    write_minute(r);
    r->looked_ns = now_ns();
    r->look_took_ns = r->looked_ns - begun_ns;
}

/* ---- the thread -------------------------------------------------------------------------- */

/* Until the next look: also right behind the end of a minute, so that each gets what is its own. */
static int64_t pause_ms(const struct recorder *r)
{
    int64_t share_ms = r->look_took_ns * RECORDER_SHARE / 1000000;
    int64_t to_minute_ms = MINUTE_MS - net_wall_ms() % MINUTE_MS;

    if (share_ms > RECORDER_LOOK_MS)
        return share_ms;
    return to_minute_ms < RECORDER_LOOK_MS ? to_minute_ms : RECORDER_LOOK_MS;
}

/* With the lock. */
static void pause_until_next(struct recorder *r)
{
    struct timespec until;
    int64_t ms = pause_ms(r);

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!r->stop && pthread_cond_timedwait(&r->wake, &r->lock, &until) != ETIMEDOUT)
        ;
}

static void *run(void *argument)
{
    struct recorder *r = argument;

    pthread_mutex_lock(&r->lock);
    do {
        pause_until_next(r);
        look(r); /* also the last one, when it is to stop */
    } while (!r->stop);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

void recorder_refresh(struct recorder *r)
{
    pthread_mutex_lock(&r->lock);
    if (now_ns() - r->looked_ns > r->look_took_ns * REFRESH_SHARE)
        look(r);
    pthread_mutex_unlock(&r->lock);
}

struct history *recorder_history(struct recorder *r)
{
    return r->history;
}

/* ---- beginning and end ------------------------------------------------------------------- */

static enum status open_history(struct recorder *r, const struct settings *settings)
{
    int64_t minute = net_wall_ms() / MINUTE_MS;
    struct buffer warning = {0};
    enum status status =
        history_open(settings->state_file, settings->history_days, minute, &warning, &r->history);

    if (warning.len)
        log_line(r->log, LOG_SEVERITY_WARN, "history", "%.*s%s", (int)warning.len, warning.data,
                 status == STATUS_OK ? "" : "; the last day is remembered in memory only");
    if (status == STATUS_IO && settings->state_file)
        status = history_open(NULL, 0, minute, &warning, &r->history);
    buffer_clear(&warning);
    return status;
}

static void init_locks(struct recorder *r)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void recorder_free(struct recorder *r)
{
    history_close(r->history);
    free(r->tracks.slots);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum status recorder_start(const struct settings *settings, struct keyring *ring, struct log *log,
                           struct recorder **ret_recorder)
{
    *ret_recorder = NULL;
    if (settings->history_days == 0)
        return STATUS_OK;
    struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return STATUS_NO_MEMORY;
    init_locks(r);
    r->ring = ring;
    r->log = log;
    r->minute.keys = r->keys;
    enum status status = open_history(r, settings);
    if (status == STATUS_OK)
        keyring_fingerprint_by(ring, history_seed(r->history));
    if (status == STATUS_OK && pthread_create(&r->thread, NULL, run, r) != 0)
        status = STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        recorder_free(r);
    else
        *ret_recorder = r;
    return status;
}

void recorder_stop(struct recorder *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    (void)pthread_join(r->thread, NULL);
    recorder_free(r);
}
