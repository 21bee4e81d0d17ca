#include "sim/oracle.h"

#include "sim/run.h"

/* What rounding may have given away: the mock's bucket rounds the price of a unit down to whole
 * nanoseconds, at a million units a minute by less than a part in 10^4 of 1 %. */
#define GENEROSITY (1.0 + 1e-5)
#define EPSILON    1e-6

enum dimension {
    ORG_REQUESTS,
    ORG_DAY,
    ORG_TOKENS,
    PROJECT_REQUESTS,
    PROJECT_DAY,
    PROJECT_TOKENS,
    SERVICE,
    DIMENSIONS
};

/* All buckets of one dimension as one. */
struct poured {
    double depth, per_ns, level;
    double cost; /* of a request; 0: there is no such limit */
};

struct oracle {
    const struct world_spec *spec;
    int64_t now_ns;
    uint32_t alive;
    const struct world_fault *overload;
    struct poured poured[DIMENSIONS];
};

/* Organisations that live now; of them those that did not a moment ago. Before time zero none. */
static void count_alive(struct oracle *o, uint32_t *ret_returned)
{
    o->alive = *ret_returned = 0;
    for (uint32_t org = 0; org < o->spec->orgs; org++) {
        if (!world_org_lives(o->spec, org, o->now_ns))
            continue;
        o->alive++;
        *ret_returned += o->now_ns == 0 || !world_org_lives(o->spec, org, o->now_ns - 1);
    }
}

static int64_t limit_of(const struct world_spec *spec, enum dimension dimension)
{
    switch (dimension) {
    case ORG_REQUESTS: return spec->org.requests_per_min;
    case ORG_DAY: return spec->org.requests_per_day;
    case ORG_TOKENS: return spec->org.tokens_per_min;
    case PROJECT_REQUESTS: return spec->project.requests_per_min;
    case PROJECT_DAY: return spec->project.requests_per_day;
    case PROJECT_TOKENS: return spec->project.tokens_per_min;
    case SERVICE:
    case DIMENSIONS: break;
    }
    return 0;
}

static bool is_daily(enum dimension dimension)
{
    return dimension == ORG_DAY || dimension == PROJECT_DAY;
}

static void pour_service(struct oracle *o)
{
    const struct world_fault *overload = world_fault(o->spec, FAULT_OVERLOAD, 0, o->now_ns);
    double per_s = overload ? (double)overload->per_s : 0;

    if (overload == o->overload)
        return;
    o->overload = overload;
    o->poured[SERVICE] =
        (struct poured){per_s, per_s / (double)SECOND * GENEROSITY, per_s, overload ? 1 : 0};
}

/* As many buckets as are alive now. What died took its level along: the rest cannot hold more
 * than their depth. What came back is full. */
static void pour(struct oracle *o)
{
    uint32_t returned;

    count_alive(o, &returned);
    for (enum dimension d = 0; d < SERVICE; d++) {
        struct poured *p = &o->poured[d];
        double of_org =
            (double)limit_of(o->spec, d) * (double)(d >= PROJECT_REQUESTS ? o->spec->projects : 1);
        double window = (double)MINUTE * (is_daily(d) ? 1440 : 1);
        p->depth = of_org * (double)o->alive;
        p->per_ns = p->depth / window * GENEROSITY;
        p->level += of_org * (double)returned;
        if (p->level > p->depth)
            p->level = p->depth;
    }
    pour_service(o);
}

/* The next moment at which a fault begins or ends, or NEVER. */
static int64_t next_change(const struct world_spec *spec, int64_t now_ns)
{
    int64_t next = NEVER;

    for (size_t i = 0; i < WORLD_FAULTS_MAX && spec->faults[i].kind != FAULT_NONE; i++) {
        const int64_t edges[] = {spec->faults[i].from_ns, spec->faults[i].until_ns};
        for (int e = 0; e < 2; e++)
            if (edges[e] > now_ns && edges[e] < next)
                next = edges[e];
    }
    return next;
}

static void refill(struct oracle *o, int64_t until_ns)
{
    for (enum dimension d = 0; d < DIMENSIONS; d++) {
        struct poured *p = &o->poured[d];
        p->level += p->per_ns * (double)(until_ns - o->now_ns);
        if (p->level > p->depth)
            p->level = p->depth;
    }
    o->now_ns = until_ns;
}

static void advance(struct oracle *o, int64_t until_ns)
{
    int64_t change;

    while ((change = next_change(o->spec, o->now_ns)) <= until_ns) {
        refill(o, change);
        pour(o);
    }
    if (until_ns > o->now_ns)
        refill(o, until_ns);
}

/* How long until every dimension holds one more request, as far as can be seen from here. */
static int64_t wait_ns(const struct oracle *o)
{
    double longest = 0;

    if (world_fault(o->spec, FAULT_OUTAGE, 0, o->now_ns) || o->alive == 0)
        return NEVER;
    for (enum dimension d = 0; d < DIMENSIONS; d++) {
        const struct poured *p = &o->poured[d];
        double missing = p->cost - p->level - EPSILON;
        if (p->cost <= 0 || missing <= 0)
            continue;
        if (p->per_ns <= 0 || p->cost > p->depth)
            return NEVER;
        if (missing / p->per_ns > longest)
            longest = missing / p->per_ns;
    }
    return longest > 0 ? (int64_t)longest + 1 : 0;
}

/* Goes forward to the first moment, at most `due_ns`, at which a request can be admitted. */
static bool find_room(struct oracle *o, int64_t due_ns)
{
    int64_t wait, change;

    while ((wait = wait_ns(o)) != 0) {
        change = next_change(o->spec, o->now_ns);
        if (wait == NEVER || wait > change - o->now_ns)
            wait = change == NEVER ? NEVER : change - o->now_ns;
        if (wait == NEVER || o->now_ns + wait > due_ns)
            return false;
        advance(o, o->now_ns + wait);
    }
    return o->now_ns <= due_ns;
}

static int64_t lightest(const struct arrivals *arrivals)
{
    int64_t tokens = arrivals->count ? arrivals->requests[0].tokens : 1;

    for (size_t i = 1; i < arrivals->count; i++)
        if (arrivals->requests[i].tokens < tokens)
            tokens = arrivals->requests[i].tokens;
    return tokens;
}

static void oracle_init(struct oracle *o, const struct world_spec *spec,
                        const struct arrivals *arrivals)
{
    *o = (struct oracle){.spec = spec};
    for (enum dimension d = 0; d < SERVICE; d++) {
        bool of_tokens = d == ORG_TOKENS || d == PROJECT_TOKENS;
        if (limit_of(spec, d) > 0)
            o->poured[d].cost = of_tokens ? (double)lightest(arrivals) : 1;
    }
    pour(o); /* from none alive to all: full */
}

enum status oracle_serve(const struct world_spec *spec, const struct arrivals *arrivals,
                         struct result *ret)
{
    struct oracle o;
    struct result result;

    if (result_init(&result, arrivals) != STATUS_OK)
        return STATUS_NO_MEMORY;
    oracle_init(&o, spec, arrivals);
    for (size_t i = 0; i < arrivals->count; i++) {
        const struct request *r = &arrivals->requests[i];
        if (r->at_ns + RUN_UPLINK_MIN_NS > o.now_ns)
            advance(&o, r->at_ns + RUN_UPLINK_MIN_NS);
        if (!find_room(&o, r->deadline_ns + RUN_UPLINK_MAX_NS)) {
            result_failed(&result, r);
            continue;
        }
        for (enum dimension d = 0; d < DIMENSIONS; d++)
            o.poured[d].level -= o.poured[d].cost;
        result_served(&result, r, o.now_ns - RUN_UPLINK_MIN_NS - r->at_ns);
        result.attempts++;
    }
    result_finish(&result);
    *ret = result;
    return STATUS_OK;
}

/* When the last request that anybody still waits for can be admitted. */
static int64_t end_of_patience(const struct arrivals *arrivals)
{
    int64_t end_ns = arrivals->end_ns;

    for (size_t i = 0; i < arrivals->count; i++)
        if (arrivals->requests[i].deadline_ns + RUN_UPLINK_MAX_NS > end_ns)
            end_ns = arrivals->requests[i].deadline_ns + RUN_UPLINK_MAX_NS;
    return end_ns;
}

double oracle_offered(const struct world_spec *spec, const struct arrivals *arrivals)
{
    struct oracle o;
    double offered[DIMENSIONS] = {0}, least = -1;
    int64_t change, end_ns = end_of_patience(arrivals);

    oracle_init(&o, spec, arrivals);
    for (enum dimension d = 0; d < SERVICE; d++)
        offered[d] = o.poured[d].depth;
    while (o.now_ns < end_ns) {
        change = next_change(spec, o.now_ns);
        if (change > end_ns)
            change = end_ns;
        for (enum dimension d = 0; d < SERVICE; d++)
            offered[d] += o.poured[d].per_ns * (double)(change - o.now_ns);
        advance(&o, change);
    }
    for (enum dimension d = 0; d < SERVICE; d++)
        if (o.poured[d].cost > 0 && (least < 0 || offered[d] / o.poured[d].cost < least))
            least = offered[d] / o.poured[d].cost;
    return least;
}
