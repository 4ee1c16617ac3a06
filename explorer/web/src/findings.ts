// What checked evidence says, fact by fact, in the same words as the other programs. Each fact knows what it
// shows and what it does not: a proof is only useful to a stranger who is told where it ends.

import type { Reason } from "./transaction.ts";

/** A fact in words. */
export interface Line {
  readonly code: string;
  readonly label: string;
  readonly fact: string;
  readonly shows: string;
  readonly does_not_show: string;
  /** The evidence event of ETSI EN 319 522-1 that comes nearest; given for orientation only. */
  readonly etsi?: string;
}

/** What all facts of a kind have in common. */
interface Kind {
  readonly code: string;
  readonly label: string;
  readonly shows: string;
  readonly doesNotShow: string;
  readonly etsi?: string;
}

function line(kind: Kind, fact: string): Line {
  const { code, label, shows, doesNotShow, etsi } = kind;
  return { code, label, fact, shows, does_not_show: doesNotShow, ...(etsi === undefined ? {} : { etsi }) };
}

const SIGNED_OPEN: Kind = {
  code: "signed",
  label: "signed by",
  shows: "the key behind this address signed exactly this message",
  doesNotShow: "who held the key, nor which person or firm the address belongs to",
};
const SIGNED_SEALED: Kind = {
  code: "signed",
  label: "signed by",
  shows: "whoever made the message signed it with a key made for it alone",
  doesNotShow: "who wrote it: the author's signature is inside",
};
const IN_BLOCK: Kind = {
  code: "in_block",
  label: "in block",
  shows: "the message stands at this place of the ledger, which two thirds of the validators made final",
  doesNotShow:
    "the exact time: the order is certain, the time is the proposer's word, no earlier than that of the " +
    "block before",
  etsi: "SubmissionAcceptance",
};
const COMMITTED: Kind = {
  code: "committed",
  label: "committed by",
  shows: "these validators signed the block, and they were enough to decide",
  doesNotShow:
    "that the validators are independent of each other or honest, nor that they kept their keys safe " +
    "after they left office",
};
const SAME_FOR_ALL: Kind = {
  code: "same_for_all",
  label: "same for all",
  shows:
    "the sender signed one header with one body, one key and one content for all of them: whoever opens " +
    "it gets this content and no other",
  doesNotShow: "that each of them could open it, nor that none of them was sent something else besides",
};
const KEY_USED: Kind = {
  code: "key_used",
  label: "key named",
  shows: "the message names its recipient's newest published key, and it was valid at the time",
  doesNotShow:
    "that the recipient still had the secret part, nor that the message was really encrypted to this key",
};
const OLD_KEY_USED: Kind = {
  ...KEY_USED,
  shows: "the message names a key that its recipient had published, but that was no longer to be used",
  doesNotShow:
    "that the sender could know so when signing, nor that the message was really encrypted to this key",
};
const OPENED: Kind = {
  code: "opened",
  label: "opened by",
  shows: "the recipient's key signed this answer, and the message had been decrypted by then",
  doesNotShow: "that a person read or understood it",
  etsi: "ContentHandover",
};
const REFUSED: Kind = {
  code: "refused",
  label: "refused by",
  shows: "the recipient's key signed that it declines the message",
  doesNotShow: "that the recipient knew the content, nor that the reason is true",
  etsi: "ConsignmentRejection",
};
const UNANSWERED: Kind = {
  code: "unanswered",
  label: "no answer by",
  shows: "the ledger held no answer for this recipient when this block was final",
  doesNotShow: "that the recipient could open it, nor that they did not see it, nor that no answer came later",
  etsi: "AcceptanceRejectionExpiry",
};
const BODY_ATTACHED: Kind = {
  code: "body_attached",
  label: "body attached",
  shows: "the file carries the encrypted body that the sender signed for",
  doesNotShow: "what the body says: it is encrypted",
};
const CONTENT_DISCLOSED: Kind = {
  code: "content_disclosed",
  label: "content shown",
  shows: "the sender committed to exactly this content when they signed",
  doesNotShow: "that the content is true, nor by itself that a recipient read it or could decrypt the body",
};
const AUTHORED: Kind = {
  code: "authored",
  label: "written by",
  shows:
    "the key behind the author's address signed this content, for exactly these recipients, and the " +
    "message was sent with that author and those recipients inside",
  doesNotShow: "who held the key, nor that a slot was really made for the recipient it is said to be for",
};
const ANSWER_INSIDE = {
  code: "sealed_answer",
  label: "answer inside",
  doesNotShow:
    "that the answered slot is the author's, which that message's own evidence says, nor that there " +
    "was no earlier answer, nor that a person read or understood it",
};
const OPENED_INSIDE: Kind = {
  ...ANSWER_INSIDE,
  shows:
    "the author's key signed that they opened that message; if its slot is theirs and carries this " +
    "receipt commitment, as that message's own evidence says, they had decrypted it",
};
const REFUSED_INSIDE: Kind = {
  ...ANSWER_INSIDE,
  shows: "the author's key signed that they decline that message",
  etsi: "ConsignmentRejection",
};

export function signed(sender: string, mode: "open" | "sealed"): Line {
  return mode === "open" ? line(SIGNED_OPEN, sender) : line(SIGNED_SEALED, `${sender} (a one-time key)`);
}

export function inBlock(height: bigint, hash: string, index: number): Line {
  return line(IN_BLOCK, `${height} (${hash}), transaction ${index}`);
}

export function committed(commit: {
  signers: number;
  validators: number;
  signedPower: bigint;
  totalPower: bigint;
  quorum: bigint;
}): Line {
  const { signers, validators, signedPower, totalPower, quorum } = commit;
  const power = `power ${signedPower} of ${totalPower} (${quorum} needed)`;
  return line(COMMITTED, `${signers} of ${validators} validators, ${power}`);
}

export function sameForAll(recipients: number, body: string, key: string, content: string): Line {
  return line(
    SAME_FOR_ALL,
    `${recipients} recipients, body ${body}, key commitment ${key}, content commitment ${content}`,
  );
}

/** What the directory said of a key bundle when the message's block was final. */
export interface KeyStanding {
  readonly sequence: bigint;
  readonly publishedAt: bigint;
  readonly validUntil: bigint;
  readonly withdrawnFrom: bigint | undefined;
  /** The owner's newest bundle, where it is not this one. */
  readonly newest: { readonly sequence: bigint; readonly publishedAt: bigint } | undefined;
}

export function keyUsed(owner: string, key: KeyStanding, at: bigint): Line {
  const { sequence, publishedAt, validUntil, withdrawnFrom, newest } = key;
  const fact = (standing: string): string =>
    `bundle ${sequence} of ${owner}, published in block ${publishedAt}, ${standing}`;
  if (withdrawnFrom !== undefined && withdrawnFrom <= at) {
    return line(OLD_KEY_USED, fact(`withdrawn from height ${withdrawnFrom} on`));
  }
  if (validUntil < at) return line(OLD_KEY_USED, fact(`past its last height ${validUntil}`));
  if (newest !== undefined) {
    const { sequence: by, publishedAt: since } = newest;
    return line(OLD_KEY_USED, fact(`superseded by bundle ${by} in block ${since}`));
  }
  return line(KEY_USED, fact(`valid until ${validUntil}`));
}

export function opened(by: string, height: bigint): Line {
  return line(OPENED, `${by} in block ${height}`);
}

export function refused(by: string, height: bigint, reason: Reason): Line {
  return line(REFUSED, `${by} in block ${height}: ${reason}`);
}

export function unanswered(recipient: string, height: bigint): Line {
  return line(UNANSWERED, `${recipient} up to block ${height}`);
}

export function bodyAttached(bytes: number, hash: string): Line {
  return line(BODY_ATTACHED, `${bytes} bytes, hash ${hash}`);
}

export function contentDisclosed(bytes: number, commitment: string): Line {
  return line(CONTENT_DISCLOSED, `${bytes} bytes, commitment ${commitment}`);
}

export function authored(by: string, to: readonly string[]): Line {
  return line(AUTHORED, `${by} to ${to.join(", ")}`);
}

export function openedInside(by: string, slot: number, message: string, commitment: string): Line {
  return line(
    OPENED_INSIDE,
    `${by} on slot ${slot} of message ${message}: opened, receipt commitment ${commitment}`,
  );
}

export function refusedInside(by: string, slot: number, message: string, reason: Reason): Line {
  return line(REFUSED_INSIDE, `${by} on slot ${slot} of message ${message}: refused: ${reason}`);
}
