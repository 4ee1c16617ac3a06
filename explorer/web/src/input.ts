// One file that the page needs: chosen, pasted or dropped. It is read here and goes nowhere.

import { utf8 } from "./bytes.ts";
import { element } from "./element.ts";

/** A file, and where it is from. */
export interface Given {
  readonly bytes: Uint8Array;
  readonly name: string;
}

/** No file that is read here is longer; a longer one is refused by its first bytes as well. */
const MAX_FILE_BYTES = 33 * 1024 * 1024;

/** What was chosen: its name is known at once, its bytes are not, and a folder has none. */
export interface Source {
  readonly name: string;
  readonly read: () => Promise<Given>;
}

export function sourceOf(file: File): Source {
  return { name: file.name, read: () => readGiven(file) };
}

async function readGiven(file: File): Promise<Given> {
  const bytes = new Uint8Array(await file.slice(0, MAX_FILE_BYTES).arrayBuffer());
  return { bytes, name: file.name };
}

/** A field for a file, and one for its text. Tells of what is chosen. */
export function fileField(id: string, label: string, chosen: (source: Source) => void): HTMLElement {
  const input = element("input", { type: "file", id, accept: ".json,application/json" });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file !== undefined) chosen(sourceOf(file));
  });
  const area = element("textarea", { id: `${id}-text`, rows: "6", spellcheck: "false", autocomplete: "off" });
  const use = element("button", { type: "button" }, "Use this text");
  use.addEventListener("click", () => {
    const given = { bytes: utf8(asWritten(area.value)), name: "pasted text" };
    chosen({ name: given.name, read: () => Promise.resolve(given) });
  });
  return element(
    "div",
    { class: "field" },
    element("label", { for: id }, label),
    input,
    element(
      "details",
      {},
      element("summary", {}, "or paste its text"),
      element("label", { for: `${id}-text` }, `${label}, as text`),
      area,
      use,
    ),
  );
}

/** Copying a text from a screen often loses the line feed at its end, without which it is another file. */
function asWritten(text: string): string {
  return text.endsWith("}") ? `${text}\n` : text;
}
