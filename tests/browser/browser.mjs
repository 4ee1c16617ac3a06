// The browser, and pages that are watched from before their first byte: whatever they say on the console, ask of
// others, or do against their own policy is a failure of the page.

import { createRequire } from "node:module";

const modules = createRequire(`${process.env.SEALPOST_TEST_NODE_MODULES}/`);
const { chromium } = modules("playwright-core");
const axe = modules.resolve("axe-core/axe.min.js");

/** Longest wait for an event, in milliseconds. Nothing that works comes near it, whatever else the machine does. */
const PATIENCE = 60_000;

/** Starts the browser. Names lead nowhere, so that a page can't reach out even if it tries. */
export async function start(executablePath) {
  const args = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-gpu", "--lang=en"];
  return chromium.launch({ executablePath, args });
}

/** A visitor with nothing kept from earlier visits. */
export async function visitor(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    colorScheme: "light",
    locale: "en-GB",
    timezoneId: "UTC",
    reducedMotion: "reduce",
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript({ path: axe });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.sealpostViolation?.(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
    });
  });
  return context;
}

/** A new page whose every fault goes to the report. It may ask its own origin, and nobody else. */
export async function watched(context, report, name, origin) {
  const page = await context.newPage();
  // The browser itself reports a page that is refused. Whether it is to be refused is checked by who goes there.
  const visited = new Set();
  await page.exposeBinding("sealpostViolation", (_, what) => report.fail("policy", name, what));
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    const { url } = message.location();
    if (visited.has(url) && message.text().startsWith("Failed to load resource")) return;
    report.fail("console", name, `${message.type()}: ${message.text()} (${url})`);
  });
  page.on("pageerror", (error) => report.fail("script", name, String(error)));
  page.on("dialog", (dialog) => {
    report.fail("dialog", name, dialog.message());
    void dialog.dismiss();
  });
  page.on("popup", (popup) => report.fail("popup", name, popup.url()));
  page.on("request", (request) => {
    const url = request.url();
    if (request.isNavigationRequest()) visited.add(url);
    if (!url.startsWith(`${origin}/`) && url !== origin) report.fail("outside", name, url);
  });
  return page;
}

/** Goes to an address, which must answer with a status. */
export async function visit(page, report, name, url, status = 200) {
  const response = await page.goto(url, { waitUntil: "load" });
  const said = response?.status() ?? 200;
  report.check(said === status, "status", name, `${url}: ${said}, expected ${status}`);
}
