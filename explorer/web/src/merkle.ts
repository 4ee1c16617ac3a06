// Inclusion in a block's Merkle tree (docs/protocol.md, 10), as RFC 9162, 2.1.3.2 checks it.

import { equal } from "./bytes.ts";
import { sha256 } from "./hash.ts";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(data: Uint8Array): Uint8Array {
  return sha256(LEAF, data);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE, left, right);
}

/** Whether `leaf` is the one at `index` in the tree of `size` leaves with that root. Sizes have 32 bits. */
export function isIncluded(
  root: Uint8Array,
  size: number,
  index: number,
  leaf: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (index >= size) return false;
  // The RFC's names: fn is the node's place in its row, sn that of the last node in the same row.
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash);
      // A last node without a neighbour rises unchanged until it has one.
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 && equal(hash, root);
}

function half(number: number): number {
  return Math.floor(number / 2);
}
