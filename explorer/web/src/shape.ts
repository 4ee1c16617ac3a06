// Reads JSON by shape: which fields an object has, and what each of them is. Unknown, missing and repeated
// fields are refused, so that nothing stands in a file unread.

import { fromBase64url } from "./base64url.ts";
import { fromHex32 } from "./bytes.ts";
import { type Json, type JsonObject, type JsonText, quoted } from "./json.ts";
import type { Field, Place } from "./place.ts";

/** A value that is not what stands there; where, and why. */
export class ShapeError extends Error {
  constructor(
    message: string,
    readonly place: Place,
  ) {
    super(message);
  }
}

export type Read<T> = (value: Json, path: string) => T;

/** The fields of an object that has these and no others. Read each with `required` or `optional`. */
export class Fields {
  private constructor(
    private readonly object: JsonObject,
    private readonly path: string,
  ) {}

  static of(value: Json, path: string, names: readonly string[]): Fields {
    if (value.kind !== "object") throw wrong(value, path, "an object");
    for (const [name, field] of value.fields) {
      if (!names.includes(name))
        throw new ShapeError(`the field ${quoted(name)} is unknown`, place(field, path));
    }
    return new Fields(value, path);
  }

  required<T>(name: string, read: Read<T>): T {
    const value = this.object.fields.get(name);
    const path = this.path === "" ? name : `${this.path}.${name}`;
    if (value === undefined) throw new ShapeError("it is missing", { ...place(this.object, path) });
    return read(value, path);
  }

  /** `null` counts as missing here; a file that spells it out fails by its spelling. */
  optional<T>(name: string, read: Read<T>): T | undefined {
    const value = this.object.fields.get(name);
    return value === undefined || value.kind === "null" ? undefined : this.required(name, read);
  }
}

export function list<T>(read: Read<T>): Read<T[]> {
  return (value, path) => {
    if (value.kind !== "list") throw wrong(value, path, "a list");
    return value.elements.map((element, index) => read(element, `${path}[${index}]`));
  };
}

export const text: Read<JsonText> = (value, path) => {
  if (value.kind !== "text") throw wrong(value, path, "a text");
  return value;
};

export function integer(bits: 8 | 16 | 32 | 64): Read<bigint> {
  return (value, path) => {
    const isInteger = value.kind === "number" && /^[0-9]+$/.test(value.literal) && value.literal.length <= 20;
    const number = isInteger ? BigInt(value.literal) : -1n;
    if (number < 0n || number >> BigInt(bits) !== 0n) throw wrong(value, path, `a number of ${bits} bits`);
    return number;
  };
}

export const hex32: Read<Field> = (value, path) => {
  const { value: written, from, to } = text(value, path);
  const bytes = fromHex32(written);
  if (bytes === undefined) throw wrong(value, path, "64 lower-case hexadecimal digits");
  return { bytes, path, from: from + 1, to: to - 1 };
};

export const base64url: Read<Field> = (value, path) => {
  const { value: written, from, to } = text(value, path);
  const bytes = fromBase64url(written);
  if (bytes === undefined) throw wrong(value, path, "base64url without padding");
  return { bytes, path, from: from + 1, to: to - 1 };
};

function place(value: Json, path: string): Place {
  return { path, from: value.from, to: value.to };
}

function wrong(value: Json, path: string, expected: string): ShapeError {
  return new ShapeError(`expected ${expected}`, place(value, path));
}
