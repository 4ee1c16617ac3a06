// The result of a check as a part of the page: the verdict, each step with what it shows and what it does
// not, and for a step that failed the bytes in which it shows.

import { fromUtf8, toHex } from "./bytes.ts";
import type { Content, Step, Verdict } from "./verdict.ts";
import { type Child, element } from "./element.ts";
import type { Line } from "./findings.ts";
import type { Data } from "./letter.ts";
import type { Place } from "./place.ts";
import { visible } from "./visible.ts";

/** The verdict in one sentence, which is also what is read aloud. */
export function summary(verdict: Verdict): string {
  if (verdict.verdict === "holds") {
    return `The evidence holds: all ${verdict.steps.length} steps passed. Read below what it shows and what it does not.`;
  }
  const passed = verdict.steps.length - 1;
  const where = `Step ${passed + 1} failed${passed === 0 ? "" : ` after ${passed} passed`}`;
  switch (verdict.verdict) {
    case "refused":
      return `The evidence does not hold. ${where}: ${visible(verdict.reason)}.`;
    case "not-evidence":
      return `This is not an evidence file, and nothing is said about any message. ${where}: ${visible(verdict.reason)}.`;
    case "not-genesis":
      return `There is nothing to check against. ${where}: ${visible(verdict.reason)}.`;
  }
}

/** The steps, which grow while they are made; `file` is what the places of failed steps count in. */
export class StepList {
  private readonly list = element("ol", { class: "steps" });
  private readonly after = element("div");
  readonly parts: HTMLElement[] = [element("h2", {}, "Step by step"), this.list, this.after];
  private shown = 0;

  show(steps: readonly Step[], file: Uint8Array): void {
    this.list.append(...steps.slice(this.shown).map((step) => stepItem(step, file)));
    this.shown = steps.length;
  }

  showContent(verdict: Verdict): void {
    if (verdict.verdict === "holds" && verdict.content !== undefined)
      this.after.append(...content(verdict.content));
  }
}

function stepItem(step: Step, file: Uint8Array): HTMLElement {
  const mark = element("strong", {}, step.holds ? "passed" : "failed");
  return element(
    "li",
    { class: step.holds ? "passed" : "failed" },
    element("p", {}, mark, ` ${step.title}: ${visible(step.result)}`),
    ...step.lines.map(lineItem),
    step.failure?.place && broken(step.failure.place, file),
    step.failure && element("p", { class: "aside" }, "Code: ", element("code", {}, step.failure.code)),
  );
}

function lineItem(line: Line): HTMLElement {
  const row = (name: string, value: Child): HTMLElement =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value));
  return element(
    "dl",
    {},
    row(line.label, element("code", {}, visible(line.fact))),
    row("shows", line.shows),
    row("does not show", line.does_not_show),
    line.etsi === undefined ? undefined : row("nearest ETSI EN 319 522-1 event", line.etsi),
  );
}

/** So many bytes of the file are shown around those that broke the step, and of these no more. */
const AROUND = 24;
const SHOWN = 96;

function broken(place: Place, file: Uint8Array): HTMLElement {
  const length = place.to - place.from;
  const bytes = length === 1 ? `Byte ${place.from}` : `Bytes ${place.from} to ${place.to - 1}`;
  const to = Math.min(place.to, place.from + SHOWN);
  const excerpt = (from: number, to: number): string => printable(file.subarray(Math.max(0, from), to));
  return element(
    "div",
    { class: "broken" },
    element("p", {}, `${bytes} of the file, in `, element("code", {}, visible(place.path)), ":"),
    element(
      "pre",
      { tabindex: "0", "aria-label": "The bytes around the failure" },
      excerpt(place.from - AROUND, place.from),
      element("mark", {}, place.from < file.length ? excerpt(place.from, to) : "(the end of the file)"),
      to < place.to ? "…" : excerpt(to, to + AROUND),
    ),
  );
}

/** Bytes as ASCII, everything else written out. */
function printable(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0x0a) text += "⏎";
    else
      text +=
        byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}

/** What a letter names and its file of evidence does not hold. */
function elsewhere({ messages }: Data): string {
  if (messages === undefined) return "";
  const own = messages === 1 ? "1 message of its own, which is" : `${messages} messages of their own, which are`;
  return (
    `, in ${own} not in this file: size and SHA-256 are the sender's word, and a receipt for this message ` +
    "does not cover them"
  );
}

/** Of a content that is no text, so many bytes are shown. */
const SHOWN_CONTENT = 512;

function content(content: Content): HTMLElement[] {
  const heading = element("h2", {}, "The disclosed content");
  const pre = (text: string): HTMLElement =>
    element(
      "pre",
      { class: "letter", dir: "auto", tabindex: "0", "aria-label": "The text" },
      visible(text, "as it is"),
    );
  if (content.kind === "bytes") {
    const text = fromUtf8(content.bytes);
    const what =
      text === undefined
        ? "It is no text. Its first bytes, in hexadecimal:"
        : "It is no letter, but can be read as text:";
    return [heading, element("p", {}, what), pre(text ?? toHex(content.bytes.subarray(0, SHOWN_CONTENT)))];
  }
  if (content.kind === "part") {
    const which = `Part ${content.number} of something longer, ${content.bytes} bytes. The letter that names it says what it is.`;
    return [heading, element("p", {}, which)];
  }
  const attached = content.attachments.map(({ name, data }) =>
    element("li", {}, `${visible(name)} (${data.bytes} bytes), SHA-256 ${toHex(data.sha256)}${elsewhere(data)}`),
  );
  const { continued } = content;
  return [
    heading,
    element("p", {}, "Exactly this was signed for. Characters that can't be seen are written as \\u{…}."),
    element(
      "p",
      {},
      element("strong", {}, "Subject: "),
      element("bdi", {}, visible(content.subject) || "(none)"),
    ),
    pre(content.text),
    ...(continued === undefined
      ? []
      : [
          element(
            "p",
            {},
            `The text goes on for ${continued.bytes} bytes with SHA-256 ${toHex(continued.sha256)}${elsewhere(continued)}.`,
          ),
        ]),
    ...(attached.length === 0 ? [] : [element("p", {}, "Attachments:"), element("ul", {}, ...attached)]),
  ];
}
