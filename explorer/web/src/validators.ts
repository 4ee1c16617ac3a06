// Sets of validators, and whether enough of one signed a block (docs/protocol.md, 12).

import type { Certificate, Header } from "./block.ts";
import { compare, concat, equal, littleEndian } from "./bytes.ts";
import { tagged } from "./hash.ts";
import type { Span } from "./place.ts";
import { isOnCurve, signatureHolds } from "./signature.ts";

export interface Validator {
  readonly key: Uint8Array;
  readonly power: bigint;
}

/** Ordered by key, each key once; only `validatorSet` makes one. */
export interface ValidatorSet {
  readonly validators: readonly Validator[];
  readonly total: bigint;
  readonly hash: Uint8Array;
}

const MAX_VALIDATORS = 1000;
const PRECOMMIT = 2;

/** The set of these validators, or why they are none. */
export function validatorSet(given: readonly Validator[]): ValidatorSet | string {
  if (given.length === 0) return "at least one validator is needed";
  if (given.length > MAX_VALIDATORS) return `${given.length} validators, the limit is ${MAX_VALIDATORS}`;
  const validators = [...given].sort((a, b) => compare(a.key, b.key));
  let total = 0n;
  for (const [at, { key, power }] of validators.entries()) {
    if (at > 0 && equal(key, validators[at - 1]!.key)) return "a validator stands there twice";
    if (power < 1n) return "a validator without power";
    if (!isOnCurve(key)) return "a validator's key is not a point on the curve";
    total += power;
  }
  if (total >= 1n << 63n) return "the validators' power adds up to 2^63 or more";
  const encoded = validators.map(({ key, power }) => concat(key, littleEndian(power, 8)));
  const hash = tagged("validators", littleEndian(validators.length, 8), ...encoded);
  return { validators, total, hash };
}

/** Who made a block final. */
export interface Commit {
  readonly signers: number;
  readonly validators: number;
  readonly signedPower: bigint;
  readonly totalPower: bigint;
  /** The least power that decides. */
  readonly quorum: bigint;
}

/** Why a certificate does not make its block final; `span` is where in it that shows. */
export class CertificateError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly span: Span | undefined,
  ) {
    super(message);
  }
}

/**
 * Checks that the certificate makes the header's block final under that set. Every signature in it
 * must hold.
 */
export function checkCertificate(header: Header, certificate: Certificate, set: ValidatorSet): Commit {
  const refuse = (code: string, message: string, span?: Span): CertificateError =>
    new CertificateError(`evidence.certificate_${code}`, message, span);
  if (certificate.height !== header.height || !equal(certificate.block, header.hash)) {
    throw refuse("block", "the certificate is for another block", certificate.namesBlock);
  }
  let previous = -1;
  let signedPower = 0n;
  for (const { position, span } of certificate.signatures) {
    const validator = set.validators[position];
    if (validator === undefined) {
      throw refuse("foreign", `validator ${position} signed, but the set has ${set.validators.length}`, span);
    }
    if (position <= previous) {
      throw refuse("repeated", `validator ${position} stands there twice or out of order`, span);
    }
    previous = position;
    signedPower += validator.power;
  }
  if (!(3n * signedPower > 2n * set.total)) {
    const power = `power ${signedPower} of ${set.total} signed`;
    throw refuse("too_few", `${power}, more than two thirds are needed`, certificate.signatures.at(-1)?.span);
  }
  const digest = precommit(header, certificate.round);
  for (const { position, signature, span } of certificate.signatures) {
    if (!signatureHolds(set.validators[position]!.key, digest, signature)) {
      throw refuse("signature", `the signature of validator ${position} does not match the block`, span);
    }
  }
  return {
    signers: certificate.signatures.length,
    validators: set.validators.length,
    signedPower,
    totalPower: set.total,
    quorum: (2n * set.total) / 3n + 1n,
  };
}

/** What a validator signs to make a block final. */
function precommit(header: Header, round: number): Uint8Array {
  const present = Uint8Array.of(1);
  const kind = Uint8Array.of(PRECOMMIT);
  return tagged(
    "vote",
    header.chain,
    kind,
    littleEndian(header.height, 8),
    littleEndian(round, 4),
    present,
    header.hash,
  );
}
