// What a check comes to: its steps, each with what it shows, and the verdict at the end.

import type { Line } from "./findings.ts";
import type { Letter, Part } from "./letter.ts";
import type { Place } from "./place.ts";

/** A step of the check, as it is shown. */
export interface Step {
  /** What is checked. */
  readonly title: string;
  /** What came out, in a sentence; for a step that failed, why. */
  readonly result: string;
  readonly holds: boolean;
  /** What the step shows of the message, if it shows something by itself. */
  readonly lines: readonly Line[];
  /** Of a step that failed: the stable word for the cause, and the bytes of the file in which it shows. */
  readonly failure?: { readonly code: string; readonly place: Place | undefined };
}

/** A disclosed content: what it says, or its bytes if it is neither a letter nor a part of one. */
export type Content = Letter | Part | { readonly kind: "bytes"; readonly bytes: Uint8Array };

export type Verdict =
  | {
      readonly verdict: "holds";
      readonly chain: string;
      readonly message: string;
      readonly steps: Step[];
      readonly lines: Line[];
      /** What was disclosed, if anything was. */
      readonly content: Content | undefined;
    }
  | {
      readonly verdict: "refused" | "not-evidence" | "not-genesis";
      readonly code: string;
      readonly reason: string;
      readonly steps: Step[];
    };
