"use strict";
/* The live events, newest first. A storm of them is drawn once a moment, and only the newest stay. */

const FEED_MAX = 100;   // events kept on the page
const FEED_MS = 250;    // between two drawings

/* kind: [shape, tone, words]; what is not listed is shown by its own name. */
const KINDS = {
  failover: ["turn", "warn", "Failover"],
  circuit_opened: ["unhealthy", "bad", "Circuit opened"],
  circuit_half_open: ["limited", "warn", "Trying again"],
  circuit_closed: ["healthy", "good", "Circuit closed"],
  key_disabled: ["off", "bad", "Key disabled"],
  key_enabled: ["healthy", "good", "Key enabled"],
  key_reset: ["turn", "good", "Key reset"],
  key_added: ["dot", "", "Key added"],
  key_removed: ["dot", "", "Key removed"],
  all_down: ["unhealthy", "bad", "Every key is out"],
  recovered: ["healthy", "good", "Recovered"],
  gave_up: ["unhealthy", "bad", "Gave up on a request"],
  answer_cut: ["unhealthy", "bad", "Answer cut off"],
  reloaded: ["turn", "", "Settings reloaded"],
  draining: ["off", "warn", "Shutting down"],
};

const trailText = (trail) => (Array.isArray(trail)
  ? trail.map((t) => (typeof t === "object" ? words(t.class ?? t.reason) : words(t))).join(" → ")
  : String(trail ?? "").split(",").filter(Boolean).map(words).join(" → "));

function detailsOf(fields) {
  return [words(fields.reason), fields.scope ? `scope ${words(fields.scope)}` : "", fields.status ? `status ${fields.status}` : "",
    fields.code ?? "", fields.model ?? "", fields.count > 1 ? `${count(fields.count)} times` : "", trailText(fields.trail), fields.requestId ?? ""]
    .map(String).filter(Boolean);
}

function eventLine(kind, fields) {
  const [icon, tone, head] = KINDS[kind] || ["dot", "", sentence(words(kind))];
  const at = when(fields.time), time = Number.isFinite(at) ? at : Date.now();
  const who = fields.name || fields.keyId || fields.key || fields.account || "";
  const text = make("p", {}, make("strong", {}, head), who ? ` ${who}` : "");
  const details = [...new Set(detailsOf(fields))].join(" · ");
  if (details) text.append(make("small", {}, details));
  return make("li", { "data-kind": kind, "data-tone": tone },
    make("time", { datetime: new Date(time).toISOString() }, clock(time)), shape(icon), text);
}

class Feed {
  constructor() {
    this.list = byId("feed");
    this.waiting = [];
    this.timer = 0;
    this.held = false;
    this.hold = byId("feed-hold");
    this.hold.onclick = () => this.setHeld(!this.held);
  }

  setHeld(held) {
    this.held = held;
    this.hold.setAttribute("aria-pressed", String(held));
    this.schedule();
    this.label();
  }

  label() {
    setText(this.hold, this.held ? `Go on${this.waiting.length ? ` (${this.waiting.length} new)` : ""}` : "Hold");
  }

  add(kind, fields) {
    this.waiting.push([kind, fields]);
    if (this.waiting.length > FEED_MAX) this.waiting.shift();
    if (this.held) this.label();
    this.schedule();
  }

  schedule() {
    if (this.timer || this.held || !this.waiting.length) return;
    this.flush();
    this.timer = setTimeout(() => { this.timer = 0; this.schedule(); }, FEED_MS);
  }

  flush() {
    byId("feed-absent").hidden = true;
    this.list.prepend(...this.waiting.splice(0).reverse().map(([kind, fields]) => eventLine(kind, fields)));
    while (this.list.children.length > FEED_MAX) this.list.lastElementChild.remove();
  }

  note(text) {
    const none = byId("feed-absent");
    setText(none, text);
    none.hidden = this.list.children.length > 0;
  }
}
