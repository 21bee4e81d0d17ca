#include "scanner.h"

#include <stdlib.h>

#include "openai/sse.h"

struct scanner {
    struct sse sse;
};

struct scanner *scanner_new(enum stream_protocol protocol)
{
    struct scanner *scanner = calloc(1, sizeof(*scanner));
    if (!scanner)
        abort();
    sse_init(&scanner->sse, protocol);
    return scanner;
}

void scanner_feed(struct scanner *scanner, struct slice bytes)
{
    sse_feed(&scanner->sse, bytes.ptr, bytes.len);
}

void scanner_free(struct scanner *scanner)
{
    sse_clear(&scanner->sse);
    free(scanner);
}

bool scanner_content(const struct scanner *scanner)
{
    return scanner->sse.content;
}

bool scanner_error(const struct scanner *scanner)
{
    return scanner->sse.error;
}

bool scanner_terminal(const struct scanner *scanner)
{
    return scanner->sse.terminal;
}
