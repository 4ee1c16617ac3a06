// An evidence file as text (docs/protocol.md, 13): which fields it has, what kind each is, and how it is
// spelled. What the bytes in the fields mean is read elsewhere.

import { toBase64url } from "./base64url.ts";
import { compare, toHex } from "./bytes.ts";
import { NotReadable } from "./failure.ts";
import { JsonError, type Json, type JsonText, parseJson } from "./json.ts";
import type { Field, Place } from "./place.ts";
import { Fields, type Read, ShapeError, base64url, hex32, integer, list, text } from "./shape.ts";
import type { Plain } from "./spelling.ts";

/** Says that a file is no evidence. */
export function not(code: string, message: string, place?: Place): NotReadable {
  return new NotReadable(`evidence.${code}`, `not an evidence file: ${message}`, place);
}

// The fields as they stand in the JSON text.

export interface EvidenceFile {
  readonly format: JsonText;
  readonly chain: Field;
  readonly blocks: { header: Field; certificate: Field }[];
  readonly validatorChanges: { block: bigint; validators: { key: Field; power: bigint }[]; place: Place }[];
  readonly message: TransactionEntry;
  readonly receipts: TransactionEntry[];
  readonly keys: {
    slot: bigint;
    block: bigint;
    record: Field;
    proof: Field;
    newest: { record: Field; proof: Field } | undefined;
    place: Place;
  }[];
  readonly absences: { slot: bigint; block: bigint; proof: Field; place: Place }[];
  readonly body: Field | undefined;
  readonly disclosure: { salt: Field; content: Field; author: Field | undefined } | undefined;
}

export interface TransactionEntry {
  readonly block: bigint;
  readonly index: bigint;
  readonly path: Field[];
  readonly transaction: Field;
  readonly place: Place;
}

export function readFile(bytes: Uint8Array): EvidenceFile {
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

const file: Read<EvidenceFile> = (json, path) => {
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

const block: Read<EvidenceFile["blocks"][number]> = (json, path) => {
  const fields = Fields.of(json, path, ["header", "certificate"]);
  return {
    header: fields.required("header", base64url),
    certificate: fields.required("certificate", base64url),
  };
};

const validatorChange: Read<EvidenceFile["validatorChanges"][number]> = (json, path) => {
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

const key: Read<EvidenceFile["keys"][number]> = (json, path) => {
  const fields = Fields.of(json, path, ["slot", "block", "record", "proof", "newest"]);
  return {
    slot: fields.required("slot", integer(16)),
    block: fields.required("block", integer(64)),
    record: fields.required("record", base64url),
    proof: fields.required("proof", base64url),
    newest: fields.optional("newest", newest),
    place: placeOfEntry(json, path),
  };
};

const newest: Read<{ record: Field; proof: Field }> = (json, path) => {
  const fields = Fields.of(json, path, ["record", "proof"]);
  return { record: fields.required("record", base64url), proof: fields.required("proof", base64url) };
};

const absence: Read<EvidenceFile["absences"][number]> = (json, path) => {
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

// The file as it is spelled.

export function plainFile(file: EvidenceFile): Plain {
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
          key.newest && [
            "newest",
            object([
              ["record", toBase64url(key.newest.record.bytes)],
              ["proof", toBase64url(key.newest.proof.bytes)],
            ]),
          ],
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
