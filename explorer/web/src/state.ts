// Entries of the state, and proofs that one is there or is not (docs/protocol.md, 9).

import { equal, littleEndian, utf8 } from "./bytes.ts";
import { decode } from "./decoder.ts";
import { sha256, tagged } from "./hash.ts";
import { type Bundle, readBundle } from "./transaction.ts";

const MAX_PROOF_BYTES = 10 * 1024;
const MAX_RECORD_BYTES = 4 * 1024;
/** A place has this many bits, so no way to it is longer. */
const PLACE_BITS = 256;

const EMPTY = utf8("SPARSE_MERKLE_PLACEHOLDER_HASH__");
const LEAF = utf8("JMT::LeafNode");
const INNER = utf8("JMT::IntrnalNode");

// Variants of keys and values.
const KEY_DIRECTORY = 1;
const KEY_BUNDLE = 2;
const KEY_RECEIPT = 3;
const VALUE_BUNDLE = 1;

/** The place of an identity's newest key bundle in the tree. */
export function directoryPlace(owner: Uint8Array): Uint8Array {
  return tagged("state-key", littleEndian(KEY_DIRECTORY, 4), owner);
}

/** The place of a key bundle in the tree. */
export function bundlePlace(owner: Uint8Array, sequence: bigint): Uint8Array {
  return tagged("state-key", littleEndian(KEY_BUNDLE, 4), owner, littleEndian(sequence, 8));
}

/** The place of the answer for a slot of a message. */
export function receiptPlace(message: Uint8Array, slot: number): Uint8Array {
  return tagged("state-key", littleEndian(KEY_RECEIPT, 4), message, littleEndian(slot, 2));
}

/** A key bundle as the directory keeps it. */
export interface BundleRecord extends Bundle {
  readonly height: bigint;
  readonly withdrawnFrom: bigint | undefined;
  /** What a leaf of the tree says of it. */
  readonly valueHash: Uint8Array;
}

export function readBundleRecord(bytes: Uint8Array): BundleRecord {
  return decode(bytes, MAX_RECORD_BYTES, (decoder) => {
    const bundle = readBundle(decoder);
    decoder.hash(); // the transaction that published it
    const height = decoder.u64();
    const withdrawnFrom = decoder.optional(() => decoder.u64());
    return { ...bundle, height, withdrawnFrom, valueHash: sha256(littleEndian(VALUE_BUNDLE, 4), bytes) };
  });
}

export interface StateProof {
  readonly leaf: { readonly place: Uint8Array; readonly value: Uint8Array } | undefined;
  /** From the leaf upwards. */
  readonly siblings: readonly Uint8Array[];
}

export function readStateProof(bytes: Uint8Array): StateProof {
  return decode(bytes, MAX_PROOF_BYTES, (decoder) => ({
    leaf: decoder.optional(() => ({ place: decoder.hash(), value: decoder.hash() })),
    siblings: decoder.list(32, () => decoder.hash()),
  }));
}

/** Why the proof does not show that the entry has that value; `undefined` if it does. */
export function presenceFault(
  proof: StateProof,
  root: Uint8Array,
  place: Uint8Array,
  valueHash: Uint8Array,
): string | undefined {
  if (proof.leaf === undefined || !equal(proof.leaf.place, place)) return "it shows no value for this entry";
  if (!equal(proof.leaf.value, valueHash)) return "it shows another value";
  return pathFault(proof, root, place);
}

/** Why the proof does not show that there is no such entry; `undefined` if it does. */
export function absenceFault(proof: StateProof, root: Uint8Array, place: Uint8Array): string | undefined {
  if (proof.leaf !== undefined) {
    if (equal(proof.leaf.place, place)) return "it shows that the entry is there";
    // A lone leaf stands as high as it can: it rules a place out only if both share the way down to it.
    for (let depth = 0; depth < Math.min(proof.siblings.length, PLACE_BITS); depth++) {
      if (bit(proof.leaf.place, depth) !== bit(place, depth)) return "it is for another part of the tree";
    }
  }
  return pathFault(proof, root, place);
}

function pathFault(proof: StateProof, root: Uint8Array, place: Uint8Array): string | undefined {
  const count = proof.siblings.length;
  if (count > PLACE_BITS) return `it has ${count} steps, at most ${PLACE_BITS} are possible`;
  let hash = proof.leaf === undefined ? EMPTY : sha256(LEAF, proof.leaf.place, proof.leaf.value);
  for (const [index, sibling] of proof.siblings.entries()) {
    const right = bit(place, count - 1 - index) === 1;
    hash = right ? sha256(INNER, sibling, hash) : sha256(INNER, hash, sibling);
  }
  return equal(hash, root) ? undefined : "it leads to another state root";
}

/** A bit of a place, counted from the highest. */
function bit(place: Uint8Array, depth: number): number {
  return (place[depth >> 3]! >> (7 - (depth & 7))) & 1;
}
