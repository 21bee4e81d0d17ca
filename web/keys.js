"use strict";
/* The table of keys, a page at a time: fifty rows are all that ever stand in the document, made
 * once and rewritten in place, so that focus and reading position stay where they were. */

const ROWS_MAX = 50;      // rows of one page
const ROOMS_MAX = 3;      // models shown with their headroom; the tightest ones
const LOW_ROOM = 0.25, NO_ROOM = 0.05;

const STATES = {
  healthy: { icon: "healthy", word: "Healthy" },
  limited: { icon: "limited", word: "Rate limited" },
  unhealthy: { icon: "unhealthy", word: "Unhealthy" },
  off: { icon: "off", word: "Disabled" },
};

/* ---- what a key's document says ------------------------------------------------------------- */

const reasonOf = (key) => (key.reason && typeof key.reason === "object" ? key.reason : {});
const reasonText = (key) => (typeof key.reason === "string" ? key.reason : reasonOf(key).text || words(reasonOf(key).class));

const isOff = (key) => key.disabled === true || /operator/.test(`${reasonText(key)} ${key.readmittedBy ?? ""}`);

function stateOf(key) {
  if (isOff(key)) return "off";
  if (key.isHealthy) return "healthy";
  return key.isRateLimited ? "limited" : "unhealthy";
}

/* When it is expected back, by this machine's clock; NaN when nobody can say. */
function recoveryOf(key, heardAt) {
  const told = when(key.recoveryTime ?? key.rateLimitResetAt);
  if (Number.isFinite(told)) return told;
  const ms = reasonOf(key).opensInMs;
  return Number.isFinite(ms) ? heardAt + ms : NaN;
}

function evidenceText(key) {
  const e = key.evidence || reasonOf(key).evidence || {};
  return [e.status || "", e.code || "", e.requestId || ""].filter(Boolean).join(" · ");
}

/* What is left of a model's limits: the scarcer of requests and tokens, 0 to 1. */
function roomOf(model) {
  const left = Object.values(model.headroom || {}).filter(Number.isFinite);
  return left.length ? Math.max(0, Math.min(1, ...left)) : NaN;
}

/* ---- one row -------------------------------------------------------------------------------- */

class Row {
  constructor(act) {
    this.key = null;
    this.name = make("span", { class: "name" });
    this.mask = make("code", { class: "mask" });
    this.owner = make("div", { class: "owner" });
    this.icon = shape("unknown");
    this.word = make("span");
    this.state = make("span", { class: "state" }, this.icon, this.word);
    this.why = make("span");
    this.until = make("small");
    this.proof = make("small");
    this.rate = Row.cell("number", "Success");
    this.flight = Row.cell("number", "In flight");
    this.rooms = make("div", { class: "rooms" });
    this.reset = this.button("Reset", () => act(this.key, "reset", this.reset));
    this.switch = this.button("Disable", () => act(this.key, isOff(this.key) ? "enable" : "disable", this.switch));
    this.space = Row.cell("space", "Headroom", this.rooms);
    this.whyCell = Row.cell("why", "", this.why, this.until, this.proof);
    this.element = make("tr", { role: "row" },
      Row.cell("who", "", make("div", {}, this.name), this.mask, this.owner), Row.cell("what", "", this.state),
      this.whyCell, this.rate, this.flight, this.space,
      Row.cell("do", "", make("div", { class: "acts" }, this.reset, this.switch)));
  }

  static cell(name, label, ...children) {
    return make("td", { role: "cell", class: name, ...(label ? { "data-label": label } : {}) }, ...children);
  }

  button(text, press) {
    const button = make("button", { type: "button" }, text);
    button.onclick = press;
    return button;
  }

  show(key, heardAt) {
    this.key = key;
    this.recovery = recoveryOf(key, heardAt);
    const state = stateOf(key), name = key.name || key.keyId;
    setText(this.name, name);
    setText(this.mask, key.keyId || "");
    setText(this.owner, [key.organization, key.project].filter(Boolean).join(" / "));
    setState(this.state, state);
    reshape(this.icon, STATES[state].icon);
    setText(this.word, STATES[state].word);
    this.showWhy(key, state);
    setText(this.rate, percent(key.successRate));
    this.rate.title = `${count(key.successCount)} of ${plural(key.totalRequests, "request")} succeeded`;
    setText(this.flight, count(key.inFlight));
    this.showRooms(key.models);
    this.showActions(key, state, name);
  }

  showWhy(key, state) {
    const back = key.readmittedBy && state !== "healthy" && state !== "off" ? `readmitted by ${words(key.readmittedBy)}` : "";
    const told = reasonOf(key).scope, scope = told === "key" ? "" : told;
    setText(this.why, state === "healthy" ? "" : sentence(reasonText(key)) + (scope ? ` (${words(scope)})` : ""));
    this.back = back;
    setText(this.proof, state === "healthy" ? "" : evidenceText(key));
    this.tick(Date.now());
    this.whyCell.classList.toggle("none", state === "healthy");
  }

  /* The countdown; called every second. */
  tick(now) {
    if (!this.key) return;
    let text = this.back;
    if (stateOf(this.key) === "healthy") text = "";
    else if (Number.isFinite(this.recovery)) {
      const left = this.recovery - now;
      text = left > 0 ? `next try in ${span(left)}` : "next request tries it";
      if (this.back && !/time/.test(this.back)) text += `, ${this.back}`;
    }
    setText(this.until, text);
  }

  showRooms(models) {
    const known = (Array.isArray(models) ? models : [])
      .map((m) => ({ ...m, room: roomOf(m) })).filter((m) => Number.isFinite(m.room))
      .sort((a, b) => a.room - b.room);
    const text = JSON.stringify(known.slice(0, ROOMS_MAX)) + known.length;
    if (text === this.roomsText) return;
    this.roomsText = text;
    this.rooms.replaceChildren(...known.slice(0, ROOMS_MAX).map(gauge));
    if (known.length > ROOMS_MAX) this.rooms.append(make("div", { class: "room" }, `and ${known.length - ROOMS_MAX} more`));
    this.space.classList.toggle("none", !known.length);
  }

  showActions(key, state, name) {
    const off = state === "off", idle = state === "healthy" && !key.errorCount;
    setText(this.switch, off ? "Enable" : "Disable");
    this.switch.setAttribute("aria-label", `${off ? "Enable" : "Disable"} ${name}`);
    this.reset.setAttribute("aria-label", `Reset ${name}`);
    this.reset.disabled = off || idle;
  }
}

function gauge(model) {
  const h = model.headroom, name = model.model || "unnamed model", left = `${Math.round(model.room * 100)} %`;
  const parts = ["requests", "tokens"].filter((what) => Number.isFinite(h[what]))
    .map((what) => `${Math.round(h[what] * 100)} % of ${what}`);
  const bar = make("i");
  bar.style.width = `${model.room * 100}%`;
  const room = make("div", { class: "room", role: "img", title: `${name}: ${parts.join(", ")} left`,
    "aria-label": `${name}: ${parts.join(", ")} left` },
    make("span", {}, name), left, make("div", { class: "gauge" }, bar));
  if (model.room <= NO_ROOM) room.dataset.out = "";
  else if (model.room <= LOW_ROOM) room.dataset.low = "";
  return room;
}

/* ---- the table ------------------------------------------------------------------------------ */

/* `wanted` is what the person asked to see; `changed` is called when that needs other data. */
class Keys {
  constructor(act, changed) {
    Object.assign(this, { act, changed, rows: [], heardAt: 0, wanted: { state: "", text: "", page: 0 } });
    byId("states").onchange = (event) => this.want({ state: event.target.value, page: 0 });
    byId("find").oninput = (event) => this.want({ text: event.target.value.trim().toLowerCase(), page: 0 });
    byId("page-before").onclick = () => this.turn(-1);
    byId("page-next").onclick = () => this.turn(1);
  }

  want(change) {
    Object.assign(this.wanted, change);
    this.changed();
  }

  turn(by) {
    this.want({ page: Math.max(0, this.wanted.page + by) });
    byId("keys").scrollIntoView({ block: "start" });
  }

  matches(key) {
    const { state, text } = this.wanted;
    const is = key.isHealthy ? "healthy" : key.isRateLimited ? "rateLimited" : "unhealthy";
    return (!state || is === state) && (!text || `${key.name ?? ""} ${key.keyId ?? ""}`.toLowerCase().includes(text));
  }

  /* Keys known whole: filtered and cut here. */
  showAll(keys, heardAt) {
    const found = keys.filter((key) => this.matches(key));
    this.wanted.page = Math.min(this.wanted.page, Math.max(0, Math.ceil(found.length / ROWS_MAX) - 1));
    const first = this.wanted.page * ROWS_MAX;
    this.show(found.slice(first, first + ROWS_MAX), first, found.length, heardAt);
  }

  /* One page, of `total` that match. */
  show(keys, first, total, heardAt) {
    this.heardAt = heardAt;
    while (this.rows.length < Math.min(keys.length, ROWS_MAX)) this.rows.push(new Row(this.act));
    const body = byId("rows");
    this.rows.forEach((row, i) => {
      if (i < keys.length) {
        row.show(keys[i], heardAt);
        if (!row.element.isConnected) body.append(row.element);
      } else {
        row.element.remove();
      }
    });
    this.showPages(keys.length, first, total);
  }

  showPages(shown, first, total) {
    setText(byId("pages-text"), total ? `${count(first + 1)}–${count(first + shown)} of ${plural(total, "key")}` : "");
    byId("page-before").disabled = first === 0;
    byId("page-next").disabled = first + shown >= total;
    byId("page-before").parentElement.hidden = total <= ROWS_MAX;
    const none = byId("rows-absent");
    none.hidden = shown > 0;
    setText(none, this.wanted.text || this.wanted.state ? "No key matches." : "This gateway has no key.");
  }

  tick(now) {
    this.rows.forEach((row) => { if (row.element.isConnected) row.tick(now); });
  }
}
