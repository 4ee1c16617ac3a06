// Hashes (docs/protocol.md, 2): SHA-256, and SHA-256 under a tag as in BIP-340.

import { sha256 as hash } from "@noble/hashes/sha2.js";
import { concat, utf8 } from "./bytes.ts";

export function sha256(...parts: Uint8Array[]): Uint8Array {
  const state = hash.create();
  for (const part of parts) state.update(part);
  return state.digest();
}

/** The uses of the tagged hash that a check of evidence needs. */
export type Tag =
  | "author"
  | "salt"
  | "block"
  | "body"
  | "content"
  | "context"
  | "genesis"
  | "receipt"
  | "state-key"
  | "transaction"
  | "validators"
  | "vote";

export function tagged(tag: Tag, ...parts: Uint8Array[]): Uint8Array {
  const prefix = sha256(utf8(`sealpost/v1/${tag}`));
  return sha256(concat(prefix, prefix), ...parts);
}
