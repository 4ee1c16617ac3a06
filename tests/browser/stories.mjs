// What a visitor does, step by step.

import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { visit, visitor, watched } from "./browser.mjs";
import { accessible, fits, inert } from "./page_checks.mjs";

/** Most bytes that the first visit of the first page may cost, with everything that the page brings along. */
const FIRST_PAGE_BYTES = 100_000;

/** The first page with all its parts, as they come over the wire. */
export async function weight({ browser, plan, report }) {
  const context = await visitor(browser);
  const page = await watched(context, report, "weight", plan.url);
  const wire = await context.newCDPSession(page);
  await wire.send("Network.enable");
  const parts = new Map();
  wire.on("Network.responseReceived", ({ requestId, response }) =>
    parts.set(requestId, { url: response.url, bytes: 0 }),
  );
  wire.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const part = parts.get(requestId);
    if (part !== undefined) part.bytes = encodedDataLength;
  });
  await visit(page, report, "weight", `${plan.url}/`);
  await page.waitForLoadState("load");
  await context.close();
  // The stream of what is new has no end, and is no part of the page.
  const ended = [...parts.values()].filter(({ bytes }) => bytes > 0);
  const bytes = ended.reduce((sum, part) => sum + part.bytes, 0);
  report.check(
    ended.length >= 3 && ended.some(({ url }) => url.endsWith(".css") || url.includes("style")),
    "weight",
    "home",
    ended,
  );
  report.check(bytes < FIRST_PAGE_BYTES, "weight", "home", { bytes, ended });
  return bytes;
}

const lists = (id) => `#live-entries a[href$="${id}"]`;

/** What is sent while the first page is open appears without a new load; and not while updates are paused. */
export async function live({ browser, plan, report, ask }) {
  const context = await visitor(browser);
  const [page, other] = [
    await watched(context, report, "live", plan.url),
    await watched(context, report, "live", plan.url),
  ];
  for (const one of [page, other]) {
    const open = one.waitForResponse((response) => response.url().includes("/live?"));
    await visit(one, report, "live", `${plan.url}/`);
    await open;
    await one.evaluate(() => (globalThis.sameLoad = true));
  }
  const height = async () =>
    Number(await page.locator("#live-head a[href^='/block/']").first().textContent());
  const before = await height();
  const first = await ask({ ask: "send", text: "Sent while the page is open" });
  await page.waitForSelector(lists(first.id));
  // The numbers and the blocks follow with it.
  await page.waitForFunction(
    (least) => Number(document.querySelector("#live-head a[href^='/block/']").textContent) >= least,
    first.height,
  );
  await page.waitForSelector(`#live-blocks a[href="/block/${first.height}"]`);
  report.check((await height()) > before, "live", "live", "the height stands still");

  // Paused by keyboard; another page shows that there was something to miss.
  const button = page.getByRole("button", { name: "Pause updates" });
  await button.focus();
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Resume updates" }).waitFor();
  const second = await ask({ ask: "send", text: "Sent while updates are paused" });
  await other.waitForSelector(lists(second.id));
  report.check((await page.locator(lists(second.id)).count()) === 0, "live", "live", "a paused page moves");
  await page.keyboard.press("Space");
  await page.waitForSelector(lists(second.id));
  report.check(
    (await page.locator(lists(first.id)).count()) === 1,
    "live",
    "live",
    "a row stands there twice",
  );
  const same = await Promise.all(
    [page, other].map((one) => one.evaluate(() => globalThis.sameLoad === true)),
  );
  report.check(same.every(Boolean), "live", "live", "the page was loaded again");
  await inert(page, report, "live");
  await context.close();
}

/** The feed that the page of an address names, for readers of feeds and for people. */
export async function feed({ browser, plan, report }) {
  const context = await visitor(browser);
  const page = await watched(context, report, "feed", plan.url);
  await visit(page, report, "feed", `${plan.url}/address/${plan.addresses.bob}`);
  const named = await page.locator('head link[rel="alternate"]').getAttribute("href");
  const shown = await page.getByRole("link", { name: "Atom feed" }).getAttribute("href");
  report.check(named === shown, "feed", "address", { named, shown });
  const answer = await context.request.get(plan.url + named);
  const type = answer.headers()["content-type"] ?? "";
  report.check(answer.status() === 200, "status", named, String(answer.status()));
  report.check(type.startsWith("application/atom+xml"), "feed", named, type);
  const text = await answer.text();
  report.check(text.includes("<entry>") && text.includes(plan.messages.silent), "feed", named, text);
  await context.close();
}

/** The event stream of an address, within a page of this site: what is sent meanwhile arrives, once. */
export async function events({ browser, plan, report, ask }) {
  const context = await visitor(browser);
  const page = await watched(context, report, "events", plan.url);
  await visit(page, report, "events", `${plan.url}/address/${plan.addresses.bob}`);
  await page.evaluate(
    (path) =>
      new Promise((opened, failed) => {
        globalThis.told = [];
        globalThis.stream = new EventSource(path);
        globalThis.stream.addEventListener("head", opened, { once: true });
        globalThis.stream.addEventListener("error", () => failed(new Error("the stream broke off")));
        globalThis.stream.addEventListener("message", (event) =>
          globalThis.told.push(JSON.parse(event.data).data.id),
        );
      }).then(() => undefined),
    `/api/v1/addresses/${plan.addresses.bob}/events`,
  );
  const sent = [];
  for (const text of ["The first event", "The second event"]) {
    sent.push((await ask({ ask: "send", text })).id);
    await page.waitForFunction((id) => globalThis.told.includes(id), sent.at(-1));
  }
  const told = await page.evaluate(() => {
    globalThis.stream.close();
    return globalThis.told;
  });
  report.check(JSON.stringify(told) === JSON.stringify(sent), "events", "address", { told, sent });
  await context.close();
}

/** Searches as a visitor does, by keyboard: with scripts and without. */
export async function search({ browser, plan, report }) {
  for (const javaScriptEnabled of [true, false]) {
    const context = await visitor(browser, { javaScriptEnabled });
    const page = await watched(context, report, "search", plan.url);
    for (const { query, path, heading, status } of plan.searches) {
      await visit(page, report, "search", `${plan.url}/about`);
      await page.locator("#q").focus();
      await page.keyboard.insertText(query);
      const [said] = await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
      const { pathname } = new URL(page.url());
      const found = await page.locator("h1").innerText();
      report.check(said.status() === status, "search", query, `${said.status()}, expected ${status}`);
      report.check(pathname === path, "search", query, `leads to ${pathname}, not to ${path}`);
      report.check(found.includes(heading), "search", query, `${found}, expected ${heading}`);
      await inert(page, report, `search for ${query}`);
    }
    await context.close();
  }
}

/** From the first page to the checked evidence of a message, without a mouse. */
export async function withoutMouse({ browser, plan, report }) {
  const context = await visitor(browser);
  const page = await watched(context, report, "keyboard", plan.url);
  await visit(page, report, "keyboard", `${plan.url}/`);
  /** Presses Tab until something is reached, and then a key. */
  const reach = async (selector, key) => {
    for (let presses = 0; presses < 400; presses++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) {
        return key === undefined ? undefined : page.keyboard.press(key);
      }
    }
    throw new Error(`${selector} is not reached by Tab on ${page.url()}`);
  };
  await reach("#q");
  await page.keyboard.insertText(plan.messages.open);
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/message/${plan.messages.open}`);
  await reach(`a[href="/message/${plan.messages.open}/check"]`, "Enter");
  await page.waitForURL("**/check");
  await page.locator(".verdict.holds").waitFor();
  // The field for a file of one's own opens with a key as well.
  const chooser = page.waitForEvent("filechooser");
  await reach("input#evidence", "Enter");
  await (await chooser).setFiles(plan.evidence.broken[0].file);
  await page.locator(".verdict.fails").waitFor();
  // Neighbours by arrow keys, and a fold.
  await visit(page, report, "keyboard", `${plan.url}/block/2`);
  await page.keyboard.press("ArrowRight");
  await page.waitForURL("**/block/3");
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL("**/block/2");
  await visit(page, report, "keyboard", `${plan.url}/validator/${plan.validator}`);
  await reach("main summary", "Enter");
  await page.locator("main details[open]").first().waitFor();
  // A table that is wider than the window moves.
  await page.setViewportSize({ width: 320, height: 700 });
  await visit(page, report, "keyboard", `${plan.url}/blocks`);
  await reach(".scroll");
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => document.querySelector(".scroll").scrollLeft > 0);
  await context.close();
}

/** The verdict of a checker about what has such a name, once it has one. */
async function verdict(page, file = "") {
  const said = page.locator(".verdict.holds, .verdict.fails", { hasText: file });
  await said.waitFor();
  return { holds: (await said.getAttribute("class")).includes("holds"), text: await said.innerText() };
}

/** What a checker says to files: the good one, each broken one, another network's genesis. */
async function judges(page, report, name, plan) {
  const give = async (evidence, genesis) => {
    await page.reload();
    if (genesis !== undefined) await page.locator("#genesis").setInputFiles(genesis);
    await page.locator("#evidence").setInputFiles(evidence);
    return verdict(page, basename(evidence));
  };
  const { good, genesis, broken } = plan.evidence;
  const holds = await give(good, genesis);
  report.check(holds.holds, "verify", name, holds.text);
  const failed = page.locator("ol.steps li.failed");
  report.check((await failed.count()) === 0, "verify", name, "a step of good evidence failed");
  for (const { file, genesis: against, code } of broken) {
    const said = await give(file, against);
    const step = (await page.locator("ol.steps li").count()) - 1;
    report.check(!said.holds, "verify", name, `${file} holds`);
    report.check(said.text.includes(`Step ${step + 1} failed`), "verify", name, `${file}: ${said.text}`);
    // It is the first that failed, and the check ends with it.
    report.check((await failed.count()) === 1, "verify", name, `${file}: more than one step failed`);
    report.check(
      (await page.locator("ol.steps li").nth(step).getAttribute("class")) === "failed",
      "verify",
      name,
      `${file}: it goes on`,
    );
    const named = await page.locator("ol.steps li.failed .aside code").innerText();
    report.check(named === code, "verify", name, `${file}: ${named}, the ledger says ${code}`);
  }
}

/** A foreign content that is disclosed, and a foreign name of a file, are shown and stay text. */
async function showsHostile(page, report, name, plan) {
  const { hostile, genesis } = plan.evidence;
  await page.reload();
  await page.locator("#genesis").setInputFiles(genesis);
  await page.locator("#evidence").setInputFiles({
    name: plan.hostile.file,
    mimeType: "application/json",
    buffer: await readFile(hostile),
  });
  const said = await verdict(page, "evil");
  report.check(said.holds, "hostile", name, said.text);
  const shown = await page.locator("#verifier").innerText();
  // Subject, text and attachment, with what can't be seen written out.
  for (const part of plan.hostile.shown)
    report.check(shown.includes(part), "hostile", name, `${part} is not shown in ${shown}`);
  await inert(page, report, name);
  await fits(page, report, name);
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, report, name);
  }
}

/** The checker on the site: nothing is asked of anybody once it is there. */
export async function verify({ browser, plan, report, shoot }) {
  const context = await visitor(browser);
  const page = await watched(context, report, "verify", plan.url);
  await visit(page, report, "verify", `${plan.url}/verify`);
  await judges(page, report, "verify", plan);
  await accessible(page, report, "verify");
  await shoot(page, "verify-broken");
  await showsHostile(page, report, "verify", plan);
  await shoot(page, "verify-hostile");
  await page.setViewportSize({ width: 1280, height: 900 });

  // Pasted, and dropped, while there is no network any more.
  await visit(page, report, "verify", `${plan.url}/verify`);
  const asked = [];
  // The browser fetches the page's sign when it likes.
  page.on("request", (request) => request.url().endsWith("/favicon.svg") || asked.push(request.url()));
  await context.setOffline(true);
  const [text, genesis] = await Promise.all(
    [plan.evidence.good, plan.evidence.genesis].map((file) => readFile(file, "utf8")),
  );
  await page.locator("summary", { hasText: "paste" }).first().click();
  await page.locator("#evidence-text").fill(text);
  await page.getByRole("button", { name: "Use this text" }).first().click();
  report.check((await verdict(page, "pasted")).holds, "verify", "pasted", "good evidence does not hold");
  const broken = await readFile(plan.evidence.broken[0].file, "utf8");
  await page.evaluate(
    ([evidence, genesis]) => {
      const given = new DataTransfer();
      given.items.add(new File([evidence], "dropped.json"));
      given.items.add(new File([genesis], "genesis.json"));
      document.body.dispatchEvent(
        new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }),
      );
    },
    [broken, genesis],
  );
  await page.locator(".verdict.fails", { hasText: "dropped.json" }).waitFor();
  report.check(asked.length === 0, "outside", "verify", asked);
  await context.close();

  // A message's page with its evidence in it.
  const another = await visitor(browser);
  const embedded = await watched(another, report, "check", plan.url);
  await visit(embedded, report, "check", `${plan.url}/message/${plan.messages.open}/check`);
  const said = await verdict(embedded);
  report.check(said.holds, "verify", "check", said.text);
  await another.close();
}

/** The checker as a file, opened from the disk without a network. */
export async function offline({ browser, plan, report, shoot }) {
  const context = await visitor(browser);
  const kept = async (path, name) => {
    const answer = await context.request.get(plan.url + path);
    report.check(answer.status() === 200, "status", path, String(answer.status()));
    const file = join(plan.out, name);
    await writeFile(file, await answer.body());
    return pathToFileURL(file).href;
  };
  const alone = await kept("/verify/offline.html", "offline.html");
  const withEvidence = await kept(`/message/${plan.messages.open}/evidence.html`, "evidence.html");
  await context.setOffline(true);
  for (const [name, url] of [
    ["offline", alone],
    ["evidence-file", withEvidence],
  ]) {
    // It may ask for itself alone.
    const page = await watched(context, report, name, url);
    await page.goto(url);
    if (url === withEvidence) report.check((await verdict(page)).holds, "verify", name, "it does not hold");
    await shoot(page, name);
    await page.setViewportSize({ width: 1280, height: 900 });
    await judges(page, report, name, plan);
    await showsHostile(page, report, name, plan);
    await shoot(page, `${name}-hostile`);
    await page.close();
  }
  await context.close();
}

/** Hostile words in addresses, and what the wallet writes for a printer about a hostile message. */
export async function hostile({ browser, plan, report, shoot }) {
  const context = await visitor(browser);
  const page = await watched(context, report, "hostile", plan.url);
  const word = encodeURIComponent(plan.hostile.text);
  const paths = [
    "/search?q=*",
    "/message/*",
    "/tx/*",
    "/block/*",
    "/address/*",
    "/validator/*",
    "/postage?bytes=*",
    "/?blocks=*",
    `/address/${plan.addresses.alice}?class=*`,
    `/address/${plan.addresses.alice}?answer=*`,
    "/blocks?before=*",
    "/*",
  ];
  for (const path of paths) {
    const url = plan.url + path.replace("*", word);
    const response = await page.goto(url);
    report.check(
      response.status() >= 400 && response.status() < 500,
      "status",
      path,
      String(response.status()),
    );
    await inert(page, report, path);
  }
  const printed = pathToFileURL(plan.evidence.printable).href;
  const paper = await watched(context, report, "printable", printed);
  await paper.goto(printed);
  const shown = await paper.locator("body").innerText();
  report.check(shown.includes("evil-tag"), "hostile", "printable", `the content is not shown: ${shown}`);
  await inert(paper, report, "printable");
  await shoot(paper, "printable");
  await context.close();
}
