// JSON (RFC 8259) with the place of every value in the file. The browser's own parser says neither where a
// value stands nor that a name stands there twice, and turns large numbers into others.

import { fromUtf8 } from "./bytes.ts";

export interface JsonText {
  readonly kind: "text";
  readonly value: string;
  readonly from: number;
  readonly to: number;
}
/** A number as it is written; what it may be is for whoever reads the field. */
export interface JsonNumber {
  readonly kind: "number";
  readonly literal: string;
  readonly from: number;
  readonly to: number;
}
export interface JsonList {
  readonly kind: "list";
  readonly elements: Json[];
  readonly from: number;
  readonly to: number;
}
export interface JsonObject {
  readonly kind: "object";
  readonly fields: Map<string, Json>;
  readonly from: number;
  readonly to: number;
}
export interface JsonWord {
  readonly kind: "true" | "false" | "null";
  readonly from: number;
  readonly to: number;
}
export type Json = JsonText | JsonNumber | JsonList | JsonObject | JsonWord;

/** The text is not JSON, or not one that is read here; `at` is the offset of the byte that says so. */
export class JsonError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

/** No file that is read here is nested deeper than this. */
const MAX_DEPTH = 16;
/** Names are no longer than this, so that a message can quote them. */
const QUOTED = 40;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

export function parseJson(bytes: Uint8Array): Json {
  const parser = new Parser(bytes);
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  value(depth: number): Json {
    this.space();
    switch (this.character()) {
      case "{":
        return this.object(depth);
      case "[":
        return this.list(depth);
      case '"':
        return this.text();
      case "t":
        return this.word("true");
      case "f":
        return this.word("false");
      case "n":
        return this.word("null");
      default:
        return this.number();
    }
  }

  end(): void {
    this.space();
    if (this.at < this.bytes.length) throw new JsonError("something follows the end", this.at);
  }

  private object(depth: number): JsonObject {
    const from = this.open(depth);
    const fields = new Map<string, Json>();
    for (let first = true; !this.closes("}", first); first = false) {
      this.space();
      const name = this.text();
      if (fields.has(name.value)) {
        throw new JsonError(`the field ${quoted(name.value)} stands there twice`, name.from);
      }
      this.space();
      this.expect(":");
      fields.set(name.value, this.value(depth + 1));
    }
    return { kind: "object", fields, from, to: this.at };
  }

  private list(depth: number): JsonList {
    const from = this.open(depth);
    const elements: Json[] = [];
    for (let first = true; !this.closes("]", first); first = false) elements.push(this.value(depth + 1));
    return { kind: "list", elements, from, to: this.at };
  }

  private open(depth: number): number {
    if (depth >= MAX_DEPTH) throw new JsonError("nested too deep", this.at);
    return this.at++;
  }

  /**
   * Whether the bracket closes here; if not, steps over the comma that must stand before the next
   * element.
   */
  private closes(bracket: string, first: boolean): boolean {
    this.space();
    if (this.character() === bracket) {
      this.at++;
      return true;
    }
    if (!first) this.expect(",");
    return false;
  }

  private text(): JsonText {
    const from = this.at;
    this.expect('"');
    let escaped = false;
    let at = this.at;
    for (; ; at++) {
      const byte = this.bytes[at];
      if (byte === undefined) throw new JsonError("the file ends within a text", at);
      if (byte < 0x20) throw new JsonError("a control character within a text", at);
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        escaped = true;
        at++;
      }
    }
    const raw = fromUtf8(this.bytes.subarray(this.at, at));
    if (raw === undefined) throw new JsonError("a text that is not UTF-8", this.at);
    const value = escaped ? unescape(raw, this.at) : raw;
    this.at = at + 1;
    return { kind: "text", value, from, to: this.at };
  }

  private number(): JsonNumber {
    const from = this.at;
    let to = from;
    while (to < this.bytes.length && isOfNumber(this.bytes[to]!)) to++;
    const written = String.fromCharCode(...this.bytes.subarray(from, Math.min(to, from + 400)));
    NUMBER.lastIndex = 0;
    const literal = NUMBER.exec(written)?.[0];
    if (literal === undefined) throw new JsonError("no value stands here", from);
    this.at = from + literal.length;
    return { kind: "number", literal, from, to: this.at };
  }

  private word(word: "true" | "false" | "null"): JsonWord {
    const from = this.at;
    for (const character of word) this.expect(character);
    return { kind: word, from, to: this.at };
  }

  private space(): void {
    for (; ; this.at++) {
      const byte = this.bytes[this.at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
    }
  }

  private expect(character: string): void {
    if (this.character() !== character) throw new JsonError(`expected ${character}`, this.at);
    this.at++;
  }

  /** The character here, an ASCII one or a placeholder; empty at the end of the file. */
  private character(): string {
    const byte = this.bytes[this.at];
    return byte === undefined ? "" : String.fromCharCode(byte);
  }
}

function isOfNumber(byte: number): boolean {
  return /[-+.0-9eE]/.test(String.fromCharCode(byte));
}

const SHORT_ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function unescape(raw: string, from: number): string {
  const text = raw.replace(/\\(?:u([0-9a-fA-F]{4})|([^u])|u?)/gs, (_, code?: string, short?: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
    const character = short === undefined ? undefined : SHORT_ESCAPES[short];
    if (character === undefined) throw new JsonError("an unknown escape in a text", from);
    return character;
  });
  // Half of a pair of surrogates is no character.
  if (/\p{Surrogate}/u.test(text)) throw new JsonError("half a character in a text", from);
  return text;
}

export function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);
}
