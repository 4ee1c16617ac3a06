// The two ways in which a file fails, kept apart: one that is no evidence says nothing about any message;
// one that is evidence and does not hold is a "no".

import type { Place } from "./place.ts";

/** Not an evidence file, or not a genesis. `code` is the same word as in the other programs. */
export class NotReadable extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly place?: Place,
  ) {
    super(message);
  }
}

/** Evidence that does not hold. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly place?: Place,
  ) {
    super(message);
  }
}
