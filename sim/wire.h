/* A reply of the world as it looks on the wire, and what the real readers make of it.
 *
 * The engine must not be told the truth: it sees header fields as text and an error body, and
 * reads them with openai/hints.c and openai/verdict.c, the very code the gateway uses.
 */
#ifndef SPAREKEY_SIM_WIRE_H
#define SPAREKEY_SIM_WIRE_H

#include "openai/verdict.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The names that answers give to the world's organisations and projects. */
#define WIRE_NAME_MAX 24
struct slice wire_org_name(uint32_t org, char out[WIRE_NAME_MAX]);
struct slice wire_project_name(uint32_t project, char out[WIRE_NAME_MAX]);

/* `now_ns` is virtual time; the wall clock of the simulation is the same number. */
void wire_read(const struct reply *reply, int64_t now_ns, struct hints *ret_hints,
               struct verdict *ret_verdict, struct evidence *ret_evidence);

#ifdef __cplusplus
}
#endif
#endif
