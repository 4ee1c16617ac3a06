// The one spelling of an evidence file (docs/protocol.md, 13): indented by two spaces, a line feed after
// every bracket, comma and at the end, one space after each colon, empty lists as `[]`, no escapes.

import { utf8 } from "./bytes.ts";

/** An object is the list of its fields, in their order. */
export type Plain = string | bigint | Plain[] | { readonly fields: readonly (readonly [string, Plain])[] };

/**
 * Texts are those of an evidence file: letters, digits, hyphens and such, nothing that would need an
 * escape.
 */
export function spell(value: Plain): Uint8Array {
  const pieces: string[] = [];
  write(value, "\n", pieces);
  return utf8(`${pieces.join("")}\n`);
}

function write(value: Plain, newline: string, pieces: string[]): void {
  if (typeof value === "bigint") {
    pieces.push(value.toString());
  } else if (typeof value === "string") {
    pieces.push('"', value, '"');
  } else if (Array.isArray(value)) {
    const elements = value.map((element) => ["", element] as const);
    writeBetween("[", elements, "]", newline, pieces);
  } else {
    const fields = value.fields.map(([name, field]) => [`"${name}": `, field] as const);
    writeBetween("{", fields, "}", newline, pieces);
  }
}

function writeBetween(
  open: string,
  elements: readonly (readonly [string, Plain])[],
  close: string,
  newline: string,
  pieces: string[],
): void {
  pieces.push(open);
  for (const [index, [name, element]] of elements.entries()) {
    pieces.push(index === 0 ? "" : ",", newline, "  ", name);
    write(element, `${newline}  `, pieces);
  }
  pieces.push(elements.length === 0 ? "" : newline, close);
}

/** The first byte at which two texts differ; `undefined` if they are the same. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) if (a[at] !== b[at]) return at;
  return a.length === b.length ? undefined : shorter;
}
