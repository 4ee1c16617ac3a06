// The canonical encoding (docs/protocol.md, 1): fixed widths, little-endian, exactly one encoding of each
// value.

import { fromUtf8 } from "./bytes.ts";
import type { Span } from "./place.ts";

/** No value is longer than this, in bytes. */
export const MAX_BYTES = 16 * 1024 * 1024;

/** The bytes are not a value of the kind that is read; `at` is where in them that shows. */
export class DecodeError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

/** Reads exactly one value from bytes: not from more than `limit`, and with nothing after its end. */
export function decode<T>(bytes: Uint8Array, limit: number, read: (decoder: Decoder) => T): T {
  if (bytes.length > limit) throw new DecodeError(`${bytes.length} bytes, the limit is ${limit}`, limit);
  const decoder = new Decoder(bytes);
  const value = read(decoder);
  if (decoder.at < bytes.length) {
    throw new DecodeError(`${bytes.length - decoder.at} bytes follow its end`, decoder.at);
  }
  return value;
}

export class Decoder {
  at = 0;

  constructor(readonly input: Uint8Array) {}

  /** The next bytes. A copy, so that nothing read changes with its source. */
  take(count: number): Uint8Array {
    const left = this.input.length - this.at;
    if (count > left) throw new DecodeError(`the bytes end: ${count} are needed, ${left} are there`, this.at);
    this.at += count;
    return this.input.slice(this.at - count, this.at);
  }

  u8(): number {
    return Number(this.integer(1));
  }
  u16(): number {
    return Number(this.integer(2));
  }
  u32(): number {
    return Number(this.integer(4));
  }
  u64(): bigint {
    return this.integer(8);
  }
  hash(): Uint8Array {
    return this.take(32);
  }

  bytes(): Uint8Array {
    return this.take(this.count(1));
  }

  text(): string {
    const from = this.at;
    const text = fromUtf8(this.bytes());
    if (text === undefined) throw new DecodeError("a text that is not UTF-8", from + 8);
    return text;
  }

  /**
   * A list whose elements have at least `smallest` bytes each: its length is believed only if they can
   * be there.
   */
  list<T>(smallest: number, read: () => T): T[] {
    const count = this.count(smallest);
    const elements: T[] = [];
    for (let n = 0; n < count; n++) elements.push(read());
    return elements;
  }

  optional<T>(read: () => T): T | undefined {
    const from = this.at;
    const present = this.u8();
    if (present > 1) throw new DecodeError(`${present} where 0 or 1 says whether something follows`, from);
    return present === 1 ? read() : undefined;
  }

  /** A choice: reads the variant with the number that stands here. */
  choice<T>(...variants: (() => T)[]): T {
    const from = this.at;
    const number = this.u32();
    const read = variants[number];
    if (read === undefined) throw new DecodeError(`variant ${number} is unknown`, from);
    return read();
  }

  /** Reads something and notes where it stood. */
  spanned<T>(name: string, read: () => T): { value: T; span: Span } {
    const from = this.at;
    const value = read();
    return { value, span: { name, from, to: this.at } };
  }

  private count(smallest: number): number {
    const from = this.at;
    const count = this.u64();
    const left = this.input.length - this.at;
    if (count * BigInt(smallest) > BigInt(left)) {
      throw new DecodeError(`a length of ${count}, but only ${left} bytes follow`, from);
    }
    return Number(count);
  }

  private integer(width: number): bigint {
    const bytes = this.take(width);
    let value = 0n;
    for (let at = width - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at]!);
    return value;
  }
}
