// Checks many evidence files with the committed bundle, for comparison with another implementation.
//
//     node verify-cli.mjs GENESIS < NDJSON
//
// Each line of the input is `{"file": "<base64>"}`. With `"genesis": "<base64>"`, it and those after it are
// checked against that genesis. Each line of the output says what the bundle says, in the same order.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { loadBundle } from "./bundle.mjs";

const { check } = loadBundle();
const [genesisPath] = process.argv.slice(2);
if (genesisPath === undefined) {
  console.error("usage: node verify-cli.mjs GENESIS < NDJSON");
  process.exit(2);
}
let genesis = new Uint8Array(readFileSync(genesisPath));
const bytes = (base64) => new Uint8Array(Buffer.from(base64, "base64"));

for await (const line of createInterface({ input: process.stdin })) {
  const input = JSON.parse(line);
  if (input.genesis !== undefined) genesis = bytes(input.genesis);
  const verdict = check(genesis, bytes(input.file));
  const failed = verdict.steps.find((step) => !step.holds);
  const said = {
    verdict: verdict.verdict,
    code: verdict.code ?? null,
    message: verdict.message ?? null,
    chain: verdict.chain ?? null,
    lines: verdict.lines ?? [],
    steps: verdict.steps.length,
    reason: verdict.reason ?? null,
    place: failed?.failure.place ?? null,
  };
  if (!process.stdout.write(`${JSON.stringify(said)}\n`)) {
    await new Promise((resolve) => process.stdout.once("drain", resolve));
  }
}
