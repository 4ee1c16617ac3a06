// An evidence file, read and not yet checked (docs/protocol.md, 13): its fields, the structures whose bytes
// they hold, and its one spelling. Reading it says nothing about any message.

import { type Certificate, type Header, readCertificate, readHeader } from "./block.ts";
import { DecodeError, MAX_BYTES, decode } from "./decoder.ts";
import { type EvidenceFile, type TransactionEntry, not, plainFile, readFile } from "./evidence-file.ts";
import { quoted } from "./json.ts";
import { type Field, type Place, within } from "./place.ts";
import { firstDifference, spell } from "./spelling.ts";
import { type BundleRecord, type StateProof, readBundleRecord, readStateProof } from "./state.ts";
import { type Transaction, readTransaction } from "./transaction.ts";
import { type ValidatorSet, validatorSet } from "./validators.ts";

const MAX_EVIDENCE_BYTES = 32 * 1024 * 1024;
const FORMAT = "sealpost-evidence/1";

/** A structure, and the field that holds its bytes. */
export interface Held<T> {
  readonly value: T;
  readonly field: Field;
}

export interface CertifiedHeader {
  readonly header: Held<Header>;
  readonly certificate: Held<Certificate>;
}
export interface ValidatorChange {
  readonly block: bigint;
  readonly validators: ValidatorSet;
  readonly place: Place;
}
export interface ProvenTransaction {
  readonly block: bigint;
  readonly index: number;
  readonly path: Field[];
  readonly transaction: Held<Transaction>;
  readonly place: Place;
}
export interface ProvenKey {
  readonly slot: number;
  readonly block: bigint;
  readonly record: Held<BundleRecord>;
  readonly proof: Held<StateProof>;
  /** The owner's newest bundle, where it is not this one. */
  readonly newest: { readonly record: Held<BundleRecord>; readonly proof: Held<StateProof> } | undefined;
  readonly place: Place;
}
export interface ProvenAbsence {
  readonly slot: number;
  readonly block: bigint;
  readonly proof: Held<StateProof>;
  readonly place: Place;
}
/** Who wrote a sealed message, and to whom, signed inside. */
export interface AuthorBlock {
  readonly author: Uint8Array;
  readonly recipients: Uint8Array[];
  readonly blinding: Uint8Array;
  readonly signature: Uint8Array;
}
export interface Disclosure {
  readonly salt: Field;
  readonly content: Field;
  readonly author: Held<AuthorBlock> | undefined;
}

export interface Evidence {
  readonly chain: Field;
  readonly blocks: CertifiedHeader[];
  readonly validatorChanges: ValidatorChange[];
  readonly message: ProvenTransaction;
  readonly receipts: ProvenTransaction[];
  readonly keys: ProvenKey[];
  readonly absences: ProvenAbsence[];
  readonly body: Field | undefined;
  readonly disclosure: Disclosure | undefined;
}

/** Reads a file, or throws `NotReadable`. */
export function readEvidence(bytes: Uint8Array): Evidence {
  if (bytes.length > MAX_EVIDENCE_BYTES) {
    throw not("too_long", `${bytes.length} bytes, the limit is ${MAX_EVIDENCE_BYTES}`);
  }
  const file = readFile(bytes);
  if (file.format.value !== FORMAT) {
    const { from, to } = file.format;
    throw not("format", `its format is ${quoted(file.format.value)}, not ${FORMAT}`, {
      path: "format",
      from,
      to,
    });
  }
  const evidence = readFields(file);
  const at = firstDifference(spell(plainFile(file)), bytes);
  if (at !== undefined) {
    const place = { path: "the spelling", from: at, to: at + 1 };
    throw not("spelling", "it is not in its one spelling; take the file as it was written", place);
  }
  return evidence;
}

// The structures whose bytes the fields hold.

function readFields(file: EvidenceFile): Evidence {
  return {
    chain: file.chain,
    blocks: file.blocks.map((block) => ({
      header: structure(block.header, readHeader),
      certificate: structure(block.certificate, readCertificate),
    })),
    validatorChanges: file.validatorChanges.map(({ block, validators, place }) => {
      const set = validatorSet(validators.map(({ key, power }) => ({ key: key.bytes, power })));
      if (typeof set === "string") throw not("field", `${place.path}.validators: ${set}`, place);
      return { block, validators: set, place };
    }),
    message: readProven(file.message),
    receipts: file.receipts.map(readProven),
    keys: file.keys.map(({ slot, block, record, proof, newest, place }) => ({
      slot: Number(slot),
      block,
      record: structure(record, readBundleRecord),
      proof: structure(proof, readStateProof),
      newest: newest && {
        record: structure(newest.record, readBundleRecord),
        proof: structure(newest.proof, readStateProof),
      },
      place,
    })),
    absences: file.absences.map(({ slot, block, proof, place }) => ({
      slot: Number(slot),
      block,
      proof: structure(proof, readStateProof),
      place,
    })),
    body: file.body,
    disclosure: file.disclosure && {
      salt: file.disclosure.salt,
      content: file.disclosure.content,
      author: file.disclosure.author && structure(file.disclosure.author, readAuthorBlock),
    },
  };
}

function readProven({ block, index, path, transaction, place }: TransactionEntry): ProvenTransaction {
  return { block, index: Number(index), path, transaction: structure(transaction, readTransaction), place };
}

function readAuthorBlock(bytes: Uint8Array): AuthorBlock {
  return decode(bytes, MAX_BYTES, (decoder) => ({
    author: decoder.hash(),
    recipients: decoder.list(32, () => decoder.hash()),
    blinding: decoder.hash(),
    signature: decoder.take(64),
  }));
}

function structure<T>(field: Field, read: (bytes: Uint8Array) => T): Held<T> {
  try {
    return { value: read(field.bytes), field };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const place = within(field, { name: `byte ${error.at}`, from: error.at, to: error.at + 1 });
    throw not("field", `${field.path}: ${error.message}`, place);
  }
}
