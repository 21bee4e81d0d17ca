/* OpenAI as the simulator knows it: who owns a limit, what is left of it, and what goes wrong.
 *
 *     service ── organisation ── project ── key
 *       outage     RPM RPD TPM    RPM TPM     revoked
 *       flaky      quota
 *       overload   slow_down
 *
 * The limits are the GCRA buckets of the mock (mock/bucket.h): refilled continuously, full at the
 * start, one window deep. A request is admitted when every bucket on its key's path holds it;
 * then all of them pay (openai-protocol.md §3). A refused request costs nothing, unless the world
 * says `refusals_count` ("rejected requests still count against per-minute limits", §2.2 note a).
 *
 * The world knows the truth and tells it only in answers: it is asked with a key and gives a
 * `reply`, whose headers are true at that moment and stale when they arrive. Faults are a
 * timetable fixed before the first request, so that an oracle can read it.
 *
 * Sans-IO, deterministic: the same spec, seed and questions give the same replies.
 */
#ifndef SPAREKEY_SIM_WORLD_H
#define SPAREKEY_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "mock/bucket.h"
#include "openai/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MS     INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define NEVER  INT64_MAX

#define WORLD_FAULTS_MAX 12

/* 0: no such limit. */
struct limits {
    int64_t requests_per_min, requests_per_day, tokens_per_min;
};

enum fault_kind {
    FAULT_NONE,
    FAULT_REVOKED,   /* keys first … last: 401 invalid_api_key */
    FAULT_QUOTA,     /* organisations first … last: 429 insufficient_quota */
    FAULT_SLOW_DOWN, /* organisations first … last: 429 slow_down beyond `per_s` requests */
    FAULT_OUTAGE,    /* the service: 503, 502, refused connections */
    FAULT_FLAKY,     /* the service: `ppm` of the admitted requests end in 500, 502 or a reset */
    FAULT_OVERLOAD,  /* the service: 503 server_is_overloaded beyond `per_s` requests */
};

struct world_fault {
    enum fault_kind kind;
    int64_t from_ns, until_ns;
    uint32_t first, last;
    uint32_t ppm;
    int64_t per_s;
};

struct world_spec {
    uint32_t orgs, projects, keys; /* projects of each organisation, keys of each project */
    struct limits org, project;    /* each one's, for the one model there is */
    bool owners_configured;        /* the settings name each key's organisation and project */
    bool refusals_count;
    bool silent;          /* answers carry no x-ratelimit-*, only refusals their Retry-After */
    double processing_ms; /* median of a served request's time inside the service */
    struct world_fault faults[WORLD_FAULTS_MAX];
};

/* Why an attempt ended as it did. */
enum cause {
    CAUSE_SERVED,
    CAUSE_REVOKED,
    CAUSE_QUOTA,
    CAUSE_REQUESTS, /* RPM or RPD */
    CAUSE_TOKENS,
    CAUSE_TOO_LARGE, /* more tokens than the bucket can ever hold */
    CAUSE_SLOW_DOWN,
    CAUSE_OVERLOADED,
    CAUSE_UNAVAILABLE, /* 503 of an outage */
    CAUSE_SERVER,      /* 500 */
    CAUSE_GATEWAY,     /* 502, a web page of the edge */
    CAUSE_CONNECT,
    CAUSE_RESET,
    CAUSE_COUNT
};

const char *cause_name(enum cause cause);

/* Readings that go into x-ratelimit-*; limit 0: no such header. */
struct reply {
    enum cause cause;
    enum transport transport;
    int status;
    uint32_t org, project;  /* of the key that was asked */
    bool owned;             /* the answer names them: the API itself spoke, not the edge */
    bool project_refused;   /* the bucket that refused is the project's, not the organisation's */
    int64_t retry_after_ns; /* 0: not said */
    int64_t processing_ns;  /* until the answer leaves */
    struct bucket_reading requests, tokens, project_requests, project_tokens;
};

/* One request as the service sees it. */
struct ask {
    uint32_t key;
    uint32_t request, turn; /* name the luck: which request, its how-manieth attempt */
    int64_t tokens;         /* charged at admission */
};

/* An organisation's or a project's buckets. */
struct meter {
    struct bucket requests, day, tokens, ramp;
};

struct world {
    struct world_spec spec;
    uint64_t seed;
    struct meter *orgs, *projects;
    struct bucket service;
};

/* STATUS_NO_MEMORY. `*world` needs world_fini only after STATUS_OK. */
NODISCARD
enum status world_init(struct world *world, const struct world_spec *spec, uint64_t seed);
void world_fini(struct world *world);

/* A request arrives at the service now. Time never goes back. */
void world_ask(struct world *world, const struct ask *ask, int64_t now_ns, struct reply *ret_reply);

/* GET /v1/models with this key: proves that it authenticates, nothing else. */
void world_probe(struct world *world, uint32_t key, int64_t now_ns, struct reply *ret_reply);

uint32_t world_key_count(const struct world_spec *spec);
uint32_t world_key_project(const struct world_spec *spec, uint32_t key);
uint32_t world_key_org(const struct world_spec *spec, uint32_t key);

/* The fault of this kind that strikes the subject (a key or an organisation; any number for the
 * service) now, or NULL. */
const struct world_fault *world_fault(const struct world_spec *spec, enum fault_kind kind,
                                      uint32_t subject, int64_t now_ns);

/* Whether any key of the organisation authenticates and its quota is not used up. */
bool world_org_lives(const struct world_spec *spec, uint32_t org, int64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
