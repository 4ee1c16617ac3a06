// What a disclosed content says (docs/protocol.md, 7): its commitment covers any bytes, so one that is no
// letter is nobody's fault.

import { DecodeError, type Decoder, decode } from "./decoder.ts";
import { sha256 } from "./hash.ts";
import { type Receipt, readReceipt } from "./transaction.ts";

/** A content is no longer than this, in bytes. */
const MAX_CONTENT_BYTES = 8 * 1024 * 1024;
/** A letter has at most so many attachments, and so many answers. */
const MAX_ENTRIES = 10_000;

/** So many bytes with that SHA-256. */
export interface Data {
  readonly bytes: bigint;
  readonly sha256: Uint8Array;
  /** In how many messages of their own they stand; `undefined` if they are in this one. Then both are the sender's word. */
  readonly messages: number | undefined;
}

export interface Letter {
  readonly kind: "letter";
  readonly subject: string;
  readonly text: string;
  /** What of the text stands in other messages. */
  readonly continued: Data | undefined;
  /** Answers to sealed messages, which stand nowhere on the ledger. */
  readonly answers: Receipt[];
  readonly attachments: { readonly name: string; readonly data: Data }[];
}

/** A part of something that was too long for one message. */
export interface Part {
  readonly kind: "part";
  readonly number: number;
  readonly bytes: number;
}

/** The content, if it is a letter or a part of one. */
export function readContent(bytes: Uint8Array): Letter | Part | undefined {
  try {
    return decode(bytes, MAX_CONTENT_BYTES, (decoder) =>
      decoder.choice<Letter | Part>(
        () => readLetter(decoder),
        () => readPart(decoder),
      ),
    );
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** Message 32, slot 2, choice 4, and a reason or a secret. */
const SMALLEST_ANSWER = 32 + 2 + 4 + 4;
/** An empty name, and no bytes. */
const SMALLEST_ATTACHMENT = 8 + 4 + 8;

function readLetter(decoder: Decoder): Letter {
  const subject = decoder.text();
  const text = decoder.text();
  const continued = decoder.optional(() => readParts(decoder));
  decoder.optional(() => decoder.hash()); // the message it replies to
  const answers = entries(decoder, SMALLEST_ANSWER, () => readReceipt(decoder));
  const attachments = entries(decoder, SMALLEST_ATTACHMENT, () => ({
    name: decoder.text(),
    data: decoder.choice<Data>(
      () => readWhole(decoder),
      () => readParts(decoder),
    ),
  }));
  return { kind: "letter", subject, text, continued, answers, attachments };
}

function entries<T>(decoder: Decoder, smallest: number, read: () => T): T[] {
  const from = decoder.at;
  const found = decoder.list(smallest, read);
  if (found.length > MAX_ENTRIES) throw new DecodeError(`${found.length}, the limit is ${MAX_ENTRIES}`, from);
  return found;
}

function readWhole(decoder: Decoder): Data {
  const bytes = decoder.bytes();
  return { bytes: BigInt(bytes.length), sha256: sha256(bytes), messages: undefined };
}

/** What stands in other messages. */
function readParts(decoder: Decoder): Data {
  const bytes = decoder.u64();
  const hash = decoder.hash();
  return { bytes, sha256: hash, messages: decoder.list(32, () => decoder.hash()).length };
}

function readPart(decoder: Decoder): Part {
  decoder.take(16); // parcel
  return { kind: "part", number: decoder.u32(), bytes: decoder.bytes().length };
}
