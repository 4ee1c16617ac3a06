// Signatures (docs/protocol.md, 3): BIP-340 on secp256k1, by the audited library.

import { schnorr, secp256k1 } from "@noble/curves/secp256k1.js";

/** Whether the 64-byte signature by the x-only key holds over the message. Never throws. */
export function signatureHolds(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  try {
    return schnorr.verify(signature, message, key);
  } catch {
    return false;
  }
}

/** Whether there is a point with that x-coordinate. */
export function isOnCurve(key: Uint8Array): boolean {
  if (key.length !== 32) return false;
  try {
    // SEC1, compressed, with an even y. The curve has prime order: every point on it is in the group.
    secp256k1.Point.fromBytes(Uint8Array.of(2, ...key)).assertValidity();
    return true;
  } catch {
    return false;
  }
}
