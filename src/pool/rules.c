#include "pool/rules.h"

#include <stdlib.h>
#include <string.h>

static bool is_default(const struct key_spec *spec)
{
    return spec->weight <= 1 && spec->max_in_flight == 0 && spec->model_count == 0;
}

static struct key_rules *rules_read(const struct key_spec *spec, const struct hash_seed *seed)
{
    struct key_rules *r = calloc(1, sizeof(*r) + spec->model_count * sizeof(r->models[0]));

    if (!r)
        return NULL;
    r->weight = spec->weight ? spec->weight : 1;
    r->max_in_flight = spec->max_in_flight;
    r->model_count = spec->model_count;
    for (size_t i = 0; i < spec->model_count; i++)
        r->models[i] = hash_bytes(seed, spec->models[i]);
    return r;
}

static bool equal(const struct key_rules *a, const struct key_rules *b)
{
    return a && a->weight == b->weight && a->max_in_flight == b->max_in_flight &&
           a->model_count == b->model_count &&
           memcmp(a->models, b->models, a->model_count * sizeof(a->models[0])) == 0;
}

enum status rules_add(struct rules *rules, key_id id, size_t ids, const struct key_spec *spec,
                      const struct hash_seed *seed)
{
    struct key_rules *r;

    if (is_default(spec))
        return STATUS_OK;
    if (!rules->by_id) {
        rules->by_id = calloc(ids, sizeof(struct key_rules *));
        if (!rules->by_id)
            return STATUS_NO_MEMORY;
        rules->size = ids;
    }
    r = rules_read(spec, seed);
    if (!r)
        return STATUS_NO_MEMORY;
    if (equal(rules->all, r)) {
        free(r);
        rules->by_id[id] = rules->all;
        return STATUS_OK;
    }
    r->next = rules->all;
    rules->all = rules->by_id[id] = r;
    return STATUS_OK;
}

void rules_fini(struct rules *rules)
{
    for (struct key_rules *r = rules->all, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    free(rules->by_id);
    *rules = (struct rules){0};
}

bool rules_allow(const struct key_rules *rules, uint64_t model)
{
    if (!rules || rules->model_count == 0 || model == 0)
        return true;
    for (size_t i = 0; i < rules->model_count; i++)
        if (rules->models[i] == model)
            return true;
    return false;
}
