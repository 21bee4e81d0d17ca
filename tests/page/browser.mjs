// One scenario in one headless Chromium: node browser.mjs SCENARIO '{"origin": …}'. Ends with 0 when it
// held, and when besides no request left the gateway's origin, the policy was not violated and no
// script failed.

import fs from "node:fs";
import { chromium } from "playwright-core";
import * as scenarios from "./scenarios.mjs";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const patience = Number(process.env.PATIENCE_MS || 20000);

/* A page that notes what must not happen. */
async function openPage(browser, options, notes) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(patience);
  await context.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (e) => globalThis.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
  });
  const page = await context.newPage();
  page.on("request", (request) => notes.requests.push(request.url()));
  page.on("pageerror", (error) => notes.errors.push(String(error)));
  page.on("console", (message) => {
    // A refused request is reported as an error; which ones are refused is the scenario's matter.
    if (message.type() === "error" && !/^Failed to load resource/.test(message.text())) notes.errors.push(message.text());
  });
  notes.pages.push(page);
  return page;
}

async function check(notes, origins) {
  const own = (url) => url.startsWith("data:") || origins.some((origin) => url.replace(/^blob:/, "").startsWith(`${origin}/`));
  const outside = notes.requests.filter((url) => !own(url));
  const violations = [];
  for (const page of notes.pages) violations.push(...(await page.evaluate(() => globalThis.violations)));
  if (!notes.requests.length) throw new Error("the page was never asked for");
  if (outside.length) throw new Error(`requests to elsewhere: ${outside}`);
  if (violations.length) throw new Error(`policy violated: ${violations}`);
  if (notes.errors.length) throw new Error(`errors: ${notes.errors.join("\n")}`);
}

async function main() {
  const [name, given] = process.argv.slice(2), told = JSON.parse(given);
  const executablePath = BROWSERS.find((path) => fs.existsSync(path));
  if (!executablePath) throw new Error("no chromium: apt-get install chromium (tools/install-deps test)");
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS, headless: true });
  const notes = { requests: [], errors: [], pages: [] }, origins = [told.origin];
  try {
    await scenarios[name]({ ...told, patience, origins, notes, open: (options) => openPage(browser, options, notes) });
    await check(notes, origins);
  } finally {
    await browser.close();
  }
}

main().then(() => process.exit(0), (error) => { console.error(error.stack || error); process.exit(1); });
