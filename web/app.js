"use strict";
/* Joins the parts: asks for health and history while somebody looks, sooner when an event says that
 * something changed, and never so often that the gateway would notice.
 *
 * Few keys are asked for whole. Of many the gateway gives one page; a search by name fetches the
 * whole list, seldom. With many keys, what an answer took bounds how soon the next one is asked
 * for, at COST_SHARE of a core. */

const HEALTH_MS = 5000;        // between two looks at health, nothing having happened
const EARLY_MS = [100, 300];   // after an event: how long others may join it, and the least between two looks
const HISTORY_MS = 30000;
const MANY_KEYS = 500;         // from here on by page
const COST_SHARE = 0.01;
const SLOW_MS = 60000;         // the longest that cost may delay a look
const WHOLE_MS = 30000;        // how old a whole list of many keys may be

const VERDICTS = {
  healthy: ["healthy", "Healthy"],
  degraded: ["limited", "Degraded"],
  unhealthy: ["unhealthy", "Unhealthy"],
};

const page = {
  summary: null, health: null, whole: null, wholeAt: 0, lookedAt: 0, took: 0,
  timer: 0, looking: false, again: false, overall: "", historyAt: 0, events: "",
};

/* ---- health --------------------------------------------------------------------------------- */

const many = () => (page.summary?.totalKeys ?? 0) > MANY_KEYS;

/* The query for what the person wants to see. */
function healthPath() {
  const { state, text, page: number } = keys.wanted;
  if (!many()) return `/api/openai/health?limit=${MANY_KEYS}`;
  if (text) return "/api/openai/health";
  return `/api/openai/health?limit=${ROWS_MAX}&offset=${number * ROWS_MAX}${state ? `&state=${state}` : ""}`;
}

/* A list already here that is fresh enough for a search. */
const wholeIsFresh = () => page.whole && (!many() || Date.now() - page.wholeAt < WHOLE_MS);

async function lookAtHealth() {
  const path = healthPath(), started = performance.now();
  const asked = many() ? { ...keys.wanted } : { state: "", text: "", page: 0 };
  const health = await askWithToken(path, { accept: [503] });
  page.took = performance.now() - started;
  page.lookedAt = Date.now();
  page.health = health;
  page.summary = health.summary || {};
  page.shows = asked;
  const list = Array.isArray(health.keys) ? health.keys : [];
  if (list.length >= page.summary.totalKeys || !path.includes("?")) {
    page.whole = list;
    page.wholeAt = page.lookedAt;
  } else if (!many()) {
    page.whole = list;
  } else if (!keys.wanted.text) {
    page.whole = null;
  }
  showHealth();
}

function matching() {
  const s = page.summary, by = { healthy: s.healthyKeys, rateLimited: s.rateLimitedKeys, unhealthy: s.unhealthyKeys };
  return keys.wanted.state ? by[keys.wanted.state] ?? 0 : s.totalKeys ?? 0;
}

/* Whether the page of keys that came is the one wanted: the person may have gone on meanwhile. */
const showsWanted = () => ["state", "text", "page"].every((what) => page.shows[what] === keys.wanted[what]);

function showKeys() {
  if (page.whole) keys.showAll(page.whole, page.lookedAt);
  else if (showsWanted()) keys.show((page.health.keys || []).slice(0, ROWS_MAX), keys.wanted.page * ROWS_MAX, matching(), page.lookedAt);
}

function overallText(s) {
  const out = s.rateLimitedKeys + s.unhealthyKeys;
  if (!s.totalKeys) return "No key is configured.";
  if (page.health.overallStatus === "unhealthy") return `None of ${plural(s.totalKeys, "key")} can serve right now.`;
  if (!out) return s.totalKeys === 1 ? "The only key serves." : `All ${count(s.totalKeys)} keys serve.`;
  return `${count(s.healthyKeys)} of ${plural(s.totalKeys, "key")} serve${s.healthyKeys ? "" : " every model"}; `
    + [s.rateLimitedKeys && `${count(s.rateLimitedKeys)} rate limited`, s.unhealthyKeys && `${count(s.unhealthyKeys)} unhealthy`]
      .filter(Boolean).join(", ") + ".";
}

function showOverall() {
  const s = page.summary, overall = page.health.overallStatus in VERDICTS ? page.health.overallStatus : "";
  const [icon, word] = VERDICTS[overall] || ["unknown", "Unknown"];
  const place = byId("verdict");
  setState(place, overall || "unknown");
  reshape(place.querySelector("svg"), icon);
  setText(byId("overall-head"), word);
  setText(byId("overall-text"), overallText(s));
  document.title = overall === "healthy" ? "Sparekey" : `${word} – Sparekey`;
  if (page.overall && page.overall !== overall) setText(byId("said"), `The gateway is now ${word.toLowerCase()}. ${overallText(s)}`);
  page.overall = overall;
}

function showHealth() {
  const s = page.summary, figures = { total: s.totalKeys, healthy: s.healthyKeys, limited: s.rateLimitedKeys, unhealthy: s.unhealthyKeys };
  byId("notice").hidden = true;
  showOverall();
  for (const [name, n] of Object.entries(figures)) {
    setText(byId(`figure-${name}`), count(n));
    setText(byId(`count-${name === "total" ? "all" : name}`), count(n));
  }
  setText(byId("figure-rate"), percent(s.overallSuccessRate));
  showKeys();
}

/* ---- the rhythm ----------------------------------------------------------------------------- */

/* The least between two looks, so that many keys cost no more than COST_SHARE. */
const costMs = () => (many() ? Math.min(page.took / COST_SHARE, SLOW_MS) : 0);

function lookIn(ms) {
  clearTimeout(page.timer);
  page.timer = document.hidden ? 0 : setTimeout(look, ms);
}

/* Something happened: look soon. Several events are one look. */
function lookSoon() {
  if (page.looking) { page.again = true; return; }
  const since = Date.now() - page.lookedAt, due = Math.max(EARLY_MS[0], Math.max(EARLY_MS[1], costMs()) - since);
  if (page.dueAt && page.dueAt <= Date.now() + due) return;
  page.dueAt = Date.now() + due;
  lookIn(due);
}

async function look() {
  if (page.looking) { page.again = true; return; }
  page.looking = true;
  page.again = false;
  page.dueAt = 0;
  try {
    await lookAtHealth();
    setLink();
  } catch (error) {
    showTrouble(error);
  }
  page.looking = false;
  if (page.again) lookSoon();
  else lookIn(Math.max(HEALTH_MS, costMs()));
  if (Date.now() - page.historyAt >= HISTORY_MS) lookAtHistory();
}

/* `ask`: with a button that asks for the token. */
function showNotice(text, ask = false) {
  setText(byId("notice-text"), text);
  byId("notice-ask").hidden = !ask;
  byId("notice").hidden = false;
}

byId("notice-ask").onclick = () => { askAgain(); look(); };

function showTrouble(error) {
  showNotice(error.status ? error.message
    : "The gateway does not answer. What is shown is from before; trying again.", error.status === 401);
  byId("link").dataset.state = "lost";
  setText(byId("link-text"), error.status === 401 ? "token needed" : "no connection");
}

async function lookAtHistory() {
  page.historyAt = Date.now();
  try {
    chart.show(await ask("/api/openai/history?minutes=60"));
  } catch (error) {
    if (error.status) chart.absent(error.status === 404 && !error.code.startsWith("history")
      ? "Not available: this gateway keeps no history." : error.message);
  }
}

/* ---- events --------------------------------------------------------------------------------- */

const LINK_WORDS = { live: "live", polling: `every ${HEALTH_MS / 1000} s` };

function setLink() {
  const state = page.events === "live" ? "live" : "polling";
  setState(byId("link"), state);
  setText(byId("link-text"), LINK_WORDS[state]);
}

function onEventLink(state) {
  page.events = state;
  if (page.summary) setLink();
  if (state === "absent") feed.note("Not available: this gateway tells no events.");
  else if (state === "live") feed.note("Nothing has happened since this page was opened.");
}

function onEvent(kind, fields) {
  feed.add(kind, fields);
  if (kind !== "failover") lookSoon();
  else if (Date.now() - page.lookedAt > HEALTH_MS / 5) lookSoon();
}

/* ---- actions -------------------------------------------------------------------------------- */

const ACTS = {
  disable: ["Disable", "New requests will not use it until it is enabled again; those under way finish."],
  enable: ["Enable", "It serves again from the next request on."],
  reset: ["Reset", "Its breakers close and its error counts are forgotten; the next request may use it."],
};

async function act(key, what, button) {
  const name = key.name || key.keyId, [verb, text] = ACTS[what];
  if (!(await confirmed(`${verb} ${name}?`, `${key.keyId}. ${text}`, verb))) return;
  button.disabled = true;
  try {
    await askWithToken(`/api/openai/keys/${encodeURIComponent(name)}/${what}`, { method: "POST", kind: "admin" });
    setText(byId("said"), `${name}: ${what} done.`);
    page.whole = many() ? null : page.whole;
    await lookAtHealth();
  } catch (error) {
    showNotice(error.status === 404 && !error.code
      ? "Not available: this gateway cannot change keys." : `${verb} ${name}: ${error.message}`);
  }
  button.disabled = false;
  lookIn(HEALTH_MS);
  showKeys();
}

/* A link sends no token, so with one the document is fetched and shown from here. */
byId("health-link").onclick = async (event) => {
  if (!tokens.get("client")) return;
  event.preventDefault();
  try {
    const health = JSON.stringify(await askWithToken("/api/openai/health", { accept: [503] }), null, 2);
    location.assign(URL.createObjectURL(new Blob([health], { type: "application/json" })));
  } catch (error) {
    showTrouble(error);
  }
};

/* ---- theme ---------------------------------------------------------------------------------- */

const THEMES = ["system", "light", "dark"];

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText(byId("theme"), `Theme: ${theme}`);
  localStorage.setItem("sparekey-theme", theme);
}

byId("theme").onclick = () => {
  const now = THEMES.indexOf(document.documentElement.dataset.theme ?? "system");
  setTheme(THEMES[(now + 1) % THEMES.length]);
};

/* ---- beginning ------------------------------------------------------------------------------ */

const chart = new Chart(), feed = new Feed(), drill = new Drill();
const keys = new Keys(act, () => {
  if (!page.health) return;
  if (wholeIsFresh()) showKeys();
  else look();
});

setTheme(THEMES.includes(localStorage.getItem("sparekey-theme")) ? localStorage.getItem("sparekey-theme") : "system");
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(page.timer) : look()));
setInterval(() => { if (!document.hidden) keys.tick(Date.now()); }, 1000);
look().then(() => new EventLink("/api/openai/events", onEvent, onEventLink));
