// Transactions (docs/protocol.md, 5 and 6): read from their bytes. Whether one stands where it is said to
// stand is checked elsewhere.

import { concat, littleEndian } from "./bytes.ts";
import { type Decoder, decode } from "./decoder.ts";
import { tagged } from "./hash.ts";
import type { Span } from "./place.ts";

const MAX_TRANSACTION_BYTES = 512 * 1024;
export const TRANSACTION_VERSION = 1;

/** Whom a slot is for; `encoded` is how that stands in the transaction. */
export type Recipient = { readonly encoded: Uint8Array } & (
  | { readonly kind: "named"; readonly address: Uint8Array; readonly bundle: bigint }
  | { readonly kind: "hidden" }
);

export interface Slot {
  readonly recipient: Recipient;
  readonly receiptCommit: Uint8Array;
}

export interface Message {
  readonly kind: "message";
  readonly suite: number;
  readonly mode: "open" | "sealed";
  readonly slots: Slot[];
  readonly keyCommit: Uint8Array;
  readonly contentCommit: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly bodyLength: number;
}

export const REASONS = ["unspecified", "not-responsible", "unreadable", "unwanted", "other-channel"] as const;
export type Reason = (typeof REASONS)[number];
export type Answer =
  | { readonly kind: "opened"; readonly secret: Uint8Array }
  | { readonly kind: "refused"; readonly reason: Reason };

export interface Receipt {
  readonly kind: "receipt";
  readonly message: Uint8Array;
  readonly slot: number;
  readonly answer: Answer;
}

/**
 * The payloads of which evidence says nothing: they are read only so that their bytes are known to be
 * whole.
 */
export interface OtherPayload {
  readonly kind: "key_bundle" | "revoke" | "designate" | "validators" | "member";
}

export interface Transaction {
  readonly version: number;
  readonly chain: Uint8Array;
  readonly sender: Uint8Array;
  readonly expiry: bigint;
  readonly payload: Message | Receipt | OtherPayload;
  readonly signature: Uint8Array;
  /** The transaction id: the hash of everything before the signature, which is what the sender signs. */
  readonly id: Uint8Array;
  /** Where its parts stand in its bytes, for messages to people. */
  readonly spans: {
    readonly version: Span;
    readonly chain: Span;
    readonly sender: Span;
    readonly payload: Span;
    readonly signature: Span;
  };
}

export function readTransaction(bytes: Uint8Array): Transaction {
  return decode(bytes, MAX_TRANSACTION_BYTES, (decoder) => {
    const version = decoder.spanned("version", () => decoder.u16());
    const chain = decoder.spanned("chain", () => decoder.hash());
    const sender = decoder.spanned("sender", () => decoder.hash());
    const expiry = decoder.u64();
    const payload = decoder.spanned("payload", () => readPayload(decoder));
    decoder.u64(); // The nonce: postage was the ledger's question.
    const id = tagged("transaction", bytes.subarray(0, decoder.at));
    const signature = decoder.spanned("signature", () => decoder.take(64));
    return {
      version: version.value,
      chain: chain.value,
      sender: sender.value,
      expiry,
      payload: payload.value,
      signature: signature.value,
      id,
      spans: {
        version: version.span,
        chain: chain.span,
        sender: sender.span,
        payload: payload.span,
        signature: signature.span,
      },
    };
  });
}

function readPayload(decoder: Decoder): Message | Receipt | OtherPayload {
  return decoder.choice<Message | Receipt | OtherPayload>(
    () => readMessage(decoder),
    () => readReceipt(decoder),
    () => {
      readBundle(decoder);
      return { kind: "key_bundle" };
    },
    () => {
      decoder.u64();
      decoder.u64();
      return { kind: "revoke" };
    },
    () => {
      decoder.text();
      decoder.hash();
      return { kind: "designate" };
    },
    () => {
      decoder.list(40, () => [decoder.hash(), decoder.u64()]);
      decoder.u64();
      readApprovals(decoder);
      return { kind: "validators" };
    },
    () => {
      decoder.hash();
      decoder.choice(nothing, nothing);
      readApprovals(decoder);
      return { kind: "member" };
    },
  );
}

function readMessage(decoder: Decoder): Message {
  return {
    kind: "message",
    suite: decoder.choice(
      () => 0,
      () => 1,
    ),
    mode: decoder.choice<"open" | "sealed">(
      () => "open",
      () => "sealed",
    ),
    slots: decoder.list(SMALLEST_SLOT, () => readSlot(decoder)),
    keyCommit: decoder.hash(),
    contentCommit: decoder.hash(),
    bodyHash: decoder.hash(),
    bodyLength: decoder.u32(),
  };
}

/** A hidden recipient, the ECIES share, no ML-KEM share, the wrapped key, the receipt's commitment. */
const SMALLEST_SLOT = 4 + 34 + 129 + 1 + 48 + 32;

function readSlot(decoder: Decoder): Slot {
  const from = decoder.at;
  const recipient = decoder.choice<
    { kind: "named"; address: Uint8Array; bundle: bigint } | { kind: "hidden" }
  >(
    () => ({ kind: "named", address: decoder.hash(), bundle: decoder.u64() }),
    () => {
      decoder.take(33); // ephemeral key
      decoder.u8(); // view tag
      return { kind: "hidden" };
    },
  );
  const encoded = decoder.input.slice(from, decoder.at);
  decoder.take(129); // ECIES share
  decoder.optional(() => decoder.bytes()); // ML-KEM share
  decoder.take(48); // wrapped key
  return { recipient: { ...recipient, encoded }, receiptCommit: decoder.hash() };
}

export function readReceipt(decoder: Decoder): Receipt {
  return {
    kind: "receipt",
    message: decoder.hash(),
    slot: decoder.u16(),
    answer: decoder.choice<Answer>(
      () => ({ kind: "opened", secret: decoder.hash() }),
      () => ({ kind: "refused", reason: decoder.choice(...REASONS.map((reason) => () => reason)) }),
    ),
  };
}

/** A key bundle, as a transaction publishes it and as the directory keeps it. */
export interface Bundle {
  readonly sequence: bigint;
  readonly validUntil: bigint;
}

export function readBundle(decoder: Decoder): Bundle {
  const sequence = decoder.u64();
  decoder.take(33); // ECIES key
  decoder.optional(() => decoder.bytes()); // ML-KEM key
  return { sequence, validUntil: decoder.u64() };
}

function readApprovals(decoder: Decoder): void {
  decoder.list(66, () => [decoder.u16(), decoder.take(64)]);
}

function nothing(): void {}

/** What a message's envelope is bound to, and what the author of a sealed one signs (docs/protocol.md, 7). */
export function contextHash(transaction: Transaction, message: Message): Uint8Array {
  return tagged(
    "context",
    littleEndian(transaction.version, 2),
    transaction.chain,
    transaction.sender,
    littleEndian(transaction.expiry, 8),
    littleEndian(message.suite, 4),
    littleEndian(message.mode === "open" ? 0 : 1, 4),
    littleEndian(message.slots.length, 8),
    concat(...message.slots.map((slot) => slot.recipient.encoded)),
    message.contentCommit,
  );
}
