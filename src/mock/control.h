/* The control port: the script's structures as JSON over HTTP, and the journal.
 *
 *   PUT    /keys/{key}            merge settings into a key        GET: read them
 *   PUT    /default, /models      what unknown keys are; which models exist
 *   POST   /faults                one, or a list; for every key unless they name one
 *   DELETE /faults[?key=]         all, or those of one key
 *   POST   /listener              {"open": bool, "for_ms": n, "drop": bool}
 *   POST   /release               {"key": …, "n": …}: stalled answers go on
 *   POST   /reset                 journal, counters and buckets as at the start
 *   GET    /journal[?since=&key=&path=&model=&state=&limit=]       DELETE: forget
 *   GET    /journal/wait?count=&timeout_ms=[&since=&key=&path=&model=&state=]
 *   GET    /counters, /state
 */
#ifndef SPAREKEY_MOCK_CONTROL_H
#define SPAREKEY_MOCK_CONTROL_H

#include "mock/mock.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CONTROL_BODY_MAX      ((size_t)16 << 20)
#define CONTROL_WAIT_MAX_MS   600000
#define CONTROL_JOURNAL_LIMIT 100000 /* entries of one answer */

NODISCARD
enum status control_new(struct mock *mock, const char *host, uint16_t port,
                        struct control **ret_control);
/* "http://127.0.0.1:1234". */
void control_url(const struct control *control, char *out, size_t size);
void control_close(struct control *control); /* NULL is allowed */
void control_free(struct control *control);  /* likewise */

#ifdef __cplusplus
}
#endif
#endif
