// Checks evidence step by step (docs/protocol.md, 13), in the order in which one fact rests on another: the
// genesis gives the validators, they sign blocks, blocks hold transactions and state, and these say what
// happened to the message. The first step that fails ends the check: nothing that rests on it could be
// believed.

import { addressText } from "./address.ts";
import { BLOCK_VERSION, type Header } from "./block.ts";
import { concat, equal, littleEndian, toHex } from "./bytes.ts";
import {
  type CertifiedHeader,
  type Evidence,
  type ProvenKey,
  type ProvenTransaction,
  readEvidence,
} from "./evidence.ts";
import { NotReadable, Refused } from "./failure.ts";
import * as findings from "./findings.ts";
import type { Line } from "./findings.ts";
import { type Genesis, readGenesis } from "./genesis.ts";
import { tagged } from "./hash.ts";
import { readContent } from "./letter.ts";
import { isIncluded, leafHash } from "./merkle.ts";
import { type Place, placeOf, within } from "./place.ts";
import { authorProblem, clock, inOrder, missing, named, refuse } from "./rules.ts";
import { signatureHolds } from "./signature.ts";
import { absenceFault, bundlePlace, directoryPlace, presenceFault, receiptPlace } from "./state.ts";
import {
  type Message,
  type Receipt,
  TRANSACTION_VERSION,
  type Transaction,
  contextHash,
} from "./transaction.ts";
import type { Content, Step, Verdict } from "./verdict.ts";
import { CertificateError, type Commit, type ValidatorSet, checkCertificate } from "./validators.ts";

/** Checks an evidence file against a genesis file, both as they stand on disk. */
export function check(genesisFile: Uint8Array, evidenceFile: Uint8Array): Verdict {
  const checking = checkInSteps(genesisFile, evidenceFile);
  for (;;) {
    const { done, value } = checking.next();
    if (done === true) return value;
  }
}

/**
 * The same with a rest after each step, so that a page can show the steps so far while many signatures
 * are checked.
 */
export function* checkInSteps(genesisFile: Uint8Array, evidenceFile: Uint8Array): Generator<Step[], Verdict> {
  const steps: Step[] = [];
  let genesis: Genesis;
  try {
    genesis = readGenesis(genesisFile);
  } catch (error) {
    return failed("The genesis can be read", steps, error, "not-genesis");
  }
  const walk = new Walk(genesis, steps);
  try {
    return yield* walk.whole(evidenceFile);
  } catch (error) {
    return failed(walk.title, steps, error, "not-evidence");
  }
}

function failed(
  title: string,
  steps: Step[],
  error: unknown,
  unreadable: "not-evidence" | "not-genesis",
): Verdict {
  if (!(error instanceof NotReadable || error instanceof Refused)) {
    // A fault of this program is never taken for an answer.
    throw error;
  }
  const { code, message: reason, place } = error;
  steps.push({ title, result: reason, holds: false, lines: [], failure: { code, place } });
  return { verdict: error instanceof Refused ? "refused" : unreadable, code, reason, steps };
}

/** A header that its validators made final. */
interface FinalBlock {
  readonly header: Header;
  readonly commit: Commit;
}

/** The walk through one file. */
class Walk {
  /** The step that is being made. */
  title = "";
  private readonly blocks = new Map<bigint, FinalBlock>();
  private readonly used = new Set<bigint>();

  constructor(
    private readonly genesis: Genesis,
    private readonly steps: Step[],
  ) {}

  *whole(bytes: Uint8Array): Generator<Step[], Verdict> {
    const evidence = this.step("The file is evidence, in its one spelling", () => {
      const read = readEvidence(bytes);
      return [read, `${bytes.length} bytes, every one of them accounted for`];
    });
    this.step("It is about this network", () => {
      if (!equal(evidence.chain.bytes, this.genesis.chain)) {
        const found = toHex(evidence.chain.bytes);
        throw refuse(
          "other_chain",
          `the evidence is of chain ${found}, the genesis makes ${toHex(this.genesis.chain)}`,
          placeOf(evidence.chain),
        );
      }
      return [undefined, `chain ${toHex(this.genesis.chain)} (${this.genesis.chainName})`];
    });
    yield* this.finalBlocks(evidence);
    const { sent, message } = this.message(evidence);
    this.keys(evidence, message);
    const answered = this.receipts(evidence, sent, message);
    this.absences(evidence, sent, message, answered);
    const content = this.plainParts(evidence, sent, message);
    this.step("Nothing in the file is idle", () => {
      for (const { header } of evidence.blocks) {
        const { height } = header.value;
        if (!this.used.has(height)) {
          throw refuse(
            "unused_block",
            `block ${height} proves nothing: no part names it`,
            placeOf(header.field),
          );
        }
      }
      return [undefined, "every block is named by something that was checked"];
    });
    return {
      verdict: "holds",
      chain: toHex(this.genesis.chain),
      message: toHex(sent.id),
      steps: this.steps,
      lines: this.steps.flatMap((step) => step.lines),
      content,
    };
  }

  /** Makes one step and keeps what came out; whatever it throws is the step's failure. */
  private step<T>(title: string, make: () => readonly [T, string, ...Line[]]): T {
    this.title = title;
    const [value, result, ...lines] = make();
    this.steps.push({ title, result, holds: true, lines });
    return value;
  }

  private address(key: Uint8Array): string {
    return addressText(key, this.genesis.addressPrefix);
  }

  // Blocks

  /** From the validators of the genesis to the last block, each certificate under the set then in office. */
  private *finalBlocks(evidence: Evidence): Generator<Step[], void> {
    const changes = [...evidence.validatorChanges];
    for (const change of changes) this.used.add(change.block);
    let inOffice = this.genesis.validators;
    let previous: bigint | undefined;
    let unlisted: CertifiedHeader | undefined;
    for (const certified of evidence.blocks) {
      const header = certified.header.value;
      const { height } = header;
      this.step(`Block ${height} is final`, () => {
        const commit = this.finalBlock(certified, previous, inOffice, unlisted);
        this.blocks.set(height, { header, commit });
        const who = `${commit.signers} of ${commit.validators} validators signed it`;
        return [undefined, `${who}; its proposer's clock said ${clock(header.timeMs)}`];
      });
      yield this.steps;
      previous = height;
      if (changes[0]?.block === height) {
        const change = changes.shift()!;
        inOffice = this.step(`Validators change after block ${height}`, () => {
          const announced = within(certified.header.field, header.spans.nextValidatorsHash);
          if (!equal(header.nextValidatorsHash, change.validators.hash)) {
            throw refuse("other_change", `block ${height} announces other validators`, announced);
          }
          if (equal(change.validators.hash, inOffice.hash)) {
            throw refuse("empty_change", `the change at block ${height} changes nothing`, change.place);
          }
          return [change.validators, `the block announces these ${change.validators.validators.length}`];
        });
      } else if (!equal(header.nextValidatorsHash, header.validatorsHash)) {
        unlisted = certified;
      }
    }
    const left = changes[0];
    if (left !== undefined) {
      this.title = `Validators change after block ${left.block}`;
      if (!this.blocks.has(left.block)) throw missing(left.block, left.place);
      throw refuse("change_order", "a change of validators stands there twice or out of order", left.place);
    }
  }

  private finalBlock(
    certified: CertifiedHeader,
    previous: bigint | undefined,
    inOffice: ValidatorSet,
    unlisted: CertifiedHeader | undefined,
  ): Commit {
    const { value: header, field } = certified.header;
    const { height, spans } = header;
    if (header.version !== BLOCK_VERSION) {
      throw refuse("block_version", `its version ${header.version} is unknown`, within(field, spans.version));
    }
    if (!equal(header.chain, this.genesis.chain)) {
      throw refuse("block_chain", `it is of chain ${toHex(header.chain)}`, within(field, spans.chain));
    }
    if (previous !== undefined && previous >= height) {
      throw refuse("block_order", "it stands there twice or out of order", within(field, spans.height));
    }
    if (!equal(header.validatorsHash, inOffice.hash)) {
      throw refuse(
        "other_validators",
        "it is decided by other validators than those in office, as far as the file shows",
        within(field, spans.validatorsHash),
      );
    }
    if (unlisted !== undefined) {
      // Whoever has left office could sign what comes after.
      const { value, field } = unlisted.header;
      throw refuse(
        "unlisted_change",
        `block ${value.height} announces other validators, but the file has no change there and goes on`,
        within(field, value.spans.nextValidatorsHash),
      );
    }
    try {
      return checkCertificate(header, certified.certificate.value, inOffice);
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      const { field } = certified.certificate;
      throw refuse(
        error.code,
        error.message,
        error.span === undefined ? placeOf(field) : within(field, error.span),
      );
    }
  }

  /** The final block that a part of the file names. */
  private block(height: bigint, part: Place): FinalBlock {
    this.used.add(height);
    const block = this.blocks.get(height);
    if (block === undefined) throw missing(height, part);
    return block;
  }

  // Message and receipts

  /** Version, chain, place in its block and signature of a transaction. */
  private transaction(proven: ProvenTransaction): FinalBlock {
    const { value: transaction, field } = proven.transaction;
    const { spans } = transaction;
    const block = this.block(proven.block, proven.place);
    if (transaction.version !== TRANSACTION_VERSION) {
      throw refuse(
        "transaction_version",
        `its version ${transaction.version} is unknown`,
        within(field, spans.version),
      );
    }
    if (!equal(transaction.chain, this.genesis.chain)) {
      throw refuse(
        "transaction_chain",
        `it is of chain ${toHex(transaction.chain)}`,
        within(field, spans.chain),
      );
    }
    const { transactionRoot, transactionCount } = block.header;
    const path = proven.path.map((node) => node.bytes);
    if (!isIncluded(transactionRoot, transactionCount, proven.index, leafHash(field.bytes), path)) {
      const problem = `it does not stand at place ${proven.index} of block ${proven.block}`;
      throw refuse("inclusion", problem, proven.place);
    }
    if (!signatureHolds(transaction.sender, transaction.id, transaction.signature)) {
      throw refuse("signature", "it is not signed by its sender", within(field, spans.signature));
    }
    return block;
  }

  private message(evidence: Evidence): { sent: Transaction; message: Message } {
    return this.step("The message is signed and stands in its block", () => {
      const { value: sent, field } = evidence.message.transaction;
      const { header, commit } = this.transaction(evidence.message);
      const message = sent.payload;
      if (message.kind !== "message") {
        throw refuse("not_a_message", `it is a ${message.kind}`, within(field, sent.spans.payload));
      }
      const lines = [
        findings.signed(this.address(sent.sender), message.mode),
        findings.inBlock(header.height, toHex(header.hash), evidence.message.index),
        findings.committed(commit),
      ];
      if (message.slots.length > 1) {
        const { bodyHash, keyCommit, contentCommit } = message;
        lines.push(
          findings.sameForAll(message.slots.length, toHex(bodyHash), toHex(keyCommit), toHex(contentCommit)),
        );
      }
      return [{ sent, message }, `message ${toHex(sent.id)}`, ...lines];
    });
  }

  /** Receipts, by the ledger's own rules. Returns the heights of the answers by slot. */
  private receipts(evidence: Evidence, sent: Transaction, message: Message): Map<number, bigint> {
    const answered = new Map<number, bigint>();
    let previous = -1;
    for (const [number, proven] of evidence.receipts.entries()) {
      this.step(`Receipt ${number} is its recipient's`, () => {
        const { value: transaction, field } = proven.transaction;
        const { height } = this.transaction(proven).header;
        const payload = within(field, transaction.spans.payload);
        const receipt = transaction.payload;
        if (receipt.kind !== "receipt") throw refuse("not_a_receipt", `it is a ${receipt.kind}`, payload);
        if (!equal(receipt.message, sent.id)) {
          throw refuse("other_message", `it answers message ${toHex(receipt.message)}`, payload);
        }
        const slot = inOrder(receipt.slot, previous, payload);
        previous = slot;
        const { address, receiptCommit } = named(message, slot, payload);
        if (!equal(address, transaction.sender)) {
          const signer = this.address(transaction.sender);
          throw refuse("not_recipient", `it is signed by ${signer}`, within(field, transaction.spans.sender));
        }
        if (height <= evidence.message.block) {
          throw refuse(
            "answer_too_early",
            `it stands in block ${height}, not after the message`,
            proven.place,
          );
        }
        answered.set(slot, height);
        return [
          undefined,
          `receipt ${toHex(transaction.id)}`,
          this.answer(receipt, height, address, receiptCommit, payload),
        ];
      });
    }
    return answered;
  }

  private answer(
    { slot, answer }: Receipt,
    height: bigint,
    address: Uint8Array,
    receiptCommit: Uint8Array,
    place: Place,
  ): Line {
    const by = this.address(address);
    if (answer.kind === "refused") return findings.refused(by, height, answer.reason);
    if (!equal(tagged("receipt", answer.secret), receiptCommit)) {
      throw refuse("wrong_secret", `its secret does not match the commitment of slot ${slot}`, place);
    }
    return findings.opened(by, height);
  }

  // State

  private keys(evidence: Evidence, message: Message): void {
    const at = evidence.message.block;
    let previous = -1;
    for (const { slot, block, record, proof, newest, place } of evidence.keys) {
      this.step(`The key of slot ${slot} stood in the directory`, () => {
        previous = inOrder(slot, previous, place);
        const { address, bundle } = named(message, slot, place);
        if (block !== at)
          throw refuse("key_block", `it is proved at block ${block}, not at the message's`, place);
        const { stateRoot } = this.block(block, place).header;
        const directory = directoryPlace(address);
        const stands = (entry: Uint8Array, { record, proof }: Pick<ProvenKey, "record" | "proof">): void => {
          const fault = presenceFault(proof.value, stateRoot, entry, record.value.valueHash);
          if (fault !== undefined)
            throw refuse("state", `the state proof does not hold: ${fault}`, placeOf(proof.field));
        };
        stands(newest === undefined ? directory : bundlePlace(address, bundle), { record, proof });
        if (newest !== undefined) {
          stands(directory, newest);
          const { sequence } = newest.record.value;
          if (sequence <= bundle)
            throw refuse("not_newer", `bundle ${sequence} is no newer one`, placeOf(newest.record.field));
        }
        const { sequence, height: publishedAt, validUntil, withdrawnFrom } = record.value;
        if (sequence !== bundle)
          throw refuse(
            "other_bundle",
            `it is bundle ${sequence}, the message names ${bundle}`,
            placeOf(record.field),
          );
        const newer = newest && {
          sequence: newest.record.value.sequence,
          publishedAt: newest.record.value.height,
        };
        const standing = { sequence, publishedAt, validUntil, withdrawnFrom, newest: newer };
        return [
          undefined,
          "the entry is under the block's state root",
          findings.keyUsed(this.address(address), standing, at),
        ];
      });
    }
  }

  private absences(
    evidence: Evidence,
    sent: Transaction,
    message: Message,
    answered: Map<number, bigint>,
  ): void {
    const at = evidence.message.block;
    let previous = -1;
    for (const { slot, block, proof, place } of evidence.absences) {
      this.step(`Slot ${slot} had no answer up to block ${block}`, () => {
        previous = inOrder(slot, previous, place);
        // A hidden recipient can't answer on the ledger, so that nothing stands there means nothing.
        const { address } = named(message, slot, place);
        if (block < at) throw refuse("absence_too_early", "the block is older than the message", place);
        const answer = answered.get(slot);
        if (answer !== undefined && answer <= block) {
          throw refuse("absence_answered", `its receipt stands in block ${answer}`, place);
        }
        const { stateRoot } = this.block(block, place).header;
        // Blocks that change nothing share a state. Were the newest not named, a changed height could stay
        // unseen.
        for (const { header } of this.blocks.values()) {
          if (header.height > block && equal(header.stateRoot, stateRoot)) {
            throw refuse(
              "absence_not_newest",
              `block ${header.height} has the same state and is newer`,
              place,
            );
          }
        }
        const fault = absenceFault(proof.value, stateRoot, receiptPlace(sent.id, slot));
        if (fault !== undefined)
          throw refuse("state", `the state proof does not hold: ${fault}`, placeOf(proof.field));
        return [
          undefined,
          "no entry for it under the block's state root",
          findings.unanswered(this.address(address), block),
        ];
      });
    }
  }

  // Body and content

  private plainParts(evidence: Evidence, sent: Transaction, message: Message): Content | undefined {
    const { body, disclosure } = evidence;
    if (body !== undefined) {
      this.step("The encrypted body is the one that was signed for", () => {
        const { length } = body.bytes;
        if (!equal(tagged("body", body.bytes), message.bodyHash) || length !== message.bodyLength) {
          throw refuse("other_body", "the message commits to another body", placeOf(body));
        }
        return [undefined, "hash and length match", findings.bodyAttached(length, toHex(message.bodyHash))];
      });
    }
    if (disclosure === undefined) return undefined;
    const { salt, content, author } = disclosure;
    this.step("The disclosed content is the one that was signed for", () => {
      if (!equal(tagged("content", salt.bytes, content.bytes), message.contentCommit)) {
        throw refuse("other_content", "the message commits to another content or salt", placeOf(content));
      }
      const commitment = toHex(message.contentCommit);
      return [undefined, "the commitment opens", findings.contentDisclosed(content.bytes.length, commitment)];
    });
    const read = readContent(content.bytes);
    const disclosed: Content = read ?? { kind: "bytes", bytes: content.bytes };
    if (author !== undefined) {
      this.step("The author signed inside", () => {
        const { author: by, recipients, blinding, signature } = author.value;
        const problem = authorProblem(recipients, message);
        if (problem !== undefined) throw refuse("author", problem, placeOf(author.field));
        const list = concat(littleEndian(recipients.length, 8), ...recipients);
        if (!equal(tagged("salt", blinding, by, list), salt.bytes)) {
          throw refuse(
            "author",
            "the message was sent with another author or other recipients: its salt is not made of these",
            placeOf(author.field),
          );
        }
        const digest = tagged("author", contextHash(sent, message), list);
        if (!signatureHolds(by, digest, signature)) {
          throw refuse(
            "author",
            "it is not signed by the author it names, for this message",
            placeOf(author.field),
          );
        }
        const written = findings.authored(
          this.address(by),
          recipients.map((key) => this.address(key)),
        );
        const answers = read?.kind === "letter" ? read.answers : [];
        return [
          undefined,
          "the signature covers the content and its recipients, and the message commits to both",
          written,
          ...answers.map((receipt) => this.answerInside(by, receipt)),
        ];
      });
    }
    return disclosed;
  }

  private answerInside(author: Uint8Array, { message, slot, answer }: Receipt): Line {
    const by = this.address(author);
    return answer.kind === "opened"
      ? findings.openedInside(by, slot, toHex(message), toHex(tagged("receipt", answer.secret)))
      : findings.refusedInside(by, slot, toHex(message), answer.reason);
  }
}
