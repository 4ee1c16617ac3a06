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

export async function readGiven(file: File): Promise<Given> {
  const bytes = new Uint8Array(await file.slice(0, MAX_FILE_BYTES).arrayBuffer());
  return { bytes, name: file.name };
}

/** A field for a file, and one for its text. Tells of what is given. */
export function fileField(id: string, label: string, given: (given: Given) => void): HTMLElement {
  const input = element("input", { type: "file", id, accept: ".json,application/json" });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file !== undefined) void readGiven(file).then(given);
  });
  const area = element("textarea", { id: `${id}-text`, rows: "6", spellcheck: "false", autocomplete: "off" });
  const use = element("button", { type: "button" }, "Use this text");
  use.addEventListener("click", () => given({ bytes: utf8(asWritten(area.value)), name: "pasted text" }));
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
