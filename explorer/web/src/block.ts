// Block headers and the certificates that make blocks final (docs/protocol.md, 11 and 12), read from their
// bytes.

import { decode } from "./decoder.ts";
import { tagged } from "./hash.ts";
import type { Span } from "./place.ts";

const MAX_HEADER_BYTES = 512;
const MAX_CERTIFICATE_BYTES = 128 * 1024;
export const BLOCK_VERSION = 1;

export interface Header {
  readonly version: number;
  readonly chain: Uint8Array;
  readonly height: bigint;
  readonly timeMs: bigint;
  readonly transactionCount: number;
  readonly transactionRoot: Uint8Array;
  readonly stateRoot: Uint8Array;
  readonly validatorsHash: Uint8Array;
  readonly nextValidatorsHash: Uint8Array;
  readonly hash: Uint8Array;
  readonly spans: {
    readonly version: Span;
    readonly chain: Span;
    readonly height: Span;
    readonly validatorsHash: Span;
    readonly nextValidatorsHash: Span;
  };
}

export function readHeader(bytes: Uint8Array): Header {
  return decode(bytes, MAX_HEADER_BYTES, (decoder) => {
    const version = decoder.spanned("version", () => decoder.u16());
    const chain = decoder.spanned("chain", () => decoder.hash());
    const height = decoder.spanned("height", () => decoder.u64());
    const timeMs = decoder.u64();
    decoder.hash(); // parent
    const transactionCount = decoder.u32();
    const transactionRoot = decoder.hash();
    decoder.hash(); // history root
    const stateRoot = decoder.hash();
    const validators = decoder.spanned("validators_hash", () => decoder.hash());
    const next = decoder.spanned("next_validators_hash", () => decoder.hash());
    decoder.u64(); // postage price
    decoder.hash(); // proposer
    return {
      version: version.value,
      chain: chain.value,
      height: height.value,
      timeMs,
      transactionCount,
      transactionRoot,
      stateRoot,
      validatorsHash: validators.value,
      nextValidatorsHash: next.value,
      hash: tagged("block", bytes),
      spans: {
        version: version.span,
        chain: chain.span,
        height: height.span,
        validatorsHash: validators.span,
        nextValidatorsHash: next.span,
      },
    };
  });
}

export interface CommitSignature {
  /** Position in the ordered set of validators. */
  readonly position: number;
  readonly signature: Uint8Array;
  readonly span: Span;
}

export interface Certificate {
  readonly height: bigint;
  readonly round: number;
  readonly block: Uint8Array;
  readonly signatures: CommitSignature[];
  readonly namesBlock: Span;
}

export function readCertificate(bytes: Uint8Array): Certificate {
  return decode(bytes, MAX_CERTIFICATE_BYTES, (decoder) => {
    const named = decoder.spanned("the block it names", () => ({
      height: decoder.u64(),
      round: decoder.u32(),
      block: decoder.hash(),
    }));
    let number = 0;
    const signatures = decoder.list(66, () => {
      const { value, span } = decoder.spanned(`signature ${number++}`, () => ({
        position: decoder.u16(),
        signature: decoder.take(64),
      }));
      return { ...value, span };
    });
    return { ...named.value, signatures, namesBlock: named.span };
  });
}
