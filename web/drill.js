"use strict";
/* A failure rehearsed: one request through the gateway, and the way it took. */

const DRILL_MS = 120000;  // a simulated timeout takes its time

function attemptLine(attempt, good) {
  const how = good ? "served" : words(attempt.class ?? attempt.reason ?? "failed");
  const facts = [attempt.drill ? "simulated" : "", attempt.status || "", Number.isFinite(attempt.ms) ? `${count(Math.round(attempt.ms))} ms` : ""].filter(Boolean);
  const line = make("li", { "data-tone": good ? "good" : "bad" }, make("strong", {}, String(attempt.name || attempt.key || "?")),
    ` ${how} `, make("small", {}, facts.join(" · ")));
  return line;
}

const servedBy = (attempt) => /^(ok|success|served|none|)$/.test(String(attempt.class ?? "")) && !(attempt.status >= 400);

function outcome(good, text) {
  return make("p", { class: "outcome", "data-tone": good ? "good" : "bad" }, shape(good ? "healthy" : "unhealthy"), make("span", {}, text));
}

class Drill {
  constructor() {
    this.place = byId("drill-result");
    this.button = byId("drill-run");
    byId("drill").onsubmit = (event) => { event.preventDefault(); this.run(); };
  }

  path() {
    const query = new URLSearchParams({ type: byId("drill-type").value });
    const fault = byId("drill-fault").value;
    if (fault) {
      query.set("inject", fault);
      query.set("n", byId("drill-n").value);
    }
    return `/api/openai/test-fallback?${query}`;
  }

  async run() {
    this.button.disabled = true;
    this.place.replaceChildren(make("p", { class: "absent" }, "Under way …"));
    try {
      this.show(await askWithToken(this.path(), { kind: "admin", accept: [429, 500, 502, 503, 504], timeout: DRILL_MS }));
    } catch (error) {
      const absent = error.status === 404 || error.status === 405;
      this.place.replaceChildren(outcome(false, absent ? "Not available: this gateway has no drills." : error.message));
    }
    this.button.disabled = false;
    this.button.focus({ preventScroll: true });
  }

  show(told) {
    const attempts = Array.isArray(told.attempts) ? told.attempts : [], good = told.success === true;
    const took = Number.isFinite(told.durationMs) ? ` in ${count(Math.round(told.durationMs))} ms` : "";
    const error = typeof told.error === "object" && told.error ? told.error.message : told.error;
    const head = good ? `Served by ${told.keyName || told.keyUsed || "a key"}${took}` : `Not served${took}: ${error || "every attempt failed"}`;
    this.place.replaceChildren(outcome(good, head));
    if (attempts.length)
      this.place.append(make("ol", { class: "trail", "aria-label": "Attempts" },
        ...attempts.map((a, i) => attemptLine(a, good && i === attempts.length - 1 && servedBy(a)))));
    if (told.requestId) this.place.append(make("p", { class: "hint" }, `Request ${told.requestId}`));
  }
}
