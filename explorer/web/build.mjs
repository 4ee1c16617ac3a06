// Builds what explorer/assets holds of the checker: the page's script and style, and the one file that is
// opened from disk. The same sources give the same bytes on every machine, so that anybody can compare.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (path) => readFileSync(here(path), "utf8").replaceAll("\r\n", "\n");
const asset = (name, text) => writeFileSync(here(`../assets/${name}`), text);

const bundled = await build({
  entryPoints: [here("src/main.ts")],
  absWorkingDir: here("."),
  bundle: true,
  format: "iife",
  globalName: "sealpostVerifier",
  platform: "browser",
  target: "es2022",
  charset: "ascii",
  minify: true,
  legalComments: "none",
  write: false,
});
const script = `/*! Sealpost verifier, MIT OR Apache-2.0. Contains noble-curves, noble-hashes and scure-base, MIT: see verify-licences.txt */\n${bundled.outputFiles[0].text}`;
// An inline script ends at the first of these, whatever stands around it.
if (/<\/script|<!--/i.test(script)) throw new Error("the script can't stand inside a page");

const style = read("src/verify.css");
const licences = [
  `The Sealpost verifier is offered under the MIT licence or the Apache Licence 2.0, as you like. It contains these\nlibraries, each under the MIT licence:\n`,
  ...["@noble/curves", "@noble/hashes", "@scure/base"].map((name) => {
    const { version } = JSON.parse(read(`node_modules/${name}/package.json`));
    return `${name} ${version}\n\n${read(`node_modules/${name}/LICENSE`).trim()}\n`;
  }),
].join("\n----\n\n");

const hash = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;
const inlineStyle = read("src/offline.css") + style;
const escaped = licences.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const values = {
  SCRIPT_HASH: hash(script),
  STYLE_HASH: hash(inlineStyle),
  STYLE: inlineStyle,
  LICENCES: escaped,
  SCRIPT: script,
};

asset("verify.js", script);
asset("verify.css", style);
asset("verify-licences.txt", licences);
asset(
  "verify-offline.html",
  read("src/offline.html").replace(/%([A-Z_]+)%/g, (_, name) => values[name]),
);
