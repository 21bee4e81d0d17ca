#include "sim/report.h"

#include <inttypes.h>

static double seconds(int64_t ns)
{
    return (double)ns / (double)SECOND;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static double used(const struct outcome *o, const struct result *r)
{
    return o->offered > 0 ? (double)r->served / o->offered : 0;
}

static void row(const struct outcome *o, const char *title, const struct result *r, FILE *out)
{
    fprintf(out,
            "| %-34s | %7" PRIu64
            " | %8.3f %% | %6.3f | %7.3f %% | %6.2f s | %6.2f s | %5.1f %% |\n",
            title, r->failed, 100 * result_failed_share(r), share(r->extra_attempts, r->requests),
            100 * share(r->wasted, r->attempts), seconds(r->wait_p50_ns), seconds(r->wait_p99_ns),
            100 * used(o, r));
}

void report_table(const struct outcome *o, FILE *out)
{
    fprintf(out, "\n### %s\n\n`%s`: %" PRIu64 " requests in %.0f s; the buckets offer %.0f.\n\n",
            o->scenario->title, o->scenario->name, o->oracle.requests, seconds(o->oracle.end_ns),
            o->offered);
    fprintf(out, "| %-34s | %7s | %10s | %6s | %9s | %8s | %8s | %7s |\n", "policy", "failed",
            "share", "extra", "wasted", "wait p50", "p99", "used");
    fprintf(out, "|%s|---:|---:|---:|---:|---:|---:|---:|\n", "---");
    for (size_t i = 0; i < POLICY_COUNT; i++)
        row(o, policy_at(i)->title, &o->policies[i], out);
    row(o, "oracle (upper bound)", &o->oracle, out);
}

static void json_bins(const char *name, const uint32_t *bins, FILE *out)
{
    fprintf(out, ",\"%s\":[", name);
    for (int i = 0; i < RESULT_BINS; i++)
        fprintf(out, "%s%" PRIu32, i ? "," : "", bins[i]);
    fputc(']', out);
}

static void json_causes(const struct result *r, FILE *out)
{
    fputs(",\"attempts_by_end\":{", out);
    for (int i = 0; i < CAUSE_COUNT; i++)
        fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", cause_name((enum cause)i), r->causes[i]);
    fputc('}', out);
}

static void json_policy(const struct outcome *o, const char *name, const char *title,
                        const struct result *r, FILE *out)
{
    fprintf(out,
            "{\"name\":\"%s\",\"title\":\"%s\",\"requests\":%" PRIu64 ",\"served\":%" PRIu64
            ",\"failed\":%" PRIu64 ",\"attempts\":%" PRIu64 ",\"extra_attempts\":%" PRIu64
            ",\"wasted_attempts\":%" PRIu64
            ",\"wait_p50_s\":%.6f,\"wait_p99_s\":%.6f,\"capacity_used\":%.6f,\"events\":%" PRIu64,
            name, title, r->requests, r->served, r->failed, r->attempts, r->extra_attempts,
            r->wasted, seconds(r->wait_p50_ns), seconds(r->wait_p99_ns), used(o, r), r->events);
    json_causes(r, out);
    json_bins("requests_by_time", r->bin_requests, out);
    json_bins("failed_by_time", r->bin_failed, out);
    fputc('}', out);
}

void report_json(const struct outcome *o, FILE *out)
{
    fprintf(out,
            "{\"name\":\"%s\",\"title\":\"%s\",\"overload\":%s,\"seconds\":%.3f,\"offered\":%.0f,"
            "\"policies\":[\n",
            o->scenario->name, o->scenario->title, o->scenario->overload ? "true" : "false",
            seconds(o->oracle.end_ns), o->offered);
    for (size_t i = 0; i < POLICY_COUNT; i++) {
        json_policy(o, policy_at(i)->name, policy_at(i)->title, &o->policies[i], out);
        fputs(",\n", out);
    }
    json_policy(o, "oracle", "oracle (upper bound)", &o->oracle, out);
    fputs("]}", out);
}
