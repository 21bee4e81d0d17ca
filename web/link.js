"use strict";
/* The way to the gateway: requests, tokens, and the stream of events.
 *
 * Two tokens, because the gateway knows two: one for who looks, one for who changes things. They
 * live in this tab's session storage and nowhere else, and go out only as bearer to this origin. */

const TOKEN_NAMES = { client: "sparekey-token", admin: "sparekey-admin-token" };
const REQUEST_MS = 30000;       // an answer that takes longer is given up
const SILENCE_MS = 45000;       // the stream says something every 15 s; three times that is a dead line
const RECONNECT_MS = [1000, 30000]; // first wait, longest wait
const ABSENT_MS = 60000;        // a route that is not there is asked again after this
const EVENT_CHARS_MAX = 65536;  // of one event; a longer one is dropped

class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const tokens = {
  get: (kind) => sessionStorage.getItem(TOKEN_NAMES[kind]) || "",
  set: (kind, value) => sessionStorage.setItem(TOKEN_NAMES[kind], value),
};

function fieldsFor(kind) {
  const token = tokens.get(kind) || (kind === "admin" ? tokens.get("client") : "");
  return token ? { authorization: `Bearer ${token}` } : {};
}

async function refusalOf(answer) {
  let error = {};
  try { error = (await answer.json()).error || {}; } catch { /* not ours: the status says enough */ }
  const text = typeof error === "string" ? error : error.message;
  return new Refused(answer.status, error.code || "", text || `The gateway answered ${answer.status}.`);
}

/* One JSON document. `accept`: statuses besides 2xx whose body is the document all the same. */
async function ask(path, { method = "GET", kind = "client", accept = [], timeout = REQUEST_MS } = {}) {
  const answer = await fetch(path, { method, headers: { accept: "application/json", ...fieldsFor(kind) },
    cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(timeout) });
  if (answer.ok || accept.includes(answer.status)) {
    const text = await answer.text();
    const document = text ? JSON.parse(text) : {};
    if (answer.ok || !document.error?.code || document.attempts || document.keys) return document;
    throw new Refused(answer.status, document.error.code, document.error.message);
  }
  throw await refusalOf(answer);
}

/* The same; a 401 asks the person for the token and tries again. Who would not give the client token
 * is not asked again before askAgain: the page asks for health every few seconds by itself. */
async function askWithToken(path, options = {}) {
  const kind = options.kind || "client";
  for (;;) {
    try {
      return await ask(path, options);
    } catch (error) {
      const unasked = kind === "client" && declined;
      if (error.status !== 401 || unasked || !(await askForToken(kind, error.message))) throw error;
    }
  }
}

/* ---- dialogs -------------------------------------------------------------------------------- */

/* Shows a dialog; true when its form was submitted. Escape and Cancel are no. Focus goes back. */
function answerOf(name, focus) {
  const dialog = byId(name), form = byId(`${name}-form`), no = byId(`${name}-no`);
  return new Promise((resolve) => {
    let said = false;
    form.onsubmit = (event) => { event.preventDefault(); said = true; dialog.close(); };
    no.onclick = () => dialog.close();
    dialog.onclose = () => resolve(said);
    dialog.showModal();
    focus.focus();
  });
}

let asking = null;     // one question at a time, whoever asks
let declined = false;  // the person has closed the question for the client token

function askForToken(kind, why) {
  asking ??= (async () => {
    setText(byId("ask-head"), kind === "admin" ? "Admin token" : "Client token");
    setText(byId("ask-text"), why);
    const field = byId("ask-token");
    field.value = "";
    const yes = await answerOf("ask", field);
    if (yes) tokens.set(kind, field.value.trim());
    field.value = "";
    if (kind === "client") declined = !yes;
    return yes;
  })().finally(() => { asking = null; });
  return asking;
}

function askAgain() { declined = false; }

async function confirmed(head, text, yes) {
  setText(byId("confirm-head"), head);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  return answerOf("confirm", byId("confirm-no"));
}

/* ---- events --------------------------------------------------------------------------------- */

/* Server-sent events out of pieces of text, however they were cut (WHATWG HTML §9.2.6). */
class EventReader {
  constructor(tell) {
    this.tell = tell;
    this.rest = "";
    this.clear();
  }

  clear() { this.kind = ""; this.data = []; this.id = null; this.chars = 0; }

  feed(text) {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop().slice(0, EVENT_CHARS_MAX);
    lines.forEach((line) => this.line(line));
  }

  line(line) {
    if (line === "") { this.end(); return; }
    this.chars += line.length;
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "event") this.kind = value;
    else if (name === "id") this.id = value;
    else if (name === "data" && this.chars <= EVENT_CHARS_MAX) this.data.push(value);
  }

  end() {
    if (this.data.length) this.tell(this.kind || "message", this.data.join("\n"), this.id);
    this.clear();
  }
}

/* Keeps a stream of events open. EventSource cannot send a bearer; this can.
 * tell(kind, fields); state("live" | "lost" | "absent" | "refused"). */
class EventLink {
  constructor(path, tell, state) {
    Object.assign(this, { path, tell, state, last: "", wait: RECONNECT_MS[0], stopped: false });
    this.run();
  }

  async run() {
    while (!this.stopped) {
      const pause = await this.once();
      await new Promise((resolve) => { this.timer = setTimeout(resolve, pause); });
    }
  }

  /* One connection, to its end. Returns how long to wait before the next. */
  async once() {
    try {
      await this.read();
    } catch (error) {
      if (error.status === 404 || error.status === 405 || error.status === 401) {
        this.state(error.status === 401 ? "refused" : "absent");
        return error.status === 401 ? RECONNECT_MS[0] * 3 : ABSENT_MS;
      }
    }
    this.state("lost");
    const pause = this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(this.wait * 2, RECONNECT_MS[1]);
    return pause;
  }

  async read() {
    const stop = new AbortController();
    let watch = setTimeout(() => stop.abort(), SILENCE_MS);
    try {
      const answer = await fetch(this.path, { cache: "no-store", credentials: "omit", signal: stop.signal,
        headers: { accept: "text/event-stream", ...fieldsFor("client"),
          ...(this.last ? { "last-event-id": this.last } : {}) } });
      if (!answer.ok) throw await refusalOf(answer);
      this.state("live");
      const events = new EventReader((kind, data, id) => this.heard(kind, data, id));
      const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await pieces.read();
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(() => stop.abort(), SILENCE_MS);
        this.wait = RECONNECT_MS[0];
        events.feed(value);
      }
    } finally {
      clearTimeout(watch);
    }
  }

  heard(kind, data, id) {
    if (id !== null) this.last = id;
    let fields;
    try { fields = JSON.parse(data); } catch { return; }  // not ours to show
    this.tell(kind, fields);
  }
}
