// Pages that are wrong in one way each: the same checks have to notice.

import { createServer } from "node:http";
import { everything } from "./every_page.mjs";
import { Report } from "./report.mjs";

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src *; require-trusted-types-for 'script'";
const STYLE =
  "a:focus-visible, input:focus-visible, div:focus-visible { outline: 3px solid } .skip { position: absolute; left: -99rem } .skip:focus { left: 1rem }";

/** Body, script and style of a page, and the kinds of failure that it must lead to; none for the good one. */
const WRONG = {
  good: { fails: [] },
  console: { script: "console.error('something is wrong')", fails: ["console"] },
  warning: { script: "console.warn('something is odd')", fails: ["console"] },
  thrown: { script: "throw new Error('wrong')", fails: ["script"] },
  outside: { body: '<img alt="" src="http://192.0.2.1/pixel.png">', fails: ["outside", "console"] },
  unlabelled: { body: '<p><input type="text"></p>', fails: ["axe"] },
  policy: { body: '<script>console.log("inline")</script>', fails: ["policy", "console"] },
  sink: {
    script: "document.querySelector('p').innerHTML = '<b>x</b>'",
    fails: ["policy", "console", "script"],
  },
  dialog: { script: "alert('evil')", fails: ["dialog"] },
  headings: { body: "<h1>Again</h1>", fails: ["heading"] },
  pale: {
    body: '<p class="pale">Hardly to be read</p>',
    style: ".pale { color: #bbb; background: #fff }",
    fails: ["axe"],
  },
  wide: {
    body: '<p class="wide">x</p>',
    style: ".wide { width: 100rem; max-width: none }",
    fails: ["overflow"],
  },
  unreachable: {
    body: '<p id="trap"><a href="/one">one</a> <a href="/two">two</a></p>',
    script:
      "document.querySelector('#trap a').addEventListener('focus', (event) => event.target.blur()); document.addEventListener('keydown', (event) => event.preventDefault())",
    fails: ["unreachable", "skip"],
  },
  unmarked: { style: "a:focus-visible { outline: none }", fails: ["focus"] },
  noSkip: { style: ".skip { display: none }", fails: ["skip"] },
  printless: {
    body: '<svg role="img" aria-label="Chart" width="9" height="9"></svg>',
    style: "@media print { svg { display: none } }",
    fails: ["print"],
  },
  cutOff: {
    body: '<svg role="img" aria-label="Chart" viewBox="0 0 90 20" width="90"><text x="70" y="15">too long for it</text></svg>',
    fails: ["cut off"],
  },
  markup: { body: '<p title="x" data-x="evil"><evil-tag>x</evil-tag></p>', fails: ["markup"] },
  turned: { body: "<p>\u202eevil</p>", fails: ["markup"] },
  scripted: { script: "document.querySelector('main').append('Only with scripts')", fails: ["no script"] },
  missing: { status: 404, fails: ["status"] },
};

function answer({ body = "", script, style = "" }) {
  const head = `<meta charset="utf-8"><title>Control</title><link rel="stylesheet" href="style.css">`;
  const main = `<main id="main" tabindex="-1"><h1>Control</h1><p>Words</p><ul><li><a href="/">A link</a></li></ul>${body}</main>`;
  const skip = '<a class="skip" href="#main">Skip</a>';
  const run = script === undefined ? "" : '<script src="script.js" defer></script>';
  return `<!doctype html><html lang="en"><head>${head}</head><body>${skip}<nav><a href="/nav">Other</a></nav>${main}${run}</body></html>`;
}

/**
 * The controls, by name, each to be run. What one of them lacks, or has too much of, is a failure of the checks
 * themselves. `kinds` gathers what was noticed.
 */
export async function controls({ visitors, report, kinds }) {
  const server = createServer((request, response) => {
    const [, name, part] = request.url.split("/");
    const page = WRONG[name] ?? {};
    response.setHeader("content-security-policy", POLICY);
    if (part === "style.css")
      return response.setHeader("content-type", "text/css").end(STYLE + (page.style ?? ""));
    if (part === "script.js")
      return response.setHeader("content-type", "text/javascript").end(page.script ?? "");
    response.statusCode = page.status ?? 200;
    return response.setHeader("content-type", "text/html").end(answer(page));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const run = async (name, fails) => {
    const found = new Report();
    await found.part(name, () =>
      everything({ visitors, report: found, origin, page: { name, path: `/${name}/`, status: 200 } }),
    );
    const noticed = [...new Set(found.failures.map(({ kind }) => kind))].sort();
    const seen = { noticed, expected: fails, failures: found.failures };
    report.check(
      fails.every((kind) => noticed.includes(kind)),
      "control",
      name,
      seen,
    );
    if (fails.length === 0) report.check(noticed.length === 0, "control", name, seen);
    for (const kind of noticed) kinds.add(kind);
  };
  return Object.entries(WRONG).map(([name, { fails }]) => [name, () => run(name, fails)]);
}
