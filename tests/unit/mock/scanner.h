/* The gateway's stream scanner behind plain functions: its header and jansson's both name their
 * JSON events, so that one file cannot include the two. */
#ifndef SPAREKEY_TESTS_MOCK_SCANNER_H
#define SPAREKEY_TESTS_MOCK_SCANNER_H

#include <stdbool.h>

#include "base/slice.h"
#include "openai/endpoint.h"

struct scanner;

struct scanner *scanner_new(enum stream_protocol protocol);
void scanner_feed(struct scanner *scanner, struct slice bytes);
void scanner_free(struct scanner *scanner);
bool scanner_content(const struct scanner *scanner);
bool scanner_error(const struct scanner *scanner);
bool scanner_terminal(const struct scanner *scanner);

#endif
