// Where in a file something stands: so that whoever is told "no" can look at the very byte.

import { characterOf } from "./base64url.ts";

/** A stretch of a file: `path` names the field, `from` and `to` are offsets in bytes, `to` not included. */
export interface Place {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** Bytes that stand in a file as text: what they are, and where. */
export interface Field {
  readonly bytes: Uint8Array;
  readonly path: string;
  /** Offset in the file of the first character between the quotation marks. */
  readonly from: number;
  /** Offset of the character after the last. */
  readonly to: number;
}

/** A part of decoded bytes: `from` and `to` count from their start. */
export interface Span {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export function placeOf(field: Field): Place {
  return { path: field.path, from: field.from, to: field.to };
}

/** Where a part of a base64url field stands in the file. */
export function within(field: Field, span: Span): Place {
  const from = Math.min(field.from + characterOf(span.from), field.to);
  const to = Math.min(field.from + characterOf(span.to - 1) + 1, field.to);
  return { path: `${field.path}: ${span.name}`, from, to: Math.max(from, to) };
}
