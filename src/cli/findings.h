/* What the doctor finds: each with its weight, what it is about, and what to do about it. */
#ifndef SPAREKEY_CLI_FINDINGS_H
#define SPAREKEY_CLI_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FINDINGS_MAX      1000 /* told in full; the rest is counted */
#define FINDING_TEXT_MAX  400
#define FINDINGS_TEXT_MAX (4u << 20)

enum severity {
    SEVERITY_ERROR,   /* it cannot work so */
    SEVERITY_WARNING, /* it works worse than it could */
    SEVERITY_NOTE,    /* worth knowing; no reason for an exit code */
};

struct finding {
    enum severity severity;
    const char *code;  /* a stable name: "duplicate_key" */
    char subject[160]; /* "OPENAI_API_KEY_FALLBACK_2 (sk-proj...N0IA)" */
    char message[FINDING_TEXT_MAX];
    const char *remedy;
};

struct findings {
    struct finding *items;
    size_t count, capacity;
    size_t by_severity[3]; /* also those not told */
    bool no_memory;        /* something is missing */
};

/* `code` and `remedy` are static storage. Out of memory is noted, and said by the report. */
void findings_add(struct findings *findings, enum severity severity, const char *code,
                  const char *subject, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
void findings_clear(struct findings *findings);

/* Whether there are errors or warnings. */
bool findings_any(const struct findings *findings);

/* For people, the heaviest first, and as JSON. `keys` were looked at, `live` over the network. */
NODISCARD
enum status findings_write(const struct findings *findings, size_t keys, bool live,
                           struct buffer *out);
NODISCARD
enum status findings_write_json(const struct findings *findings, size_t keys, bool live,
                                struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
