// An evidence file, read and not yet checked (docs/protocol.md, 13): its fields, the structures whose bytes
// they hold, and its one spelling. Reading it says nothing about any message.

import { type Certificate, type Header, readCertificate, readHeader } from "./block.ts";
import { toBase64url } from "./base64url.ts";
import { compare, toHex } from "./bytes.ts";
import { DecodeError, MAX_BYTES, decode } from "./decoder.ts";
import { NotReadable } from "./failure.ts";
import { JsonError, type Json, type JsonText, parseJson, quoted } from "./json.ts";
import { type Field, type Place, within } from "./place.ts";
import { Fields, type Read, ShapeError, base64url, hex32, integer, list, text } from "./shape.ts";
import { type Plain, firstDifference, spell } from "./spelling.ts";
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

function not(code: string, message: string, place?: Place): NotReadable {
  return new NotReadable(`evidence.${code}`, `not an evidence file: ${message}`, place);
}

// The fields as they stand in the JSON text.

interface File {
  readonly format: JsonText;
  readonly chain: Field;
  readonly blocks: { header: Field; certificate: Field }[];
  readonly validatorChanges: { block: bigint; validators: { key: Field; power: bigint }[]; place: Place }[];
  readonly message: TransactionEntry;
  readonly receipts: TransactionEntry[];
  readonly keys: { slot: bigint; block: bigint; record: Field; proof: Field; place: Place }[];
  readonly absences: { slot: bigint; block: bigint; proof: Field; place: Place }[];
  readonly body: Field | undefined;
  readonly disclosure: { salt: Field; content: Field; author: Field | undefined } | undefined;
}

interface TransactionEntry {
  readonly block: bigint;
  readonly index: bigint;
  readonly path: Field[];
  readonly transaction: Field;
  readonly place: Place;
}

function readFile(bytes: Uint8Array): File {
  try {
    return file(parseJson(bytes), "");
  } catch (error) {
    if (error instanceof JsonError) {
      throw not("json", error.message, { path: "the JSON text", from: error.at, to: error.at + 1 });
    }
    if (error instanceof ShapeError) throw not("json", `${error.place.path}: ${error.message}`, error.place);
    throw error;
  }
}

const file: Read<File> = (json, path) => {
  const fields = Fields.of(json, path, [
    "format",
    "chain",
    "blocks",
    "validator_changes",
    "message",
    "receipts",
    "keys",
    "absences",
    "body",
    "disclosure",
  ]);
  return {
    format: fields.required("format", text),
    chain: fields.required("chain", hex32),
    blocks: fields.required("blocks", list(block)),
    validatorChanges: fields.required("validator_changes", list(validatorChange)),
    message: fields.required("message", transaction),
    receipts: fields.required("receipts", list(transaction)),
    keys: fields.required("keys", list(key)),
    absences: fields.required("absences", list(absence)),
    body: fields.optional("body", base64url),
    disclosure: fields.optional("disclosure", disclosure),
  };
};

const block: Read<File["blocks"][number]> = (json, path) => {
  const fields = Fields.of(json, path, ["header", "certificate"]);
  return {
    header: fields.required("header", base64url),
    certificate: fields.required("certificate", base64url),
  };
};

const validatorChange: Read<File["validatorChanges"][number]> = (json, path) => {
  const fields = Fields.of(json, path, ["block", "validators"]);
  return {
    block: fields.required("block", integer(64)),
    validators: fields.required("validators", list(validator)),
    place: placeOfEntry(json, path),
  };
};

const validator: Read<{ key: Field; power: bigint }> = (json, path) => {
  const fields = Fields.of(json, path, ["public_key", "power"]);
  return { key: fields.required("public_key", hex32), power: fields.required("power", integer(64)) };
};

const transaction: Read<TransactionEntry> = (json, path) => {
  const fields = Fields.of(json, path, ["block", "index", "path", "transaction"]);
  return {
    block: fields.required("block", integer(64)),
    index: fields.required("index", integer(32)),
    path: fields.required("path", list(hex32)),
    transaction: fields.required("transaction", base64url),
    place: placeOfEntry(json, path),
  };
};

const key: Read<File["keys"][number]> = (json, path) => {
  const fields = Fields.of(json, path, ["slot", "block", "record", "proof"]);
  return {
    slot: fields.required("slot", integer(16)),
    block: fields.required("block", integer(64)),
    record: fields.required("record", base64url),
    proof: fields.required("proof", base64url),
    place: placeOfEntry(json, path),
  };
};

const absence: Read<File["absences"][number]> = (json, path) => {
  const fields = Fields.of(json, path, ["slot", "block", "proof"]);
  return {
    slot: fields.required("slot", integer(16)),
    block: fields.required("block", integer(64)),
    proof: fields.required("proof", base64url),
    place: placeOfEntry(json, path),
  };
};

const disclosure: Read<{ salt: Field; content: Field; author: Field | undefined }> = (json, path) => {
  const fields = Fields.of(json, path, ["salt", "content", "author"]);
  return {
    salt: fields.required("salt", hex32),
    content: fields.required("content", base64url),
    author: fields.optional("author", base64url),
  };
};

function placeOfEntry(json: Json, path: string): Place {
  return { path, from: json.from, to: json.to };
}

// The structures whose bytes the fields hold.

function readFields(file: File): Evidence {
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
    keys: file.keys.map(({ slot, block, record, proof, place }) => ({
      slot: Number(slot),
      block,
      record: structure(record, readBundleRecord),
      proof: structure(proof, readStateProof),
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

// The file as it is spelled.

function plainFile(file: File): Plain {
  return object([
    ["format", file.format.value],
    ["chain", toHex(file.chain.bytes)],
    [
      "blocks",
      file.blocks.map((block) =>
        object([
          ["header", toBase64url(block.header.bytes)],
          ["certificate", toBase64url(block.certificate.bytes)],
        ]),
      ),
    ],
    [
      "validator_changes",
      file.validatorChanges.map((change) =>
        object([
          ["block", change.block],
          [
            "validators",
            [...change.validators]
              .sort((a, b) => compare(a.key.bytes, b.key.bytes))
              .map((validator) =>
                object([
                  ["public_key", toHex(validator.key.bytes)],
                  ["power", validator.power],
                ]),
              ),
          ],
        ]),
      ),
    ],
    ["message", plainTransaction(file.message)],
    ["receipts", file.receipts.map(plainTransaction)],
    [
      "keys",
      file.keys.map((key) =>
        object([
          ["slot", key.slot],
          ["block", key.block],
          ["record", toBase64url(key.record.bytes)],
          ["proof", toBase64url(key.proof.bytes)],
        ]),
      ),
    ],
    [
      "absences",
      file.absences.map((absence) =>
        object([
          ["slot", absence.slot],
          ["block", absence.block],
          ["proof", toBase64url(absence.proof.bytes)],
        ]),
      ),
    ],
    file.body && ["body", toBase64url(file.body.bytes)],
    file.disclosure && [
      "disclosure",
      object([
        ["salt", toHex(file.disclosure.salt.bytes)],
        ["content", toBase64url(file.disclosure.content.bytes)],
        file.disclosure.author && ["author", toBase64url(file.disclosure.author.bytes)],
      ]),
    ],
  ]);
}

function plainTransaction(entry: TransactionEntry): Plain {
  return object([
    ["block", entry.block],
    ["index", entry.index],
    ["path", entry.path.map((node) => toHex(node.bytes))],
    ["transaction", toBase64url(entry.transaction.bytes)],
  ]);
}

/** Fields that are missing are left out. */
function object(fields: (readonly [string, Plain] | undefined)[]): Plain {
  return { fields: fields.filter((field) => field !== undefined) };
}
