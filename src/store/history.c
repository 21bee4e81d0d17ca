#include "store/history.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ALL_ID = 0,
    OTHER_ID = 1,
    SCHEMA_VERSION = 1,
    MINUTES_PER_DAY = 1440,
    PRUNE_EVERY = 10,       /* minutes between two removals of what is too old */
    PRUNE_ROWS_MAX = 20000, /* at a time */
    REASON_MAX = 1024,
    PATH_SIZE = 4096 + 16,
};

struct history {
    pthread_mutex_t lock;
    sqlite3 *db;
    char *path;   /* NULL: in memory */
    bool opened;  /* the file at `path` was used: it is ours, whatever its bytes say by now */
    dev_t device; /* which file that was */
    ino_t inode;
    int64_t keep_minutes;
    int64_t pruned; /* the minute of the last removal */
    struct hash_seed seed;
};

/* ---- sums -------------------------------------------------------------------------------- */

void history_counts_add(struct history_counts *to, const struct history_counts *from)
{
    to->requests += from->requests;
    to->successes += from->successes;
    to->failovers += from->failovers;
    for (int g = 0; g < HISTORY_GROUPS; g++)
        to->failures[g] += from->failures[g];
}

uint64_t history_failures(const struct history_counts *counts)
{
    uint64_t sum = 0;

    for (int g = 0; g < HISTORY_GROUPS; g++)
        sum += counts->failures[g];
    return sum;
}

bool history_is_nothing(const struct history_counts *counts)
{
    return counts->requests == 0 && counts->successes == 0 && counts->failovers == 0 &&
           history_failures(counts) == 0;
}

/* ---- statements -------------------------------------------------------------------------- */

#define COLUMN(code, name)     "," #name
#define COLUMN_NEW(code, name) "," #name " INTEGER NOT NULL"
#define COLUMN_ADD(code, name) "," #name "=" #name "+excluded." #name
#define COLUMN_SUM(code, name) ",sum(m." #name ")"
#define COLUMN_ARG(code, name) ",?"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS salt(k0 INTEGER NOT NULL, k1 INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS keys(id INTEGER PRIMARY KEY, fingerprint INTEGER UNIQUE,"
    " mask TEXT NOT NULL, name TEXT NOT NULL, seen INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS minutes(key INTEGER NOT NULL, minute INTEGER NOT NULL,"
    " requests INTEGER NOT NULL, successes INTEGER NOT NULL, failovers INTEGER NOT "
    "NULL" HISTORY_GROUP_TABLE(
        COLUMN_NEW) ", PRIMARY KEY(key, minute)) WITHOUT ROWID;"
                    "INSERT OR IGNORE INTO keys VALUES(0,NULL,'','all',0),(1,NULL,'','other',0);"
                    "PRAGMA user_version=1;";

static const char add_key[] =
    "INSERT INTO keys(id,fingerprint,mask,name,seen) VALUES(NULL,?1,?2,?3,?4) "
    "ON CONFLICT(fingerprint) DO UPDATE SET mask=?2,name=?3,seen=?4 RETURNING id";

static const char add_minute[] =
    "INSERT INTO minutes(key,minute,requests,successes,failovers" HISTORY_GROUP_TABLE(
        COLUMN) ") VALUES(?,?,?,?,?" HISTORY_GROUP_TABLE(COLUMN_ARG) ") ON CONFLICT(key,minute) DO "
                                                                     "UPDATE SET "
                                                                     "requests=requests+excluded."
                                                                     "requests,successes=successes+"
                                                                     "excluded.successes,"
                                                                     "failovers=failovers+excluded."
                                                                     "failover"
                                                                     "s" HISTORY_GROUP_TABLE(
                                                                         COLUMN_ADD);

#define READ_SUMS                                                                                  \
    "SELECT m.minute,sum(m.requests),sum(m.successes),sum(m.failovers)" HISTORY_GROUP_TABLE(       \
        COLUMN_SUM) " FROM minutes m "

static const char read_all[] = READ_SUMS "WHERE m.key=0 AND m.minute>=?1 AND m.minute<?2 "
                                         "GROUP BY m.minute";
static const char read_key[] =
    READ_SUMS "WHERE m.key IN (SELECT id FROM keys WHERE id>1 AND (name=?3 OR mask=?3)) "
              "AND m.minute>=?1 AND m.minute<?2 GROUP BY m.minute";

static const char find_key[] = "SELECT 1 FROM keys WHERE id>1 AND (name=?1 OR mask=?1) LIMIT 1";

/* By key, so that the primary key finds them. */
static const char prune_minutes[] = "DELETE FROM minutes WHERE (key,minute) IN (SELECT m.key,"
                                    "m.minute FROM keys k JOIN minutes m ON m.key=k.id AND "
                                    "m.minute<?1 LIMIT ?2)";
static const char prune_keys[] = "DELETE FROM keys WHERE id>1 AND seen<?1 AND NOT EXISTS "
                                 "(SELECT 1 FROM minutes WHERE key=id)";

static sqlite3_stmt *prepare(struct history *h, const char *text)
{
    sqlite3_stmt *s = NULL;

    /* Fails with the reason in the connection; binding to and stepping NULL is an error, too. */
    (void)sqlite3_prepare_v2(h->db, text, -1, &s, NULL);
    return s;
}

/* Runs it to its end; SQLITE_OK, or why not. */
static int finish(struct history *h, sqlite3_stmt *s)
{
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);

    while (rc == SQLITE_ROW)
        rc = sqlite3_step(s);
    (void)sqlite3_finalize(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int run(struct history *h, const char *text)
{
    return sqlite3_exec(h->db, text, NULL, NULL, NULL);
}

/* ---- opening ----------------------------------------------------------------------------- */

static bool is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

static int read_salt(struct history *h)
{
    sqlite3_stmt *s = prepare(h, "SELECT k0,k1 FROM salt");
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);

    if (rc == SQLITE_ROW)
        h->seed = (struct hash_seed){(uint64_t)sqlite3_column_int64(s, 0),
                                     (uint64_t)sqlite3_column_int64(s, 1)};
    (void)sqlite3_finalize(s);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

static int make_salt(struct history *h)
{
    struct hash_seed seed = h->seed;

    /* A file that takes another's place keeps its salt: fingerprints were made with it. */
    if (!seed.k0 && !seed.k1 && getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return SQLITE_ERROR;
    sqlite3_stmt *s =
        prepare(h, "INSERT INTO salt SELECT ?1,?2 WHERE NOT EXISTS (SELECT 1 FROM salt)");
    if (s) {
        (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seed.k0);
        (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)seed.k1);
    }
    return finish(h, s);
}

/* What another program made and what a later version of this one did is left alone. */
static int check_owner(struct history *h)
{
    sqlite3_stmt *s = prepare(h, "SELECT (SELECT user_version FROM pragma_user_version), "
                                 "EXISTS(SELECT 1 FROM sqlite_master) AND NOT "
                                 "EXISTS(SELECT 1 FROM sqlite_master WHERE name='salt')");
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);
    bool later = rc == SQLITE_ROW && sqlite3_column_int(s, 0) > SCHEMA_VERSION;
    bool foreign = rc == SQLITE_ROW && sqlite3_column_int(s, 1);

    (void)sqlite3_finalize(s);
    if (rc != SQLITE_ROW)
        return rc;
    return foreign ? SQLITE_FORMAT : later ? SQLITE_MISMATCH : SQLITE_OK;
}

static const char *const parts[] = {"", "-wal", "-shm"}; /* a database and its side files */

/* Side files get the rights of the file, but some may be there already. */
static int make_private(const struct history *h)
{
    char part[PATH_SIZE];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(part, sizeof part, "%s%s", h->path, parts[i]);
        if (chmod(part, 0600) != 0 && errno != ENOENT)
            return SQLITE_PERM;
    }
    return SQLITE_OK;
}

static int prepare_file(struct history *h)
{
    (void)sqlite3_busy_timeout(h->db, HISTORY_BUSY_MS);
    (void)sqlite3_extended_result_codes(h->db, 1);
    int rc = check_owner(h);
    if (rc == SQLITE_OK && h->path)
        rc = make_private(h);
    if (rc == SQLITE_OK && h->path)
        rc = run(h, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                    "PRAGMA journal_size_limit=1048576;");
    if (rc == SQLITE_OK)
        rc = run(h, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK)
        rc = run(h, schema);
    if (rc == SQLITE_OK)
        rc = make_salt(h);
    if (rc == SQLITE_OK)
        rc = read_salt(h);
    if (rc == SQLITE_OK)
        rc = run(h, "COMMIT");
    return rc;
}

/* The path may be a slip, and what stands there somebody's own: only an empty file and a database
 * are touched. A new file is made here and not by SQLite, which leaves it to the umask who may read
 * it. NULL, or why the file cannot be used. */
static const char *check_file(const struct history *h)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    struct stat st;
    int fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

    if (fd < 0)
        return strerror(errno);
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    ssize_t len = regular ? pread(fd, head, sizeof head, 0) : -1;
    (void)close(fd);
    if (!regular)
        return "it is no regular file";
    if (len == 0 || h->opened || (len == sizeof head && memcmp(head, magic, sizeof head) == 0))
        return NULL;
    return "it is no database and stays as it is; SPAREKEY_STATE_FILE must name a file of "
           "sparekey's own, or none yet";
}

static int connect_file(struct history *h)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(h->path ? h->path : ":memory:", &h->db, flags, NULL);
    struct stat st;

    if (rc == SQLITE_OK)
        rc = prepare_file(h);
    if (rc == SQLITE_OK && h->path && stat(h->path, &st) == 0) {
        h->opened = true;
        h->device = st.st_dev;
        h->inode = st.st_ino;
    }
    return rc;
}

static void disconnect(struct history *h)
{
    (void)sqlite3_close(h->db);
    h->db = NULL;
}

/* The file and what belongs to it, under another name; one set aside before is replaced. */
static void set_aside(const struct history *h)
{
    char from[PATH_SIZE], to[PATH_SIZE];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(from, sizeof from, "%s%s", h->path, parts[i]);
        (void)snprintf(to, sizeof to, "%s.damaged%s", h->path, parts[i]);
        (void)unlink(to);
        (void)rename(from, to);
    }
}

static void warn(struct buffer *warning, const struct history *h, const char *what, const char *why)
{
    warning->len = 0;
    (void)!buffer_printf(warning, REASON_MAX, "%s%s %s: %s", h->path ? "" : "history ",
                         h->path ? h->path : "in memory", what, why);
}

static const char *reason_of(const struct history *h, int rc)
{
    if (rc == SQLITE_MISMATCH)
        return "it is of a later version of sparekey";
    if (rc == SQLITE_FORMAT)
        return "it is a database of another program; name another file in SPAREKEY_STATE_FILE";
    if (rc == SQLITE_PERM)
        return "it belongs to another user";
    return h->db ? sqlite3_errmsg(h->db) : sqlite3_errstr(rc);
}

/* In place of a damaged file. */
static int begin_anew(struct history *h, struct buffer *warning)
{
    disconnect(h);
    set_aside(h);
    warn(warning, h, "is damaged", "set aside under the same name with .damaged behind it");
    return check_file(h) ? SQLITE_CANTOPEN : connect_file(h);
}

static enum status open_file(struct history *h, struct buffer *warning)
{
    const char *wrong = h->path ? check_file(h) : NULL;

    if (wrong) {
        warn(warning, h, "cannot be opened", wrong);
        return STATUS_IO;
    }
    int rc = connect_file(h);
    if (is_damage(rc) && h->path)
        rc = begin_anew(h, warning);
    if (rc == SQLITE_OK)
        return STATUS_OK;
    warn(warning, h, "cannot be used", reason_of(h, rc));
    disconnect(h);
    return rc == SQLITE_NOMEM ? STATUS_NO_MEMORY : STATUS_IO;
}

/* How many rows went. */
static int prune_by(struct history *h, const char *text, int64_t before)
{
    sqlite3_stmt *s = prepare(h, text);

    if (!s)
        return 0;
    (void)sqlite3_bind_int64(s, 1, before);
    if (sqlite3_bind_parameter_count(s) > 1)
        (void)sqlite3_bind_int(s, 2, PRUNE_ROWS_MAX);
    return finish(h, s) == SQLITE_OK ? sqlite3_changes(h->db) : 0; /* what stays goes next time */
}

/* A file of a long time ago loses some at a time, so that nobody waits for it. */
static void prune(struct history *h, int64_t now_minute)
{
    int64_t before = now_minute - h->keep_minutes;
    bool all = prune_by(h, prune_minutes, before) < PRUNE_ROWS_MAX;

    (void)prune_by(h, prune_keys, before);
    h->pruned = all ? now_minute : now_minute - PRUNE_EVERY;
}

enum status history_open(const char *path, unsigned days, int64_t now_minute,
                         struct buffer *warning, struct history **ret_history)
{
    struct history *h = calloc(1, sizeof *h);

    if (!h)
        return STATUS_NO_MEMORY;
    h->path = path ? strdup(path) : NULL;
    h->keep_minutes = path ? (int64_t)days * MINUTES_PER_DAY : HISTORY_MEMORY_MINUTES;
    pthread_mutex_init(&h->lock, NULL);
    enum status status = path && !h->path ? STATUS_NO_MEMORY : open_file(h, warning);
    if (status != STATUS_OK) {
        history_close(h);
        return status;
    }
    prune(h, now_minute);
    *ret_history = h;
    return STATUS_OK;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    disconnect(h);
    pthread_mutex_destroy(&h->lock);
    free(h->path);
    free(h);
}

bool history_is_file(const struct history *h)
{
    return h->path != NULL;
}

struct hash_seed history_seed(const struct history *h)
{
    return h->seed;
}

/* ---- adding ------------------------------------------------------------------------------ */

static int add_row(struct history *h, int64_t id, int64_t minute, const struct history_counts *c)
{
    if (history_is_nothing(c))
        return SQLITE_OK;
    sqlite3_stmt *s = prepare(h, add_minute);
    if (s) {
        (void)sqlite3_bind_int64(s, 1, id);
        (void)sqlite3_bind_int64(s, 2, minute);
        (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)c->requests);
        (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)c->successes);
        (void)sqlite3_bind_int64(s, 5, (sqlite3_int64)c->failovers);
        for (int g = 0; g < HISTORY_GROUPS; g++)
            (void)sqlite3_bind_int64(s, 6 + g, (sqlite3_int64)c->failures[g]);
    }
    return finish(h, s);
}

/* The key's id, found or made. */
static int key_row(struct history *h, const struct history_key *key, int64_t minute,
                   int64_t *ret_id)
{
    sqlite3_stmt *s = prepare(h, add_key);

    if (!s)
        return sqlite3_errcode(h->db);
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)key->fingerprint);
    (void)sqlite3_bind_text(s, 2, key->mask, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 3, key->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 4, minute);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *ret_id = sqlite3_column_int64(s, 0);
    return rc == SQLITE_ROW ? finish(h, s) : finish(h, s) == SQLITE_OK ? SQLITE_ERROR : rc;
}

static int add_keys(struct history *h, const struct history_minute *m)
{
    int rc = SQLITE_OK;
    int64_t id = 0;

    for (size_t i = 0; i < m->key_count && rc == SQLITE_OK; i++) {
        rc = key_row(h, &m->keys[i], m->minute, &id);
        if (rc == SQLITE_OK)
            rc = add_row(h, id, m->minute, &m->keys[i].counts);
    }
    return rc == SQLITE_OK ? add_row(h, OTHER_ID, m->minute, &m->other) : rc;
}

static int add_all(struct history *h, const struct history_minute *m)
{
    int rc = run(h, "BEGIN IMMEDIATE");

    if (rc == SQLITE_OK)
        rc = add_row(h, ALL_ID, m->minute, &m->all);
    if (rc == SQLITE_OK && h->path)
        rc = add_keys(h, m);
    if (rc == SQLITE_OK)
        rc = run(h, "COMMIT");
    return rc;
}

/* Whether the file that is open is still the one at the path; else it is left, and whatever stands
 * there now is looked at anew. */
static void follow_path(struct history *h, struct buffer *warning)
{
    struct stat st;
    bool there = stat(h->path, &st) == 0;

    if (there && st.st_dev == h->device && st.st_ino == h->inode)
        return;
    warn(warning, h, there ? "was replaced" : "is not there any more",
         there ? "goes on in the file that is there now" : "a new one is begun");
    disconnect(h);
    h->opened = false;
}

/* `h->db` is NULL after a damaged file could not be replaced: the next one tries again. */
static enum status add_locked(struct history *h, const struct history_minute *m,
                              struct buffer *warning)
{
    if (h->db && h->path)
        follow_path(h, warning);
    if (!h->db && open_file(h, warning) != STATUS_OK)
        return STATUS_IO;
    int rc = add_all(h, m);
    if (is_damage(rc) && h->path) {
        rc = begin_anew(h, warning);
        if (rc == SQLITE_OK)
            rc = add_all(h, m);
    }
    if (rc == SQLITE_OK) {
        if (m->minute >= h->pruned + PRUNE_EVERY)
            prune(h, m->minute);
        return STATUS_OK;
    }
    warn(warning, h, "cannot be written", reason_of(h, rc));
    if (h->db)
        (void)run(h, "ROLLBACK");
    return STATUS_IO;
}

enum status history_add(struct history *h, const struct history_minute *m, struct buffer *warning)
{
    pthread_mutex_lock(&h->lock);
    enum status status = add_locked(h, m, warning);
    pthread_mutex_unlock(&h->lock);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------- */

static bool has_key(struct history *h, const char *key)
{
    sqlite3_stmt *s = prepare(h, find_key);

    if (s)
        (void)sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    bool found = s && sqlite3_step(s) == SQLITE_ROW;
    (void)sqlite3_finalize(s);
    return found;
}

static void take_row(sqlite3_stmt *s, struct history_counts *ret)
{
    ret->requests = (uint64_t)sqlite3_column_int64(s, 1);
    ret->successes = (uint64_t)sqlite3_column_int64(s, 2);
    ret->failovers = (uint64_t)sqlite3_column_int64(s, 3);
    for (int g = 0; g < HISTORY_GROUPS; g++)
        ret->failures[g] = (uint64_t)sqlite3_column_int64(s, 4 + g);
}

static enum status read_locked(struct history *h, const char *key, int64_t first, size_t count,
                               struct history_counts *ret)
{
    int rc;

    if (!h->db)
        return STATUS_IO;
    if (key && !has_key(h, key))
        return STATUS_NOT_FOUND;
    sqlite3_stmt *s = prepare(h, key ? read_key : read_all);
    if (!s)
        return STATUS_IO;
    (void)sqlite3_bind_int64(s, 1, first);
    (void)sqlite3_bind_int64(s, 2, first + (int64_t)count);
    if (key)
        (void)sqlite3_bind_text(s, 3, key, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        take_row(s, &ret[sqlite3_column_int64(s, 0) - first]);
    (void)sqlite3_finalize(s);
    return rc == SQLITE_DONE ? STATUS_OK : STATUS_IO;
}

enum status history_read(struct history *h, const char *key, int64_t first, size_t count,
                         struct history_counts *ret)
{
    memset(ret, 0, count * sizeof *ret);
    pthread_mutex_lock(&h->lock);
    enum status status = read_locked(h, key, first, count, ret);
    pthread_mutex_unlock(&h->lock);
    return status;
}
