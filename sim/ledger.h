/* What a policy has been told, and so could have known: the measure of wasted attempts.
 *
 * An attempt is wasted when an answer heard before it began had said that its key is revoked, that
 * its organisation is out of quota, or that its organisation's or project's bucket holds nothing
 * before a time still to come, and the attempt was then refused for that very reason. Which
 * account a key belongs to counts as known when the settings name it or an answer to that key did.
 * Only the success of an attempt that began later takes knowledge back, and of two times to come
 * the later one counts.
 */
#ifndef SPAREKEY_SIM_LEDGER_H
#define SPAREKEY_SIM_LEDGER_H

#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ledger {
    const struct world_spec *world;
    struct ledger_key *keys;
    struct ledger_account *orgs, *projects;
};

/* STATUS_NO_MEMORY. */
NODISCARD
enum status ledger_init(struct ledger *ledger, const struct world_spec *world);
void ledger_fini(struct ledger *ledger);

/* Why an attempt that begins now is known to be refused; CAUSE_SERVED: for no known reason. Every
 * kind of rate limit is CAUSE_REQUESTS. */
enum cause ledger_expects(const struct ledger *ledger, uint32_t key, int64_t now_ns);

/* Whether no gateway that heeds answers would ask this key now: it is revoked, or its own project
 * was told to wait and nobody who asked later was served. What answers do not say is whose limit it was (the organisation's, the
 * project's), so a sibling project may be asked, though ledger_expects knows better. A quota has
 * no time to wait for: only a request can find out. */
bool ledger_was_told(const struct ledger *ledger, uint32_t key, int64_t now_ns);

/* Whether this answer to such an attempt is what was to be expected. */
bool ledger_confirmed(enum cause expected, const struct reply *reply);

/* The answer to an attempt that began at `sent_ns` arrived. */
void ledger_hear(struct ledger *ledger, uint32_t key, const struct reply *reply, int64_t sent_ns,
                 int64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
