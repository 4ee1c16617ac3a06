// The genesis (docs/protocol.md, 4): what everything is checked against. Its hash is the chain id.

import { readAddress } from "./address.ts";
import { concat, littleEndian, toHex, utf8 } from "./bytes.ts";
import { NotReadable } from "./failure.ts";
import { tagged } from "./hash.ts";
import { JsonError, type Json, parseJson } from "./json.ts";
import type { Place } from "./place.ts";
import { Fields, ShapeError, hex32, integer, list, text } from "./shape.ts";
import { type ValidatorSet, validatorSet } from "./validators.ts";

const MAX_GENESIS_BYTES = 1024 * 1024;
const FORMAT = "sealpost-genesis/1";

export interface Genesis {
  readonly chain: Uint8Array;
  readonly chainName: string;
  readonly addressPrefix: string;
  readonly validators: ValidatorSet;
}

export function readGenesis(bytes: Uint8Array): Genesis {
  try {
    if (bytes.length > MAX_GENESIS_BYTES)
      throw wrong("", `${bytes.length} bytes, the limit is ${MAX_GENESIS_BYTES}`);
    return read(parseJson(bytes));
  } catch (error) {
    if (error instanceof JsonError) {
      throw wrong("", error.message, { path: "genesis", from: error.at, to: error.at + 1 });
    }
    if (error instanceof ShapeError) throw wrong(error.place.path, error.message, error.place);
    throw error;
  }
}

function wrong(field: string, problem: string, place?: Place): NotReadable {
  return new NotReadable("genesis", `not a genesis: ${field === "" ? "" : `${field}: `}${problem}`, place);
}

function read(json: Json): Genesis {
  const fields = Fields.of(json, "", [
    "format",
    "chain_name",
    "address_prefix",
    "time_ms",
    "validators",
    "limits",
    "postage",
    "timing",
    "members",
    "retention_blocks",
  ]);
  const format = fields.required("format", text).value;
  const chainName = fields.required("chain_name", text).value;
  const addressPrefix = fields.required("address_prefix", text).value;
  const time = fields.required("time_ms", integer(64));
  const validators = fields.required("validators", list(readValidator));
  const limits = fields.required("limits", readLimits);
  const postage = fields.required("postage", readPostage);
  const timing = fields.required("timing", readTiming);
  const members = fields.required("members", list(text));
  const retention = fields.required("retention_blocks", integer(64));

  if (format !== FORMAT) throw wrong("format", `it is not ${FORMAT}`);
  if (!/^[a-z0-9-]{1,64}$/.test(chainName)) throw wrong("chain_name", "not 1 to 64 of a-z, 0-9 and -");
  if (!/^[a-z0-9]{1,16}$/.test(addressPrefix)) throw wrong("address_prefix", "not 1 to 16 of a-z and 0-9");
  for (const { name } of validators) {
    const length = [...name].length;
    if (length < 1 || length > 64) throw wrong("validators", "a name that has not 1 to 64 characters");
  }
  const set = validatorSet(validators);
  if (typeof set === "string") throw wrong("validators", set);
  const keys = members.map(({ value }) => {
    const key = readAddress(value, addressPrefix);
    if (typeof key === "string") throw wrong("members", key);
    return toHex(key);
  });
  if (new Set(keys).size < keys.length) throw wrong("members", "a member stands there twice");

  const encoded = concat(
    encodeText(format),
    encodeText(chainName),
    encodeText(addressPrefix),
    littleEndian(time, 8),
    littleEndian(validators.length, 8),
    ...validators.map(({ name, key, power }) => concat(encodeText(name), key, littleEndian(power, 8))),
    limits,
    postage,
    timing,
    littleEndian(members.length, 8),
    ...members.map(({ value }) => encodeText(value)),
    littleEndian(retention, 8),
  );
  return { chain: tagged("genesis", encoded), chainName, addressPrefix, validators: set };
}

function encodeText(value: string): Uint8Array {
  const bytes = utf8(value);
  return concat(littleEndian(bytes.length, 8), bytes);
}

function readValidator(json: Json, path: string): { name: string; key: Uint8Array; power: bigint } {
  const fields = Fields.of(json, path, ["name", "public_key", "power"]);
  return {
    name: fields.required("name", text).value,
    key: fields.required("public_key", hex32).bytes,
    power: fields.required("power", integer(64)),
  };
}

/** A number within bounds, encoded. */
function bounded(
  fields: Fields,
  name: string,
  bits: 8 | 16 | 32 | 64,
  low: bigint,
  high: bigint,
): Uint8Array {
  const value = fields.required(name, integer(bits));
  if (value < low || value > high) throw wrong(name, `${value}, allowed is ${low} to ${high}`);
  return littleEndian(value, (bits / 8) as 1 | 2 | 4 | 8);
}

function readLimits(json: Json, path: string): Uint8Array {
  const fields = Fields.of(json, path, ["block_bytes", "body_bytes", "slots", "expiry_window"]);
  const block = fields.required("block_bytes", integer(32));
  return concat(
    bounded(fields, "block_bytes", 32, 65_536n, 8_388_608n),
    bounded(fields, "body_bytes", 32, 1024n, block / 2n),
    bounded(fields, "slots", 16, 1n, 256n),
    bounded(fields, "expiry_window", 64, 10n, 10_000_000n),
  );
}

function readPostage(json: Json, path: string): Uint8Array {
  const fields = Fields.of(json, path, ["floor", "strangers_percent", "member_quota_bytes"]);
  return concat(
    bounded(fields, "floor", 64, 0n, 1n << 40n),
    bounded(fields, "strangers_percent", 8, 1n, 100n),
    bounded(fields, "member_quota_bytes", 32, 0n, 0xffff_ffffn),
  );
}

function readTiming(json: Json, path: string): Uint8Array {
  const fields = Fields.of(json, path, ["block_interval_ms", "heartbeat_ms", "clock_drift_ms"]);
  return concat(
    bounded(fields, "block_interval_ms", 32, 0n, 60_000n),
    bounded(fields, "heartbeat_ms", 32, 100n, 86_400_000n),
    bounded(fields, "clock_drift_ms", 32, 100n, 3_600_000n),
  );
}
