/* The status page at "/": one self-contained document in the binary, made of web/ at build time
 * (tools/embed-page).
 *
 * A browser gets the page, everything else the short JSON of before: Accept decides. The page holds
 * nothing of this gateway, so it needs no token; what it shows it asks the routes under /api/openai
 * for, which do. Its Content-Security-Policy lets run only what was there at build time, and talk
 * only to the gateway itself.
 */
#ifndef SPAREKEY_GATEWAY_PAGE_H
#define SPAREKEY_GATEWAY_PAGE_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who answers this request: `route` as it was found (NULL is allowed), or the page's own instead
 * when it is for "/" and its Accept names HTML. */
const struct own_route *page_route(const struct own_route *route, const struct http_head *head);

/* The document and the lines that go with it. */
struct slice page_document(void);
struct slice page_fields(void);

#ifdef __cplusplus
}
#endif
#endif
