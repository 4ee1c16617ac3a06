// Small rules that several steps of the check share, and how a step says no.

import { toHex } from "./bytes.ts";
import { Refused } from "./failure.ts";
import type { Place } from "./place.ts";
import type { Message } from "./transaction.ts";

/** What is wrong with the recipients of an author block, if anything is. */
export function authorProblem(recipients: readonly Uint8Array[], message: Message): string | undefined {
  if (message.mode !== "sealed") return "an author block stands with a message that is not sealed";
  if (recipients.length !== message.slots.length) {
    return `it names ${recipients.length} recipients, the message has ${message.slots.length} slots`;
  }
  return new Set(recipients.map(toHex)).size < recipients.length ? "it names a recipient twice" : undefined;
}

/** The slot, if it follows the one before in its list. */
export function inOrder(slot: number, previous: number, place: Place): number {
  if (slot <= previous) throw refuse("slot_order", `slot ${slot} stands there twice or out of order`, place);
  return slot;
}

/** The recipient of an open slot, the number of their key bundle, and what their receipt has to match. */
export function named(
  message: Message,
  slot: number,
  place: Place,
): { address: Uint8Array; bundle: bigint; receiptCommit: Uint8Array } {
  const found = message.slots[slot];
  if (found === undefined) {
    throw refuse(
      "unknown_slot",
      `it is for slot ${slot}, but the message has ${message.slots.length}`,
      place,
    );
  }
  const { recipient, receiptCommit } = found;
  if (recipient.kind === "hidden")
    throw refuse("sealed_slot", `the recipient of slot ${slot} is hidden`, place);
  return { address: recipient.address, bundle: recipient.bundle, receiptCommit };
}

export function refuse(code: string, message: string, place: Place): Refused {
  return new Refused(code.startsWith("evidence.") ? code : `evidence.${code}`, message, place);
}

export function missing(height: bigint, place: Place): Refused {
  return refuse("missing_block", `it names block ${height}, which is not in the evidence`, place);
}

/** Milliseconds since 1970 for people, as far as a calendar reaches. */
export function clock(ms: bigint): string {
  const LAST = 8_640_000_000_000_000n;
  return ms <= LAST ? new Date(Number(ms)).toISOString() : `${ms} ms after 1970`;
}
