// What the page must do, each in a browser of its own. `told`: origin of the gateway, control of the
// mock, open(options) for a page, and what test_page.py gives besides.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import { Fake, fourKeys, healthyKey, limited, manyKeys } from "./fake.mjs";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ROWS_MAX = 50, PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const row = (page, name) => page.locator("#rows tr").filter({ has: page.locator(".name", { hasText: new RegExp(`^${name}$`) }) });
const stateOf = (page, name, state) => row(page, name).locator(`.state[data-state="${state}"]`).waitFor();
const overall = (page, state) => page.locator(`#verdict[data-state="${state}"]`).waitFor();
const live = (page) => page.locator('#link[data-state="live"]').waitFor();
const said = (page, id) => page.locator(`#${id}`).textContent();

/* The page in front of a fake gateway. */
async function staged(told, keys, options) {
  const fake = await new Fake(told.origin).start();
  told.origins.push(fake.url);
  fake.keys = keys;
  const page = await told.open(options);
  return { fake, page };
}

async function shown(told, keys, options) {
  const { fake, page } = await staged(told, keys, options);
  await page.goto(fake.url);
  await page.locator("#rows tr").first().waitFor();
  return { fake, page };
}

async function chat(origin) {
  return fetch(`${origin}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "gpt-test", messages: [{ role: "user", content: "hello" }] }) });
}

/* ---- the real gateway ----------------------------------------------------------------------- */

export async function shows_the_keys({ origin, open }) {
  const page = await open();
  await page.goto(origin);
  await overall(page, "healthy");
  assert.equal(await page.locator("#rows tr").count(), 4);
  assert.match(await said(page, "overall-text"), /^All 4 keys serve\.$/);
  assert.match(await row(page, "OPENAI_API_KEY").locator(".mask").textContent(), /^sk-proj\.\.\..{4}$/);
}

/* The page's own time: the browser's first page also waits for the browser, read from a cold disk. */
export async function paints_at_once({ origin, open, slack }) {
  const paints = [];
  for (let i = 0; i < 3; i++) {
    const page = await open();
    await page.goto(origin);
    await overall(page, "healthy");
    paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
  }
  console.log(`first paint after ${paints.map(Math.round).join(", ")} ms`);
  assert.ok(Math.min(...paints) < 1000 * slack, `first paint after ${paints} ms`);
}

export async function a_limit_at_the_upstream_shows({ origin, open }) {
  const page = await open();
  await page.goto(origin);
  await overall(page, "healthy");
  assert.equal((await chat(origin)).status, 200);
  const answered = Date.now();
  await stateOf(page, "OPENAI_API_KEY", "limited");
  console.log(`shown ${Date.now() - answered} ms after the answer`);
  assert.match(await row(page, "OPENAI_API_KEY").locator(".why").textContent(), /rate.*(next try in|next request)/is);
  assert.match(await said(page, "overall-text"), /3 of 4 keys serve; 1 rate limited/);
}

/* `client` and `admin`: the right tokens. */
export async function asks_for_tokens({ origin, open, client }) {
  const page = await open();
  await page.goto(origin);
  const dialog = page.locator("#ask");
  await dialog.waitFor();
  assert.ok(await page.locator("#ask-token").evaluate((field) => field === document.activeElement));
  await page.keyboard.type("wrong");
  const refused = page.waitForResponse((answer) => answer.status() === 401);
  await page.keyboard.press("Enter");
  await refused;
  await dialog.waitFor();
  await page.locator("#ask-token").fill(client);
  await page.keyboard.press("Enter");
  await overall(page, "healthy");
  const stored = await page.evaluate(() => [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie]);
  assert.ok(!stored[0].includes(client) && stored[1].includes(client) && stored[2] === "");
  assert.ok(!(await page.content()).includes(client));
}

/* Who presses Cancel is left alone until the notice's button; the page looks every 5 s all the same. */
export async function takes_no_for_an_answer({ origin, open, client }) {
  const page = await open();
  await page.clock.install();
  await page.goto(origin);
  const dialog = page.locator("#ask"), button = page.locator("#notice-ask");
  await dialog.waitFor();
  await page.locator("#ask-no").click();
  await button.waitFor();
  for (let looks = 0; looks < 3; looks++) {
    const refused = page.waitForResponse((answer) => answer.url().includes("/api/openai/health"));
    await page.clock.runFor(5000);
    await (await refused).finished();
    await button.waitFor();
    assert.ok(!(await dialog.isVisible()));
  }
  await button.click();
  await page.locator("#ask-token").fill(client);
  await page.keyboard.press("Enter");
  await overall(page, "healthy");
  assert.ok(!(await page.locator("#notice").isVisible()));
}

/* `client`: the right token; without one the link is a plain one. */
export async function shows_health_as_json({ origin, open, client }) {
  const page = await open();
  await page.goto(origin);
  if (client) {
    await page.locator("#ask-token").fill(client);
    await page.keyboard.press("Enter");
  }
  await overall(page, "healthy");
  await page.locator("#health-link").click();
  await page.waitForURL(client ? /^blob:/ : /\/api\/openai\/health$/);
  assert.equal(JSON.parse(await page.locator("body").innerText()).summary.totalKeys, 4);
}

/* `keys`: how many there are. */
export async function shows_very_many({ origin, open, keys }) {
  const page = await open();
  await page.goto(origin);
  await overall(page, "healthy");
  assert.equal(await page.locator("#rows tr").count(), ROWS_MAX);
  assert.equal(await said(page, "pages-text"), `1–50 of ${keys.toLocaleString("en")} keys`);
  await page.locator("#find").fill(`:${keys}`);
  await page.locator("#rows .name", { hasText: `keys.txt:${keys}` }).waitFor();
  assert.equal(await page.locator("#rows tr").count(), 1);
}

/* Five minutes of an open page, in a moment: the page's clock is ours. */
export async function stays_open({ origin, open, minutes }) {
  const page = await open();
  await page.clock.install();
  await page.goto(origin);
  await overall(page, "healthy");
  const asked = () => page.waitForResponse((answer) => answer.url().includes("/api/openai/health"));
  let looks = 0;
  for (let s = 0; s < minutes * 60; s += 5, looks++) {
    const answered = asked();
    await page.clock.runFor(5000);
    await (await answered).finished();
  }
  console.log(`${looks} looks in ${minutes} minutes`);
}

/* A 429 at the mock, told by the gateway's own events. */
export async function a_limit_shows_within_a_second({ origin, open, slack }) {
  const page = await open();
  await page.goto(origin);
  await overall(page, "healthy");
  await live(page);
  assert.equal((await chat(origin)).status, 200);
  const answered = Date.now();
  await page.locator('#feed li[data-kind="circuit_opened"]').waitFor();
  await page.locator('#feed li[data-kind="failover"]').waitFor();
  await stateOf(page, "OPENAI_API_KEY", "limited");
  const ms = Date.now() - answered;
  console.log(`shown ${ms} ms after the answer`);
  assert.ok(ms < 1000 * slack, `shown after ${ms} ms`);
}

export async function drills_for_real({ origin, open }) {
  const page = await open();
  await page.goto(origin);
  await overall(page, "healthy");
  for (const [fault, n] of [["429", 2], ["401", 3], ["quota", 2], ["500", 1], ["reset", 1], ["cut", 1]]) {
    await page.locator("#drill-fault").selectOption(fault);
    await page.locator("#drill-n").fill(String(n));
    await page.locator("#drill-run").click();
    await page.locator("#drill-run:enabled").waitFor();
    assert.match(await said(page, "drill-result"), /Served by OPENAI_API_KEY/, fault);
    assert.equal(await page.locator('.trail li[data-tone="bad"]').count(), n, fault);
    assert.equal(await page.locator('.trail li[data-tone="good"]').count(), 1, fault);
    assert.equal(await page.locator(".trail li", { hasText: "simulated" }).count(), n, fault);
  }
  await page.reload();
  await overall(page, "healthy");
}

export async function switches_for_real({ origin, open }) {
  const page = await open(), name = "OPENAI_API_KEY";
  await page.goto(origin);
  await stateOf(page, name, "healthy");
  for (const [press, state] of [["Disable", "off"], ["Enable", "healthy"]]) {
    await row(page, name).getByRole("button", { name: press }).click();
    await page.locator("#confirm-yes").click();
    await stateOf(page, name, state);
  }
  assert.equal((await chat(origin)).status, 200);
  await stateOf(page, name, "limited");
  await row(page, name).getByRole("button", { name: "Reset" }).click();
  await page.locator("#confirm-yes").click();
  await stateOf(page, name, "healthy");
}

export async function draws_the_history({ origin, open }) {
  const page = await open();
  await page.goto(origin);
  await page.locator("#chart svg").waitFor();
  assert.equal(await page.locator("#chart g.minute").count(), 60);
}

/* ---- events --------------------------------------------------------------------------------- */

export async function an_event_shows_at_once(told) {
  const { fake, page } = await shown(told, [0, 1, 2, 3].map(healthyKey));
  await live(page);
  fake.keys[0] = limited(fake.keys[0]);
  const toldAt = Date.now();
  fake.tell("circuit_opened", { key: "sk-proj...1000", name: "OPENAI_API_KEY", scope: "key", reason: "rate_limit", status: 429, code: "rate_limit_exceeded" });
  await page.locator('#feed li[data-kind="circuit_opened"]').waitFor();
  await stateOf(page, "OPENAI_API_KEY", "limited");
  console.log(`shown ${Date.now() - toldAt} ms after the event`);
  assert.match(await said(page, "feed"), /Circuit opened OPENAI_API_KEY.*rate limit.*status 429/);
}

export async function a_cut_stream_goes_on_where_it_was(told) {
  const { fake, page } = await shown(told, fourKeys());
  await live(page);
  fake.tell("failover", { name: "OPENAI_API_KEY_FALLBACK_1", trail: "rate_limit,invalid_key", requestId: "req_1" });
  await page.locator('#feed li[data-kind="failover"]').waitFor();
  assert.match(await said(page, "feed"), /rate limit → invalid key.*req_1/);
  fake.cut();
  await fake.until(() => fake.lastIds.length === 2 && fake.streams.size === 1);
  assert.deepEqual(fake.lastIds, ["", "1"]);
  fake.tell("recovered", {});
  await page.locator('#feed li[data-kind="recovered"]').waitFor();
  fake.stop();
}

/* A storm: the list stays short, and the gateway is not asked for every one of them. */
export async function a_storm_of_events_is_endured(told) {
  const { fake, page } = await shown(told, fourKeys());
  await live(page);
  const before = fake.count("/api/openai/health"), began = Date.now();
  for (let i = 0; i < 2000; i++) fake.tell("failover", { name: `key ${i}`, trail: "rate_limit" });
  await page.locator("#feed li", { hasText: "key 1999" }).waitFor();
  assert.ok((await page.locator("#feed li").count()) <= 100);
  const looks = fake.count("/api/openai/health") - before, seconds = (Date.now() - began) / 1000;
  assert.ok(looks <= 2 + 4 * seconds, `${looks} looks in ${seconds} s`);
}

/* ---- actions -------------------------------------------------------------------------------- */

export async function drills(told) {
  const { fake, page } = await shown(told, fourKeys());
  fake.drill = { success: true, type: "chat", keyUsed: "sk-proj...1002", keyName: "OPENAI_API_KEY_FALLBACK_2", durationMs: 412, requestId: "req_9",
    attempts: [{ key: "sk-proj...1000", name: "OPENAI_API_KEY", class: "quota_exhausted", status: 429, ms: 0, drill: true },
      { key: "sk-proj...1001", name: "OPENAI_API_KEY_FALLBACK_1", class: "quota_exhausted", status: 429, ms: 0, drill: true },
      { key: "sk-proj...1002", name: "OPENAI_API_KEY_FALLBACK_2", class: "ok", status: 200, ms: 411 }] };
  await page.locator("#drill-fault").selectOption("quota");
  await page.locator("#drill-n").fill("2");
  await page.locator("#drill-run").click();
  await page.locator(".trail li").nth(2).waitFor();
  assert.ok(fake.calls.some((call) => call.path === "/api/openai/test-fallback?type=chat&inject=quota&n=2"));
  assert.match(await said(page, "drill-result"), /Served by OPENAI_API_KEY_FALLBACK_2 in 412 ms.*quota exhausted simulated.*served 200/);
  fake.drill = { success: false, attempts: fake.drill.attempts.slice(0, 2), durationMs: 3, error: "no key left" };
  await page.locator("#drill-run").click();
  await page.locator('.outcome[data-tone="bad"]', { hasText: "no key left" }).waitFor();
  fake.absent = ["/api/openai/test-fallback"];
  await page.locator("#drill-run").click();
  await page.locator('.outcome[data-tone="bad"]', { hasText: "Not available" }).waitFor();
}

export async function switches_keys(told) {
  const { fake, page } = await shown(told, [0, 1].map(healthyKey)), name = "OPENAI_API_KEY_FALLBACK_1";
  const orders = () => fake.calls.filter((call) => call.method === "POST").map((call) => call.path);
  const press = (text) => row(page, name).getByRole("button", { name: text }).click();
  await press("Disable");
  await page.locator("#confirm-head", { hasText: `Disable ${name}?` }).waitFor();
  await page.locator("#confirm-no").click();
  assert.deepEqual(orders(), []);
  await press("Disable");
  await page.locator("#confirm-yes").click();
  await stateOf(page, name, "off");
  await overall(page, "degraded");
  assert.match(await row(page, name).locator(".why").textContent(), /disabled by operator/i);
  await press("Enable");
  await page.locator("#confirm-yes").click();
  await stateOf(page, name, "healthy");
  fake.keys[1] = limited(fake.keys[1]);
  await page.reload();
  await stateOf(page, name, "limited");
  await press("Reset");
  await page.locator("#confirm-yes").click();
  await stateOf(page, name, "healthy");
  assert.deepEqual(orders(), ["disable", "enable", "reset"].map((what) => `/api/openai/keys/${name}/${what}`));
}

/* ---- hands and eyes ------------------------------------------------------------------------- */

/* Tab until this element has the focus, which must be visible. */
async function tabTo(page, selector) {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press("Tab");
    const there = await page.evaluate((s) => document.activeElement.matches(s) && document.activeElement.matches(":focus-visible"), selector);
    if (there) return;
  }
  throw new Error(`Tab does not reach ${selector}`);
}

export async function works_by_keyboard(told) {
  const { fake, page } = await shown(told, fourKeys());
  await tabTo(page, ".skip");
  await tabTo(page, "#theme");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await tabTo(page, '#states input[value=""]');
  await page.keyboard.press("ArrowRight");
  await page.locator("#rows tr:nth-child(2)").waitFor();
  assert.equal(await page.locator("#rows tr").count(), 2, "healthy ones");
  await tabTo(page, "#find");
  await page.keyboard.type("fallback_2");
  await page.locator("#rows tr:nth-child(2)").waitFor({ state: "detached" });
  await tabTo(page, '[aria-label="Disable OPENAI_API_KEY_FALLBACK_2"]');
  await page.keyboard.press("Space");
  await page.locator("#confirm").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#confirm").waitFor({ state: "hidden" });
  assert.match(await page.evaluate(() => document.activeElement.ariaLabel), /^Disable OPENAI_API_KEY_FALLBACK_2$/, "focus comes back");
  await page.keyboard.press("Enter");
  await page.locator("#confirm").waitFor();
  await tabTo(page, "#confirm-yes");
  await page.keyboard.press("Enter");
  await fake.until(() => fake.calls.some((call) => call.path.endsWith("/disable")));
  await tabTo(page, "#drill-run");
  await page.keyboard.press("Enter");
  await page.locator(".outcome").waitFor();
}

async function inspect(page, what) {
  const found = await page.evaluate(`(() => { const module = undefined, exports = undefined, define = undefined; ${AXE};
    return axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }); })()`);
  const wrong = found.violations.map((v) => `${v.id} (${v.impact}): ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`);
  assert.deepEqual(wrong, [], what);
  assert.ok(found.passes.length > 10, `${what}: only ${found.passes.length} rules looked at`);
}

export async function is_accessible(told) {
  for (const [what, options] of [["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }], ["phone", PHONE]]) {
    const { fake, page } = await shown(told, [...fourKeys(), limited(healthyKey(4))], options);
    fake.tell("circuit_opened", { name: "OPENAI_API_KEY", reason: "rate_limit", status: 429 });
    await page.locator("#chart svg").waitFor();
    await inspect(page, what);
    await page.locator("#rows tr").first().getByRole("button", { name: "Disable" }).click();
    await inspect(page, `${what}, dialog`);
  }
}

/* 360 pixels: nothing is wider than the screen, and what is not is not cut off either. */
export async function fits_a_phone(told) {
  const { page } = await shown(told, fourKeys(), PHONE);
  await page.locator("#chart svg").waitFor();
  const wide = await page.evaluate(() => [document.documentElement.scrollWidth,
    [...document.querySelectorAll("main *:not(.unseen, thead, thead *, svg *)")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))]);
  assert.deepEqual(wide, [360, []]);
  const cells = await page.locator("#rows tr").first().evaluate((tr) => [tr.role, ...[...tr.cells].map((cell) => cell.role)]);
  assert.deepEqual(cells, ["row", ...Array(7).fill("cell")], "a table to screen readers all the same");
}

/* ---- many keys, few requests ---------------------------------------------------------------- */

/* 10,000 keys: what is in the document does not grow, and only a search asks for all of them. */
export async function pages_through_many(told) {
  const { fake, page } = await shown(told, manyKeys(10000));
  const rows = page.locator("#rows tr");
  await page.locator("#rows tr:nth-child(50)").waitFor();
  assert.equal(await said(page, "count-all"), "10,000");
  await page.locator("#page-next").click();
  await row(page, "keys.txt:51").waitFor();
  assert.equal(await rows.count(), ROWS_MAX);
  await page.locator('#states label', { hasText: "Unhealthy" }).click();
  await row(page, "keys.txt:100").waitFor();
  await stateOf(page, "keys.txt:100", "unhealthy");
  assert.equal(await said(page, "pages-text"), "1–50 of 100 keys");
  assert.ok(!fake.calls.some((call) => call.path === "/api/openai/health"), "never all of them");
  await page.locator('#states label', { hasText: "All" }).click();
  await page.locator("#find").fill("txt:7777");
  await row(page, "keys.txt:7777").waitFor();
  assert.equal(await rows.count(), 1);
  await page.locator("#find").fill("txt:77");
  await page.locator("#pages-text", { hasText: "1–50 of 111 keys" }).waitFor();
  assert.equal(fake.calls.filter((call) => call.path === "/api/openai/health").length, 1, "letters do not ask again");
  await page.locator("#find").fill("no such key");
  await page.locator("#rows-absent", { hasText: "No key matches" }).waitFor();
}

/* Nobody looks: nothing is asked. Somebody looks again: at once. */
export async function a_hidden_page_is_silent(told) {
  const { fake, page } = await staged(told, fourKeys());
  await page.clock.install();
  await page.goto(fake.url);
  await live(page);
  const see = (hidden) => page.evaluate((h) => {
    Object.defineProperty(document, "hidden", { value: h, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await see(true);
  const before = fake.count("/api/openai/h");
  await page.clock.runFor(300000);
  assert.equal(fake.count("/api/openai/h"), before);
  await see(false);
  await fake.until(() => fake.count("/api/openai/health") > 1);
}

/* A gateway of another build, with less: the page says what is missing and shows the rest. */
export async function says_what_is_missing(told) {
  const { fake, page } = await staged(told, fourKeys());
  fake.absent = ["/api/openai/history", "/api/openai/events"];
  fake.paging = false;
  await page.goto(fake.url);
  await page.locator("#chart-absent", { hasText: "Not available" }).waitFor();
  await page.locator("#feed-absent", { hasText: "Not available" }).waitFor();
  await page.locator('#link[data-state="polling"]').waitFor();
  assert.equal(await page.locator("#rows tr").count(), 4);
}

/* The gateway goes away: said in words, what was known stays. */
export async function says_when_the_gateway_is_gone(told) {
  const { fake, page } = await shown(told, fourKeys());
  fake.stop();
  await page.locator("#notice", { hasText: "does not answer" }).waitFor();
  assert.equal(await page.locator("#rows tr").count(), 4);
}

/* ---- pictures ------------------------------------------------------------------------------- */

const EVENTS = [
  ["key_added", { name: "OPENAI_API_KEY_FALLBACK_3" }],
  ["circuit_opened", { name: "OPENAI_API_KEY_FALLBACK_3", reason: "invalid_key", scope: "key", status: 401, code: "invalid_api_key" }],
  ["failover", { name: "OPENAI_API_KEY_FALLBACK_1", trail: "invalid_key", requestId: "req_77e0b2" }],
  ["circuit_closed", { name: "OPENAI_API_KEY_FALLBACK_2", scope: "project+model" }],
  ["circuit_opened", { name: "OPENAI_API_KEY", reason: "rate_limit", scope: "project+model", status: 429, code: "rate_limit_exceeded" }],
  ["failover", { name: "OPENAI_API_KEY_FALLBACK_1", trail: "rate_limit", requestId: "req_5a1c09" }],
];

/* `directory`: where page-light.png, page-dark.png and page-phone.png go. */
export async function pictures(told) {
  for (const [name, options] of [["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }], ["phone", { ...PHONE, deviceScaleFactor: 1, colorScheme: "light" }]]) {
    const { fake, page } = await shown(told, fourKeys(), { reducedMotion: "reduce", ...options });
    await live(page);
    fake.drill = { success: true, keyName: "OPENAI_API_KEY_FALLBACK_1", durationMs: 412, requestId: "req_9b3d41", attempts: [
      { name: "OPENAI_API_KEY", class: "rate_limit", status: 429, ms: 0, drill: true }, { name: "OPENAI_API_KEY_FALLBACK_1", class: "ok", status: 200, ms: 411 }] };
    const events = name === "phone" ? EVENTS.slice(-3) : EVENTS;
    events.forEach(([kind, fields]) => fake.tell(kind, fields));
    await page.locator(`#feed li:nth-child(${events.length})`).waitFor();
    await page.locator("#drill-run").click();
    await page.locator(".trail li").nth(1).waitFor();
    await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
    await page.screenshot({ path: `${told.directory}/page-${name}.png`, fullPage: true });
  }
}
