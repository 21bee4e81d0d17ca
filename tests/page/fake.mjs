// A gateway of which a test decides what it says: the real page, fetched from the real gateway with
// its fields, before data made here. For what a real gateway cannot be brought to in a moment, and
// for the exact moment of an event.

import http from "node:http";

const SECOND = 1000, MINUTE = 60 * SECOND;

export function healthyKey(i) {
  return { keyId: `sk-proj...${String(1000 + i).slice(-4)}`, name: i ? `OPENAI_API_KEY_FALLBACK_${i}` : "OPENAI_API_KEY",
    isHealthy: true, isRateLimited: false, errorCount: 0, successCount: 1240 - i, totalRequests: 1240 - i, successRate: 100,
    circuit: "closed", inFlight: 0, reason: null, readmittedBy: null, recoveryTime: null, models: [] };
}

export function limited(key, inMs = 42 * SECOND) {
  const until = new Date(Date.now() + inMs).toISOString();
  return { ...key, isHealthy: false, isRateLimited: true, errorCount: 1, successRate: 97.31, circuit: "open", recoveryTime: until,
    rateLimitResetAt: until, readmittedBy: "time", reason: { class: "rate_limit", scope: "project+model" },
    evidence: { status: 429, code: "rate_limit_exceeded", requestId: "req_5a1c09" } };
}

export function revoked(key) {
  return { ...key, isHealthy: false, errorCount: 3, successRate: 71.4, circuit: "open", readmittedBy: "free probe",
    reason: { class: "invalid_key", scope: "key" }, evidence: { status: 401, code: "invalid_api_key", requestId: "req_77e0b2" } };
}

export const switchedOff = (key) => ({ ...key, isHealthy: false, circuit: "open", readmittedBy: "operator", disabled: true,
  reason: { class: "disabled", scope: "key", text: "disabled by operator" } });

const conditionOf = (key) => (key.isHealthy ? "healthy" : key.isRateLimited ? "rateLimited" : "unhealthy");

function history() {
  const now = Math.floor(Date.now() / MINUTE) * MINUTE, minutes = [...Array(60).keys()];
  const wave = (i) => Math.round(120 + 60 * Math.sin(i / 7) + 25 * Math.sin(i * 2.3));
  const trouble = (i) => (i > 33 && i < 41 ? 12 + ((i * 7) % 19) : i === 12 || i === 52 ? 6 : 0);
  return { success: true, minutes: 60, stepMs: MINUTE, time: minutes.map((i) => now - (59 - i) * MINUTE), requests: minutes.map(wave),
    failures: minutes.map(trouble), failovers: minutes.map((i) => Math.round(trouble(i) * 0.9)), rateLimited: minutes.map(trouble) };
}

export class Fake {
  constructor(origin) {
    Object.assign(this, { origin, keys: [], calls: [], streams: new Set(), lastIds: [], number: 0, absent: [], paging: true,
      drill: { success: true, attempts: [], durationMs: 1 }, waiters: [] });
  }

  async start() {
    this.server = http.createServer((request, answer) => this.answer(request, answer));
    await new Promise((resolve) => { this.server.listen(0, "127.0.0.1", resolve); });
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /* Tells an event to every listener. */
  tell(kind, fields) {
    const text = `id: ${++this.number}\nevent: ${kind}\ndata: ${JSON.stringify({ time: new Date().toISOString(), ...fields })}\n\n`;
    for (const stream of this.streams) stream.write(text);
  }

  /* Cuts every stream, as a restart would. */
  cut() {
    for (const stream of this.streams) stream.destroy();
  }

  /* Until this holds; looked at after every request. */
  until(holds) {
    return new Promise((resolve) => { this.waiters.push({ holds, resolve }); this.wake(); });
  }

  wake() {
    this.waiters = this.waiters.filter(({ holds, resolve }) => !holds() || resolve());
  }

  count(path) { return this.calls.filter((call) => call.path.startsWith(path)).length; }

  async answer(request, answer) {
    const url = new URL(request.url, this.url), path = url.pathname;
    this.calls.push({ method: request.method, path: decodeURIComponent(request.url), headers: request.headers });
    if (this.absent.includes(path)) this.json(answer, 404, { error: { message: "not here", code: null } });
    else if (path === "/") await this.page(answer);
    else if (path === "/api/openai/health") this.health(answer, url.searchParams);
    else if (path === "/api/openai/history") this.json(answer, 200, history());
    else if (path === "/api/openai/test-fallback") this.json(answer, this.drill.success ? 200 : 503, this.drill);
    else if (path === "/api/openai/events") this.stream(request, answer);
    else this.order(request, answer, path);
    this.wake();
  }

  async page(answer) {
    const real = await fetch(`${this.origin}/`, { headers: { accept: "text/html" } });
    const fields = Object.fromEntries([...real.headers].filter(([name]) => !/^(date|connection|keep-alive)$/.test(name)));
    answer.writeHead(real.status, fields).end(Buffer.from(await real.arrayBuffer()));
  }

  json(answer, status, document) {
    answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
  }

  health(answer, query) {
    const by = { healthy: 0, rateLimited: 0, unhealthy: 0 };
    for (const key of this.keys) by[conditionOf(key)]++;
    const state = query.get("state"), limit = Number(query.get("limit") || Infinity), offset = Number(query.get("offset") || 0);
    const found = this.keys.filter((key) => !state || conditionOf(key) === state);
    const overall = !by.healthy ? "unhealthy" : by.unhealthy ? "degraded" : "healthy";
    this.json(answer, by.healthy ? 200 : 503, { success: by.healthy > 0, overallStatus: overall,
      summary: { totalKeys: this.keys.length, healthyKeys: by.healthy, rateLimitedKeys: by.rateLimited, unhealthyKeys: by.unhealthy,
        overallSuccessRate: 99.27 }, keys: this.paging ? found.slice(offset, offset + limit) : this.keys });
  }

  stream(request, answer) {
    this.lastIds.push(request.headers["last-event-id"] ?? "");
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.write(": hello\n\n");
    this.streams.add(answer);
    answer.on("close", () => this.streams.delete(answer));
  }

  order(request, answer, path) {
    const [, name, what] = /^\/api\/openai\/keys\/(.+)\/(reset|enable|disable)$/.exec(decodeURIComponent(path)) || [];
    const i = this.keys.findIndex((key) => key.name === name);
    if (i < 0 || request.method !== "POST") { this.json(answer, 404, { error: { message: `no key ${name}`, code: "unknown_key" } }); return; }
    this.keys[i] = what === "disable" ? switchedOff(this.keys[i]) : { ...healthyKey(i), name };
    this.json(answer, 200, { success: true });
  }
}

/* Four keys with something to see at each. */
export function fourKeys() {
  const room = (model, requests, tokens) => ({ model, headroom: { requests, tokens }, cooldownUntil: null });
  return [
    { ...limited(healthyKey(0)), organization: "org-acme", project: "proj_web", models: [room("gpt-5.4-mini", 0.02, 0.31), room("gpt-image-2", 0.86, 1)] },
    { ...healthyKey(1), organization: "org-acme", project: "proj_batch", inFlight: 7, models: [room("gpt-5.4-mini", 0.74, 0.58), room("text-embedding-3-large", 0.93, 0.97)] },
    { ...healthyKey(2), organization: "org-side", successRate: 99.84, inFlight: 3, models: [room("gpt-5.4-mini", 0.22, 0.48)] },
    { ...revoked(healthyKey(3)), organization: "org-old" },
  ];
}

export const manyKeys = (n) => [...Array(n).keys()].map((i) => {
  const key = { ...healthyKey(i), name: `keys.txt:${i + 1}` };
  return i % 100 === 99 ? revoked(key) : i % 50 === 24 ? limited(key) : key;
});
