// Addresses (docs/protocol.md, 3): a version byte and the x-only key, in bech32m (BIP-350).

import { bech32m } from "@scure/base";
import { concat } from "./bytes.ts";
import { isOnCurve } from "./signature.ts";

const VERSION = 0;

export function addressText(key: Uint8Array, prefix: string): string {
  return bech32m.encode(prefix, bech32m.toWords(concat(Uint8Array.of(VERSION), key)));
}

/** The key of an address of that network, or why the text is none. */
export function readAddress(text: string, prefix: string): Uint8Array | string {
  const decoded = bech32m.decodeUnsafe(text);
  if (decoded === undefined) return "it is not a bech32m text, or its checksum does not match";
  if (decoded.prefix !== prefix) return `it is of a network with prefix ${decoded.prefix}`;
  const bytes = bech32m.fromWordsUnsafe(decoded.words);
  if (bytes === undefined || bytes.length !== 33) return "it does not hold 33 bytes";
  if (bytes[0] !== VERSION) return "its version is unknown";
  const key = Uint8Array.from(bytes.subarray(1));
  return isOnCurve(key) ? key : "it holds a key that is not on the curve";
}
