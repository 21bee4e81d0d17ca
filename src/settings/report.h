/* Complaints about settings: where, which name, what was expected, what was given.
 *
 * Whatever is quoted passes through report_quote, which shows neither control bytes nor anything
 * that may be a secret.
 */
#ifndef SPAREKEY_SETTINGS_REPORT_H
#define SPAREKEY_SETTINGS_REPORT_H

#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a value comes from, weakest first. */
enum origin_rank {
    ORIGIN_DEFAULT,
    ORIGIN_YAML,
    ORIGIN_DOTENV,
    ORIGIN_DOTENV_LOCAL,
    ORIGIN_ENVIRONMENT,
    ORIGIN_ARGUMENTS,
};

struct origin {
    enum origin_rank rank;
    unsigned line;    /* 0 when there is none */
    const char *file; /* NULL unless it is one */
};

#define ORIGIN_TEXT_MAX 320

/* "environment", "command line", ".env.local:4", "default"; a long file name is cut. */
const char *origin_text(const struct origin *origin, char out[ORIGIN_TEXT_MAX]);

#define REPORT_QUOTE_MAX 96

/* `"value"`, cut and with control bytes as dots; a value that is or may hold a secret is masked. */
const char *report_quote(struct slice value, bool secret, char out[REPORT_QUOTE_MAX]);

struct reporter {
    struct settings_report *report;
    size_t errors, warnings; /* also those not written out any more */
};

/* Adds the line "origin: name: message". `name` may be NULL. A name is written as its flag when
 * it came by the command line. After REPORT_LINES_MAX lines the rest is only counted. */
#define REPORT_LINES_MAX 100
void report_error(struct reporter *r, const struct origin *origin, const char *name,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
void report_warning(struct reporter *r, const struct origin *origin, const char *name,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Says how many lines were left out, when some were. */
void report_finish(struct reporter *r);

#ifdef __cplusplus
}
#endif
#endif
