#include "gateway/page.h"

#include "page_data.h"

/* no-cache: kept, but asked for anew, so that an upgrade is seen at the next look. */
#define PAGE_FIELDS                                                                                \
    "content-type: text/html; charset=utf-8\r\n"                                                   \
    "content-security-policy: " PAGE_POLICY "\r\n"                                                 \
    "x-content-type-options: nosniff\r\n"                                                          \
    "x-frame-options: DENY\r\n"                                                                    \
    "referrer-policy: no-referrer\r\n"                                                             \
    "cross-origin-opener-policy: same-origin\r\n"                                                  \
    "cross-origin-resource-policy: same-origin\r\n"                                                \
    "cache-control: no-cache\r\n"                                                                  \
    "vary: accept\r\n"

struct slice page_document(void)
{
    return slice_of((const char *)page_bytes, sizeof page_bytes);
}

struct slice page_fields(void)
{
    return SLICE(PAGE_FIELDS);
}

static void answer_page(struct own_request *own)
{
    own_reply(own, 200, page_fields(), page_document());
}

static const struct own_route page = {"/", false, OWN_GET, OWN_PAGE, answer_page};

const struct own_route *page_route(const struct own_route *route, const struct http_head *head)
{
    if (!route || !slice_eq(slice_str(route->path), slice_str(page.path)))
        return route;
    struct slice accept = http_head_get(head, SLICE("accept"));
    return slice_contains_nocase(accept, SLICE("text/html")) ? &page : route;
}
