// The page of the checker, on the explorer's site and in the file that is opened from disk. It asks nobody
// anything: what it checks is chosen here, or stands in the page itself as inert data.

import { checkInSteps } from "./check.ts";
import type { Step, Verdict } from "./verdict.ts";
import { toHex, utf8 } from "./bytes.ts";
import { element } from "./element.ts";
import { NotReadable } from "./failure.ts";
import { readGenesis } from "./genesis.ts";
import { type Given, type Source, fileField, sourceOf } from "./input.ts";
import { StepList, summary } from "./results.ts";
import { visible } from "./visible.ts";

/** Inert data in the page: a `script` element of type `application/json`, which no browser runs. */
interface Embedded {
  readonly name: string;
  readonly text: string;
}

export function startPage(document: Document): void {
  const place = document.getElementById("verifier");
  if (place === null) return;
  const page = new Page(document, place);
  page.start(embedded(document, "embedded-evidence"), embedded(document, "embedded-genesis"));
}

function embedded(document: Document, id: string): Given | undefined {
  const text = document.getElementById(id)?.textContent;
  if (text === undefined || text === null || text === "") return undefined;
  const data = JSON.parse(text) as Embedded;
  return { bytes: utf8(data.text), name: data.name };
}

class Page {
  private evidence: Given | undefined;
  private genesis: Given | undefined;
  /** Whether the visitor gave the genesis, and not the page. */
  private chosen = false;
  private readonly network = element("p", { class: "network" });
  private readonly warning = element("p", { class: "warning", role: "alert" });
  private readonly unread = element("p", { class: "warning unread", role: "alert" });
  private readonly status = element("p", { class: "verdict", role: "status", "aria-live": "polite" });
  private readonly output = element("div");
  /** The check that is being made; a newer one puts an older one aside. */
  private current = 0;
  /** Choices so far, and which of them gave what is held: files are read at their own pace, and the last choice counts. */
  private choices = 0;
  private evidenceFrom = 0;
  private genesisFrom = 0;

  constructor(
    private readonly document: Document,
    private readonly place: HTMLElement,
  ) {}

  start(evidence: Given | undefined, genesis: Given | undefined): void {
    const drop = element(
      "div",
      { class: "drop" },
      element(
        "p",
        {},
        "Drop an evidence file here, and a genesis file if you have your own. Both stay on this device.",
      ),
      fileField("evidence", "Evidence file", (source) => void this.readEvidence(source)),
      fileField("genesis", "Genesis of the network (genesis.json)", (source) => void this.readGenesis(source)),
      this.network,
      this.warning,
      this.unread,
    );
    this.acceptDrops();
    this.place.replaceChildren(drop, this.status, this.output);
    this.take({ evidence, genesis });
  }

  /** The whole window takes files, so that a near miss does not open the file in place of the page. */
  private acceptDrops(): void {
    this.document.addEventListener("dragover", (event) => event.preventDefault());
    this.document.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.drop([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** Something else is chosen: nothing that was said before stands beside its name. */
  private begin(name: string): number {
    this.current++;
    this.output.replaceChildren();
    this.unread.textContent = "";
    this.say("waiting", `${visible(name)}: being read.`);
    return ++this.choices;
  }

  private async readEvidence(source: Source): Promise<void> {
    const choice = this.begin(source.name);
    this.evidence = undefined;
    this.evidenceFrom = choice;
    const given = await source.read().catch(() => undefined);
    if (choice !== this.evidenceFrom) return;
    if (given === undefined) this.notRead(source.name);
    else this.take({ evidence: given });
  }

  private async readGenesis(source: Source): Promise<void> {
    const [choice, before] = [this.begin(source.name), this.genesis];
    this.genesis = undefined;
    this.genesisFrom = choice;
    this.showNetwork();
    const given = await source.read().catch(() => undefined);
    if (choice !== this.genesisFrom) return;
    if (given === undefined) this.notRead(source.name);
    else this.choose(given, before);
  }

  private async drop(files: File[]): Promise<void> {
    const [first] = files;
    if (first === undefined) return;
    const choice = this.begin(first.name);
    const unread: string[] = [];
    for (const source of files.map(sourceOf)) {
      const given = await source.read().catch(() => undefined);
      if (given === undefined) unread.push(source.name);
      else this.takeDropped(given, choice);
    }
    if (unread.length === 0) return;
    const names = unread.join(", ");
    // Beside what else was dropped it is a warning; alone, it was meant to be the evidence.
    if (this.evidenceFrom === choice || this.genesisFrom === choice) {
      this.unread.textContent = `Not read, and nothing is said about it: ${visible(names)}.`;
    } else if (this.choices === choice) {
      this.evidence = undefined;
      this.notRead(names);
    }
  }

  private takeDropped(given: Given, choice: number): void {
    if (!isGenesis(given)) {
      if (choice < this.evidenceFrom) return;
      this.evidenceFrom = choice;
      this.take({ evidence: given });
    } else if (choice < this.genesisFrom) {
      return;
    } else if (!this.chosen) {
      this.genesisFrom = choice;
      this.choose(given, this.genesis);
    } else if (this.genesis !== undefined) {
      // Whoever gives the evidence may have put a genesis beside it, and has no say in what it is checked against.
      this.warn(
        `Not taken: ${described(given)}. The genesis that you gave stays: ${described(this.genesis)}. To check against another one, choose it above as the genesis.`,
      );
      this.take({});
    }
  }

  private notRead(name: string): void {
    this.current++;
    this.output.replaceChildren();
    this.say("fails", `${visible(name)}: it could not be read, and nothing is said about it.`);
  }

  /** Takes the visitor's own genesis. That another one was there before is said, with both chain ids. */
  private choose(genesis: Given, before: Given | undefined): void {
    const replaced = before !== undefined && chainOf(before) !== chainOf(genesis);
    this.warn(replaced ? `The genesis was replaced. Before: ${described(before)}. Now: ${described(genesis)}.` : "");
    this.chosen = true;
    this.take({ genesis });
  }

  private warn(text: string): void {
    this.warning.textContent = text;
  }

  /** Takes what is given, and checks as soon as nothing is missing. */
  private take({ evidence, genesis }: { evidence?: Given | undefined; genesis?: Given | undefined }): void {
    this.evidence = evidence ?? this.evidence;
    this.genesis = genesis ?? this.genesis;
    this.showNetwork();
    const run = ++this.current;
    if (this.evidence === undefined || this.genesis === undefined) {
      const what = this.evidence === undefined ? "an evidence file" : "the genesis of the network";
      this.say("waiting", `Give ${what}, and the check begins.`);
      this.output.replaceChildren();
      return;
    }
    this.check(run, this.genesis, this.evidence).catch((error: unknown) => {
      if (run !== this.current) return;
      // A fault of the checker is no answer, and must not look like one.
      this.say(
        "fails",
        `The checker itself failed, and nothing is said about the file: ${visible(String(error))}`,
      );
    });
  }

  /** Makes the steps and shows them as they pass or fail. */
  private async check(run: number, genesis: Given, evidence: Given): Promise<void> {
    const list = new StepList();
    this.output.replaceChildren(...list.parts);
    const verdict = await resting(checkInSteps(genesis.bytes, evidence.bytes), (steps) => {
      if (run !== this.current) return false;
      list.show(steps, evidence.bytes);
      this.say("waiting", `${visible(evidence.name)}: checking, ${steps.length} steps passed so far.`);
      return true;
    });
    // While it rested, something else may have been given: what is said below is of that alone.
    if (verdict === undefined || run !== this.current) return;
    list.show(verdict.steps, (verdict.verdict === "not-genesis" ? genesis : evidence).bytes);
    list.showContent(verdict);
    this.say(
      verdict.verdict === "holds" ? "holds" : "fails",
      `${visible(evidence.name)}: ${summary(verdict)}`,
    );
  }

  private say(kind: "waiting" | "holds" | "fails", text: string): void {
    this.status.className = `verdict ${kind}`;
    this.status.textContent = text;
  }

  /**
   * A genesis is only as good as its source: the chain id is there to be compared with one that is
   * trusted.
   */
  private showNetwork(): void {
    if (this.genesis === undefined) {
      this.network.textContent =
        "No genesis yet. Get it from somebody you trust, not from whoever gave you the evidence.";
      return;
    }
    try {
      const { chain, chainName } = readGenesis(this.genesis.bytes);
      this.network.replaceChildren(
        `Checked against network “${chainName}”, genesis: ${visible(this.genesis.name)}. Compare its chain id with one `,
        "from a source you trust: ",
        element("code", {}, toHex(chain)),
      );
    } catch (error) {
      if (!(error instanceof NotReadable)) throw error;
      this.network.textContent = `${visible(this.genesis.name)}: ${visible(error.message)}`;
    }
  }
}

/** The page is drawn at least so often, in milliseconds. */
const DRAWN_EVERY = 100;

/** Runs a check to its end and lets the page rest now and then. Ends without a verdict if `goOn` says no. */
async function resting(
  checking: Generator<Step[], Verdict>,
  goOn: (steps: Step[]) => boolean,
): Promise<Verdict | undefined> {
  for (let rested = performance.now(); ;) {
    const { done, value } = checking.next();
    if (done === true) return value;
    if (performance.now() - rested < DRAWN_EVERY) continue;
    if (!goOn(value)) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 0));
    rested = performance.now();
  }
}

/** The chain id that a genesis makes; nothing if it can't be read. */
function chainOf({ bytes }: Given): string | undefined {
  try {
    return toHex(readGenesis(bytes).chain);
  } catch (error) {
    if (!(error instanceof NotReadable)) throw error;
    return undefined;
  }
}

function described(genesis: Given): string {
  return `${visible(genesis.name)}, chain ${chainOf(genesis) ?? "unknown: it can't be read"}`;
}

/** Which of the two a dropped file is meant to be. Only a guess: the check reads it strictly. */
function isGenesis({ bytes }: Given): boolean {
  const head = new TextDecoder().decode(bytes.subarray(0, 4096));
  return head.includes('"sealpost-genesis/');
}
