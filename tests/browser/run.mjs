// The browser tests of the explorer: `node run.mjs PLAN`, where PLAN is a JSON file that tests/browser.rs writes. What
// has to happen on the ledger meanwhile is asked for on standard output and answered on standard input, a line of JSON
// each; the last line is the result.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { start, visitor } from "./browser.mjs";
import { controls } from "./controls.mjs";
import { everything } from "./every_page.mjs";
import { pages } from "./pages.mjs";
import { Report } from "./report.mjs";
import * as stories from "./stories.mjs";

/** So many pages are open at the same time. */
const AT_ONCE = 3;
/** Milliseconds that no part needs: one that hangs is named, in place of everybody waiting for ever. */
const PATIENCE = 300_000;

const plan = JSON.parse(await readFile(process.argv[2], "utf8"));
const report = new Report();
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const ask = async (message) => {
  tell(message);
  const { value, done } = await answers.next();
  if (done) throw new Error("nobody answers any more");
  return JSON.parse(value);
};
const shoot = (page, name) => page.screenshot({ path: join(plan.out, `${name}.png`), fullPage: true });

const browser = await start(plan.browser);
const visitors = {
  scripted: await visitor(browser),
  plain: await visitor(browser, { javaScriptEnabled: false }),
};
const kinds = new Set();
const seconds = {};
const patiently = (run) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${PATIENCE / 1000} s`)), PATIENCE);
  });
  return Promise.race([run(), late]).finally(() => clearTimeout(timer));
};
const timed = async (name, run) => {
  const began = performance.now();
  await report.part(name, () => patiently(run));
  seconds[name] = Math.round((performance.now() - began) / 100) / 10;
};
const each = { browser, plan, report, ask, shoot };
const wanted = (name) => plan.only === undefined || plan.only.includes(name);

// What moves the ledger comes last: until then every page stands still.
const { weight, live, events, ...still } = stories;
const all = pages(plan);
const jobs = Object.entries(still).map(([name, story]) => [name, name, () => story(each)]);
for (const page of all) {
  jobs.push([
    "pages",
    page.name,
    () => everything({ visitors, report, origin: plan.url, out: plan.out, page }),
  ]);
}
jobs.push(
  ...(await controls({ visitors, report, kinds })).map(([name, run]) => ["controls", `control ${name}`, run]),
);
const left = jobs.filter(([group]) => wanted(group));
const work = async () => {
  for (let job = left.shift(); job !== undefined; job = left.shift()) await timed(job[1], job[2]);
};
await Promise.all(Array.from({ length: AT_ONCE }, work));
let bytes = 0;
if (wanted("weight")) await timed("weight", async () => (bytes = await weight(each)));
if (wanted("live")) await timed("live", () => live(each));
if (wanted("events")) await timed("events", () => events(each));
await browser.close();
tell({
  done: true,
  checks: report.checks,
  failures: report.failures,
  pages: all.length,
  bytes,
  kinds: [...kinds].sort(),
  seconds,
});
process.exit(0);
