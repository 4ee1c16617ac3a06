// Claims about the committed bundle, on published vectors and on files made here. That it agrees with the
// ledger's own check on thousands of files is tested in tests/browser_verifier.rs.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadBundle } from "./bundle.mjs";
import { openPage } from "./page.mjs";

const bundle = loadBundle();
const file = (path) =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url))));
const text = (path) => new TextDecoder().decode(file(path));
const hex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
const utf8 = (text) => new TextEncoder().encode(text);

const genesis = file("genesis.json");
const example = file("docs/example.evidence.json");

test("BIP-340: every published signature is judged as published", () => {
  const rows = text("tests/vectors/bip-0340.csv")
    .trim()
    .split("\n")
    .slice(1)
    .map((row) => row.split(","));
  assert.equal(rows.length, 19);
  for (const [index, , key, , message, signature, expected] of rows) {
    const holds = bundle.signatureHolds(hex(key), hex(message), hex(signature));
    assert.equal(holds, expected === "TRUE", `row ${index}`);
  }
});

test("BIP-350: the bech32m texts are read, and none of them is an address of ours", () => {
  const { valid, invalid } = JSON.parse(text("tests/vectors/bip-0350.json"));
  for (const written of valid) {
    const why = bundle.readAddress(written, "seal");
    assert.match(why, /of a network with prefix/, written);
  }
  for (const written of invalid)
    assert.match(bundle.readAddress(written, "seal"), /not a bech32m text/, written);
});

test("an address reads back, in lower and in upper case, and a changed character is found", () => {
  const key = hex("1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f");
  const written = bundle.addressText(key, "sealdev");
  assert.equal(written, "sealdev1qqdcf32k0vfxgsyet5ldt246q4jaw8scx3sysx0lnstlt6w4m5rc7828d47");
  assert.deepEqual(bundle.readAddress(written, "sealdev"), key);
  assert.deepEqual(bundle.readAddress(written.toUpperCase(), "sealdev"), key);
  assert.equal(typeof bundle.readAddress(`S${written.slice(1)}`, "sealdev"), "string");
  for (let at = 8; at < written.length; at++) {
    const other = written[at] === "q" ? "p" : "q";
    assert.equal(
      typeof bundle.readAddress(written.slice(0, at) + other + written.slice(at + 1), "sealdev"),
      "string",
    );
  }
});

test("base64url has one spelling", () => {
  for (let length = 0; length < 50; length++) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 89 + length) & 255);
    const written = bundle.toBase64url(bytes);
    assert.equal(written, Buffer.from(bytes).toString("base64url"));
    assert.deepEqual(bundle.fromBase64url(written), bytes);
  }
  for (const wrong of ["A", "AB", "AAB", "AA==", "A+AA", "A/AA", "AA A", "AAé"]) {
    assert.equal(bundle.fromBase64url(wrong), undefined, wrong);
  }
});

test("JSON is read with the place of each value, strictly", () => {
  const parsed = bundle.parseJson(utf8('{"a": [1, "\\u00e9𝕊"]}'));
  const [number, letters] = parsed.fields.get("a").elements;
  assert.deepEqual([number.literal, number.from, number.to], ["1", 7, 8]);
  assert.deepEqual([letters.value, letters.from, letters.to], ["é𝕊", 10, 22]);
  for (const wrong of [
    "",
    "{",
    '{"a":1,"a":1}',
    '{"a":1,}',
    "[1,]",
    "01",
    "1.",
    "+1",
    "--1",
    '"\n"',
    '"\\x"',
    '"\\ud800"',
    "nul",
    "1 2",
    "'a'",
    "\ufeff1",
    "[".repeat(100),
  ]) {
    assert.throws(() => bundle.parseJson(utf8(wrong)), wrong);
  }
  assert.throws(() => bundle.parseJson(Uint8Array.of(0x22, 0xff, 0x22)));
});

test("RFC 9162: every leaf of every small tree is included at its own place only", () => {
  const { leafHash, nodeHash, isIncluded } = bundle;
  const split = (count) => 2 ** Math.ceil(Math.log2(count) - 1);
  const root = (leaves) => {
    if (leaves.length === 1) return leaves[0];
    const k = split(leaves.length);
    return nodeHash(root(leaves.slice(0, k)), root(leaves.slice(k)));
  };
  const path = (leaves, index) => {
    if (leaves.length === 1) return [];
    const k = split(leaves.length);
    return index < k
      ? [...path(leaves.slice(0, k), index), root(leaves.slice(k))]
      : [...path(leaves.slice(k), index - k), root(leaves.slice(0, k))];
  };
  for (let size = 1; size <= 20; size++) {
    const leaves = Array.from({ length: size }, (_, at) => leafHash(Uint8Array.of(at)));
    const top = root(leaves);
    for (let index = 0; index < size; index++) {
      const proof = path(leaves, index);
      for (let at = 0; at < size + 2; at++) {
        assert.equal(
          isIncluded(top, size, at, leaves[index], proof),
          at === index,
          `${index} of ${size} at ${at}`,
        );
      }
      assert.equal(isIncluded(top, size, index, leaves[index], [...proof, top]), false);
      if (proof.length > 0) assert.equal(isIncluded(top, size, index, leaves[index], proof.slice(1)), false);
    }
  }
});

test("the example beside the protocol page holds", () => {
  const verdict = bundle.check(genesis, example);
  assert.equal(verdict.verdict, "holds");
  assert.equal(verdict.chain, "2ba3e02cc376306ece182f41732943a72c6c725ddc20080bc8440331c9110819");
  assert.ok(verdict.steps.every((step) => step.holds));
  const codes = verdict.lines.map((line) => line.code);
  assert.deepEqual(codes, [
    "signed",
    "in_block",
    "committed",
    "key_used",
    "opened",
    "body_attached",
    "content_disclosed",
  ]);
  for (const line of verdict.lines) assert.ok(line.fact && line.shows && line.does_not_show);
});

test("whatever byte of the example is changed, it fails, and a place in the file is named where one can be", () => {
  for (let at = 0; at < example.length; at += 3) {
    const changed = example.slice();
    changed[at] = changed[at] === 0x31 ? 0x32 : 0x31;
    const verdict = bundle.check(genesis, changed);
    assert.notEqual(verdict.verdict, "holds", `byte ${at}`);
    const failed = verdict.steps.at(-1);
    assert.ok(!failed.holds && failed.failure.code === verdict.code);
    const { from, to } = failed.failure.place;
    assert.ok(0 <= from && from <= to && to <= example.length + 1, `byte ${at}`);
  }
});

test("a byte that is not as it is spelled is named itself", () => {
  const at = example.indexOf(0x20);
  const changed = example.slice();
  changed[at] = 0x09;
  const { place } = bundle.check(genesis, changed).steps.at(-1).failure;
  assert.deepEqual([place.from, place.to], [at, at + 1]);
});

test("what can't be read as a genesis is no answer about the evidence", () => {
  for (const wrong of ["", "{}", "null", new TextDecoder().decode(genesis).replace("1048576", "1")]) {
    assert.equal(bundle.check(utf8(wrong), example).verdict, "not-genesis", wrong);
  }
});

test("what can't be seen is written out", () => {
  assert.equal(bundle.visible("a\u202eb\n\u0000"), "a\\u{202e}b\\u{a}\\u{0}");
  assert.equal(bundle.visible("a\nb\u2028", "as it is"), "a\nb\\u{2028}");
  assert.equal(bundle.visible("𝕊é"), "𝕊é");
  // What the terminal writes out, range by range (node/terminal/src/wording.rs).
  const ranges = text("node/terminal/src/wording.rs").match(/fn is_invisible_mark[^]*?matches!\(c,([^]*?)\)\n/)[1];
  const found = [...ranges.matchAll(/'\\u\{([0-9a-f]+)\}'(?:\.\.='\\u\{([0-9a-f]+)\}')?/g)];
  assert.ok(found.length >= 15);
  for (const [, first, last] of found) {
    for (let code = parseInt(first, 16); code <= parseInt(last ?? first, 16); code++) {
      const written = `\\u{${code.toString(16)}}`;
      assert.equal(bundle.visible(String.fromCodePoint(code)), written);
    }
  }
  // What makes an emoji of a character stays, as it does there.
  assert.equal(bundle.visible("\u2764\ufe0f"), "\u2764\ufe0f");
});

test("of what a letter carries the hash is computed, of what it only names it is the sender's", () => {
  const number = (value, bytes) => {
    const out = new Uint8Array(bytes);
    for (let at = 0, rest = BigInt(value); at < bytes; at++, rest >>= 8n) out[at] = Number(rest & 255n);
    return out;
  };
  const sized = (bytes) => [number(bytes.length, 8), bytes];
  const named = (length, messages) => [
    number(length, 8),
    new Uint8Array(32).fill(7),
    number(messages, 8),
    new Uint8Array(32 * messages),
  ];
  const parts = [
    [number(0, 4), ...sized(utf8("Lease")), ...sized(utf8("See below"))],
    [number(1, 1), ...named(90_000, 1), number(0, 1), number(0, 8)],
    [number(2, 8), ...sized(utf8("a.txt")), number(0, 4), ...sized(utf8("upstairs"))],
    [...sized(utf8("b.pdf")), number(1, 4), ...named(3_000_000, 60)],
  ];
  const letter = bundle.readContent(new Uint8Array(Buffer.concat(parts.flat())));
  const sender = new Uint8Array(32).fill(7);
  assert.deepEqual(letter.continued, { bytes: 90_000n, sha256: sender, messages: 1 });
  const sha256 = new Uint8Array(createHash("sha256").update("upstairs").digest());
  assert.deepEqual(letter.attachments, [
    { name: "a.txt", data: { bytes: 8n, sha256, messages: undefined } },
    { name: "b.pdf", data: { bytes: 3_000_000n, sha256: sender, messages: 60 } },
  ]);
});

test("the one file carries the same script, and its policy names script and style by their hashes", () => {
  const page = text("explorer/assets/verify-offline.html");
  const between = (open, close) => page.slice(page.lastIndexOf(open) + open.length, page.lastIndexOf(close));
  const hash = (inner) => `'sha256-${createHash("sha256").update(inner).digest("base64")}'`;
  const script = between("<script>", "</script>");
  assert.equal(script, text("explorer/assets/verify.js"));
  assert.ok(page.includes(`script-src ${hash(script)};`));
  assert.ok(page.includes(`style-src ${hash(between("<style>", "</style>"))};`));
});

test("the verdict of an earlier check never stands over a later one", async () => {
  const page = openPage(loadBundle, { rests: 1 });
  try {
    // The first check rests once. Meanwhile the second is made, and done.
    await page.drop(["genesis.json", genesis], ["first.json", example], ["second.json", utf8("{}")]);
    assert.match(page.said("verdict"), /^second\.json: This is not an evidence file/);
    assert.equal(await page.goOn(), 1);
    assert.match(page.said("verdict"), /^second\.json: This is not an evidence file/);
    await page.drop(["third.json", example]);
    assert.match(page.said("verdict"), /^third\.json: The evidence holds/);
  } finally {
    page.close();
  }
});

const folder = () => {
  const refused = Promise.reject(new Error("a folder"));
  refused.catch(() => {});
  return refused;
};

/** A promise, and what fulfils it. */
const later = () => {
  let resolve;
  const promise = new Promise((fulfil) => (resolve = fulfil));
  return { promise, resolve };
};

test("what can't be read leaves no earlier verdict beside its name", async () => {
  const embedded = { "embedded-genesis": { name: "the one this site uses", text: text("genesis.json") } };
  const page = openPage(loadBundle, { embedded });
  try {
    for (const give of [(file) => page.drop(file), (file) => page.choose("evidence", file)]) {
      await give(["good.json", example]);
      assert.match(page.said("verdict"), /^good\.json: The evidence holds/);
      await give(["gone.json", folder()]);
      assert.match(page.said("verdict"), /^gone\.json: it could not be read/);
    }
    await page.choose("evidence", ["good.json", example]);
    await page.choose("genesis", ["gone.json", folder()]);
    assert.match(page.said("verdict"), /^gone\.json: it could not be read/);
    assert.match(page.said("network"), /^No genesis yet/);
    await page.choose("genesis", ["genesis.json", genesis]);
    assert.match(page.said("verdict"), /^good\.json: The evidence holds/);
    // What stands beside it is read all the same.
    await page.drop(["folder", folder()], ["evidence.json", example]);
    assert.match(page.said("verdict"), /^evidence\.json: The evidence holds/);
    assert.match(page.said("unread"), /^Not read.*: folder\.$/);
    await page.drop(["other.json", example]);
    assert.equal(page.said("unread"), "");
  } finally {
    page.close();
  }
});

test("a file that is read slowly does not take the place of one that was chosen later", async () => {
  const embedded = { "embedded-genesis": { name: "the one this site uses", text: text("genesis.json") } };
  const page = openPage(loadBundle, { embedded });
  try {
    for (const give of [(file) => page.drop(file), (file) => page.choose("evidence", file)]) {
      const slow = later();
      await page.drop(["before.json", example]);
      await give(["slow.json", slow.promise]);
      assert.match(page.said("verdict"), /^slow\.json: being read/);
      await give(["second.json", utf8("{}")]);
      assert.match(page.said("verdict"), /^second\.json: This is not an evidence file/);
      slow.resolve(example);
      await page.settled();
      assert.match(page.said("verdict"), /^second\.json: This is not an evidence file/);
    }
    // One of another kind that is chosen meanwhile puts nothing aside.
    const slow = later();
    await page.choose("evidence", ["slow.json", slow.promise]);
    await page.choose("genesis", ["genesis.json", genesis]);
    slow.resolve(example);
    await page.settled();
    assert.match(page.said("verdict"), /^slow\.json: The evidence holds/);
  } finally {
    page.close();
  }
});

test("a dropped genesis displaces none that the visitor gave, and else it is said with both chain ids", async () => {
  const chain = bundle.check(genesis, example).chain;
  const other = utf8(new TextDecoder().decode(genesis).replace('"sealpost-dev"', '"sealpost-eve"'));
  const theirs = bundle.check(other, example).reason.match(/makes ([0-9a-f]{64})/)[1];
  const embedded = { "embedded-genesis": { name: "the one this site uses", text: text("genesis.json") } };
  const page = openPage(loadBundle, { embedded });
  try {
    await page.drop(["example.json", example]);
    assert.equal(page.said("warning"), "");
    await page.drop(["theirs.json", other]);
    assert.match(page.said("verdict"), /does not hold/);
    const warned = page.said("warning");
    assert.ok(warned.startsWith("The genesis was replaced.") && warned.includes(chain) && warned.includes(theirs));
    // The same again from the visitor: now it is theirs to keep, and nothing that is dropped displaces it.
    await page.drop(["mine.json", genesis]);
    assert.match(page.said("warning"), /^Not taken: mine\.json/);
    assert.ok(page.said("warning").includes(chain) && page.said("warning").includes(theirs));
    assert.ok(page.said("network").includes(theirs));
  } finally {
    page.close();
  }
});
