#include "client/client_state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "client/call.h"
#include "client/compose.h"
#include "client/fault.h"
#include "client/sources.h"

const char *sparekey_version(void)
{
    return SPAREKEY_VERSION;
}

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- origins ----------------------------------------------------------------------------- */

static struct origin *origin_new(const char *proxy)
{
    struct origin *origin = calloc(1, sizeof *origin);

    if (!origin)
        return NULL;
    atomic_init(&origin->references, 1);
    origin->proxy = proxy ? strdup(proxy) : NULL;
    if ((proxy && !origin->proxy) || vault_new(&origin->vault) != STATUS_OK) {
        free(origin->proxy);
        free(origin);
        return NULL;
    }
    return origin;
}

static void origin_unref(struct origin *origin)
{
    if (!origin || atomic_fetch_sub(&origin->references, 1) > 1)
        return;
    settings_unref(origin->settings);
    vault_free(origin->vault);
    free(origin->proxy);
    free(origin);
}

/* ---- what the keyring tells -------------------------------------------------------------- */

/* Any thread; the keyring holds no lock. Nobody waits: nobody is woken. */
static void wake_waiting(void *context)
{
    sparekey_client *client = context;

    if (atomic_load(&client->waiting) == 0)
        return;
    pthread_mutex_lock(&client->lock);
    for (struct list *at = client->busy.next; at != &client->busy; at = at->next)
        lane_wake(container_of(at, struct lane, link), LANE_CHANGED);
    pthread_mutex_unlock(&client->lock);
}

static void news(void *context, const struct pool_transition *t, const struct key_entry *entry)
{
    sparekey_client *client = context;

    notices_health(&client->notices, t, entry);
}

static void readiness(void *context, bool ready)
{
    sparekey_client *client = context;

    notices_log(&client->notices, ready ? NOTICE_INFO : NOTICE_ERROR,
                ready ? "recovered" : "all_down",
                ready ? "a key is ready again" : "no key is ready any more");
}

static void listen_to_ring(sparekey_client *client)
{
    struct keyring_watch watch = {.news = news, .readiness = readiness, .context = client};

    if (client->notices.wanted)
        keyring_watch(client->ring, &watch);
}

/* ---- life -------------------------------------------------------------------------------- */

static void destroy(sparekey_client *client)
{
    while (!list_empty(&client->idle)) {
        struct lane *lane = container_of(client->idle.next, struct lane, link);
        list_remove(&lane->link);
        lane_free(lane);
    }
    lane_free(client->background);
    keyring_free(client->ring);
    origin_unref(client->origin);
    notices_fini(&client->notices);
    pthread_cond_destroy(&client->left);
    pthread_mutex_destroy(&client->lock);
    free(client);
    curl_global_cleanup();
}

/* `key`: of the origin's, the only one; NULL: all of them. Takes over the reference to the origin. */
static int make(struct origin *origin, struct key_setting *key,
                const sparekey_client_options *hooks, sparekey_client **ret_client,
                sparekey_error *error)
{
    sparekey_client *client = calloc(1, sizeof *client);

    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        origin_unref(origin);
        return fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    }
    client->origin = origin;
    client->settings = *origin->settings;
    client->settings.health_interval_ms = 0; /* real requests prove what free probes would */
    if (key) {
        client->settings.keys = key;
        client->settings.key_count = 1;
        client->settings.fallback_enabled = false;
    }
    client->process = getpid();
    client->users = 1;
    notices_init(&client->notices, hooks);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->left, NULL);
    list_init(&client->idle);
    list_init(&client->busy);
    enum status status =
        keyring_new(&client->settings, now_ns(), wake_waiting, client, &client->ring);
    if (status != STATUS_OK) {
        destroy(client);
        return fault_status(error, status, SPAREKEY_ERROR_SETTINGS, "loading the keys");
    }
    listen_to_ring(client);
    *ret_client = client;
    return SPAREKEY_OK;
}

static void tell_warnings(sparekey_client *client, const struct buffer *warnings)
{
    struct slice rest = buffer_slice(warnings), line;

    while (slice_next_item(&rest, '\n', &line)) {
        if (line.len)
            notices_log(&client->notices, NOTICE_WARNING, "settings", "%.*s", (int)line.len,
                        line.ptr);
    }
    notices_tell(&client->notices);
}

/* The first complaint, and how many there are. */
static int settings_fault(sparekey_error *error, enum status status, const struct buffer *errors)
{
    struct slice rest = buffer_slice(errors), line = slice_of("", 0);
    unsigned more = 0;

    if (status != STATUS_INVALID)
        return fault_status(error, status, SPAREKEY_ERROR_SETTINGS, "reading the settings");
    (void)slice_next_item(&rest, '\n', &line);
    for (size_t i = 0; i + 1 < rest.len; i++)
        more += rest.ptr[i] == '\n';
    more += rest.len > 1;
    if (more)
        return fault_set(error, SPAREKEY_ERROR_SETTINGS, "%.*s (and %u more)", (int)line.len,
                         line.ptr, more);
    return fault_set(error, SPAREKEY_ERROR_SETTINGS, "%.*s", (int)line.len, line.ptr);
}

static int load_and_make(struct origin *origin, const struct settings_sources *sources,
                         const sparekey_client_options *options, sparekey_client **ret_client,
                         sparekey_error *error)
{
    struct settings_report report = {{0}, {0}};
    int code = SPAREKEY_OK;

    enum status status = settings_load(sources, origin->vault, &report, NULL, &origin->settings);
    if (status != STATUS_OK)
        code = settings_fault(error, status, &report.errors);
    else if (!origin->settings->key_count)
        code = fault_set(error, SPAREKEY_ERROR_SETTINGS,
                         "no API key: set OPENAI_API_KEY, or options.keys");
    if (code == SPAREKEY_OK) {
        code = make(origin, NULL, options, ret_client, error);
        if (code == SPAREKEY_OK)
            tell_warnings(*ret_client, &report.warnings);
    } else {
        origin_unref(origin);
    }
    settings_report_clear(&report);
    return code;
}

static int open_client(const sparekey_client_options *given, bool environment,
                       sparekey_client **ret_client, sparekey_error *error)
{
    sparekey_client_options options = sparekey_client_options_init();
    struct sources sources;
    int code = check_options(error, &options, sizeof options, given);

    if (code != SPAREKEY_OK)
        return code;
    if (!ret_client)
        return fault_argument(error, "ret_client", "is NULL");
    code = sources_make(&sources, &options, environment, error);
    if (code != SPAREKEY_OK)
        return code;
    struct origin *origin = origin_new(options.proxy);
    code = origin ? load_and_make(origin, &sources.settings, &options, ret_client, error)
                  : fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    sources_clear(&sources);
    return code;
}

int sparekey_client_new(const sparekey_client_options *options, sparekey_client **ret_client,
                        sparekey_error *error)
{
    if (!options)
        return fault_argument(error, "options", "is NULL");
    return open_client(options, false, ret_client, error);
}

int sparekey_client_from_environment(const sparekey_client_options *options,
                                     sparekey_client **ret_client, sparekey_error *error)
{
    return open_client(options, true, ret_client, error);
}

/* ---- direct clients ---------------------------------------------------------------------- */

static bool key_is_called(const struct key_setting *key, size_t index, const char *id)
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    uint64_t number;

    if (number_parse(slice_str(id), SIZE_MAX, &number) == STATUS_OK)
        return number == index;
    secret_mask(secret_bytes(key->secret), mask);
    return strcmp(key_name_text(key->traits->name, key->line, name), id) == 0 ||
           strcmp(mask, id) == 0;
}

/* The one key of this name; how many there are. */
static size_t find_key(const struct settings *settings, const char *id, size_t *ret_index)
{
    size_t found = 0;

    for (size_t i = 0; i < settings->key_count; i++) {
        if (!key_is_called(&settings->keys[i], i, id))
            continue;
        if (found++ == 0)
            *ret_index = i;
    }
    return found;
}

int sparekey_direct_client(sparekey_client *client, const char *key, sparekey_client **ret_client,
                           sparekey_error *error)
{
    sparekey_client_options silent = sparekey_client_options_init();
    size_t index = 0;

    if (!client || !ret_client)
        return fault_argument(error, client ? "ret_client" : "client", "is NULL");
    size_t found = key ? find_key(&client->settings, key, &index) : 1;
    if (found != 1)
        return fault_argument(error, "key",
                              found ? "several keys are called that; use a name or a place"
                                    : "no key is called that");
    atomic_fetch_add(&client->origin->references, 1);
    return make(client->origin, &client->settings.keys[index], &silent, ret_client, error);
}

/* ---- lanes ------------------------------------------------------------------------------- */

int client_usable(const sparekey_client *client)
{
    if (client->process != getpid())
        return SPAREKEY_ERROR_FORKED;
    return atomic_load(&client->closing) ? SPAREKEY_ERROR_CLOSED : SPAREKEY_OK;
}

struct lane *client_enter(sparekey_client *client)
{
    struct lane *lane = NULL;

    pthread_mutex_lock(&client->lock);
    client->users++;
    if (!list_empty(&client->idle)) {
        lane = container_of(client->idle.next, struct lane, link);
        list_remove(&lane->link);
        client->idle_count--;
        lane->runner = pthread_self();
        list_append(&client->busy, &lane->link);
    }
    pthread_mutex_unlock(&client->lock);
    if (lane)
        return lane;
    lane = lane_new(client, false);
    if (!lane) {
        client_leave(client, NULL);
        return NULL;
    }
    pthread_mutex_lock(&client->lock);
    lane->runner = pthread_self();
    list_append(&client->busy, &lane->link);
    pthread_mutex_unlock(&client->lock);
    return lane;
}

void client_leave(sparekey_client *client, struct lane *lane)
{
    pthread_mutex_lock(&client->lock);
    if (lane)
        list_remove(&lane->link);
    if (lane && client->idle_count < LANES_IDLE_MAX) {
        list_push(&client->idle, &lane->link);
        client->idle_count++;
        lane = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    lane_free(lane); /* while we count as a user: it needs the keyring */
    pthread_mutex_lock(&client->lock);
    bool last = --client->users == 0;
    if (atomic_load(&client->closing))
        pthread_cond_broadcast(&client->left);
    pthread_mutex_unlock(&client->lock);
    if (last) /* its owner has let go of it in a callback of ours */
        destroy(client);
}

/* ---- the background ---------------------------------------------------------------------- */

/* The thread's last act; as the last user it has nobody to be joined by. */
static void leave_background(sparekey_client *client)
{
    pthread_t self = client->thread;

    pthread_mutex_lock(&client->lock);
    list_remove(&client->background->link);
    bool last = --client->users == 0;
    pthread_cond_broadcast(&client->left);
    pthread_mutex_unlock(&client->lock);
    if (!last)
        return;
    (void)pthread_detach(self);
    destroy(client);
}

static void *run_background(void *argument)
{
    sparekey_client *client = argument;

    pthread_mutex_lock(&client->lock); /* whoever started us has written all down */
    struct lane *lane = client->background;
    pthread_mutex_unlock(&client->lock);
    struct pool_reader *before = lane_begin(lane);
    /* What is posted before `closing` is seen begins, and ends at once. */
    while (!atomic_load(&client->closing) || lane->call_count || atomic_load(&lane->wishes))
        lane_turn(lane, -1);
    lane_end(lane, before);
    leave_background(client);
    return NULL;
}

/* Under the lock. */
static bool start_background(sparekey_client *client, struct lane *lane)
{
    sigset_t all, before;

    client->background = lane;
    (void)sigfillset(&all); /* signals are for the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&client->thread, NULL, run_background, client);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        client->background = NULL;
        return false;
    }
    lane->runner = client->thread;
    client->users++;
    list_append(&client->busy, &lane->link);
    return true;
}

int client_background(sparekey_client *client, struct lane **ret_lane)
{
    pthread_mutex_lock(&client->lock);
    *ret_lane = client->background;
    pthread_mutex_unlock(&client->lock);
    if (*ret_lane)
        return SPAREKEY_OK;
    struct lane *lane = lane_new(client, false);
    if (!lane)
        return SPAREKEY_ERROR_SYSTEM;
    pthread_mutex_lock(&client->lock);
    if (!client->background && start_background(client, lane))
        lane = NULL;
    *ret_lane = client->background;
    pthread_mutex_unlock(&client->lock);
    lane_free(lane); /* another thread was first, or there is no thread to be had */
    return *ret_lane ? SPAREKEY_OK : SPAREKEY_ERROR_SYSTEM;
}

/* ---- the end ----------------------------------------------------------------------------- */

/* How many of the client's users are below us on this thread's stack. Under the lock. */
static unsigned users_of_this_thread(const sparekey_client *client)
{
    unsigned count = 0;

    for (const struct list *at = client->busy.next; at != &client->busy; at = at->next) {
        const struct lane *lane = container_of(at, struct lane, link);
        count += lane->clock < 0 && pthread_equal(lane->runner, pthread_self());
    }
    return count;
}

void sparekey_client_free(sparekey_client *client)
{
    if (!client || client->process != getpid())
        return;
    pthread_mutex_lock(&client->lock);
    atomic_store(&client->closing, true);
    for (struct list *at = client->busy.next; at != &client->busy; at = at->next)
        lane_wake(container_of(at, struct lane, link), LANE_CANCEL);
    unsigned ours = users_of_this_thread(client);
    while (client->users > ours + 1)
        pthread_cond_wait(&client->left, &client->lock);
    bool last = --client->users == 0;
    bool join = client->background && !pthread_equal(client->thread, pthread_self());
    pthread_t thread = client->thread;
    pthread_mutex_unlock(&client->lock);
    if (join) /* it has left, and is returning */
        (void)pthread_join(thread, NULL);
    if (last)
        destroy(client);
}
