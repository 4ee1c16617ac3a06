// What is new, while the page is open: the head and the rows that the server writes, as the server writes them.

/** Rows that a list keeps. */
const MAX_ROWS = 50;
/** Milliseconds until a refused connection is tried again; up to twice as long, so that not all come at once. */
const PAUSE = 10_000;

interface Policy {
  createHTML(text: string): string;
}
interface Factory {
  createPolicy(name: string, rules: { createHTML(text: string): string }): Policy;
}

/** A block: all of it comes at once, so that a connection that breaks off leaves nothing half shown. */
interface Rows {
  readonly head: string;
  readonly entries: string;
  readonly block: string;
}

/** The one way for markup into the page. The server has escaped everything in it; what it never sends is refused. */
function makePolicy(): Policy {
  const rules = {
    createHTML(text: string): string {
      if (!/^\s*<(tr|dl)[ >]/.test(text) || /<(script|style|iframe|object|svg|img|link|form)/i.test(text)) {
        throw new TypeError("not what this page shows");
      }
      return text;
    },
  };
  const factory = (window as unknown as { trustedTypes?: Factory }).trustedTypes;
  return factory === undefined ? rules : factory.createPolicy("sealpost-rows", rules);
}

function start(live: HTMLElement): void {
  const policy = makePolicy();
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const summary = document.getElementById("live-summary");
  let last = live.dataset.after ?? "0";
  let source: EventSource | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  let running = false;

  const show = (id: string, text: string, keep: "all" | "newest"): void => {
    const place = document.getElementById(id);
    if (place === null) return;
    const markup = policy.createHTML(text);
    if (keep === "all") {
      const before = place.children.length;
      place.insertAdjacentHTML("afterbegin", markup);
      const added = Array.from(place.children).slice(0, place.children.length - before);
      if (!calm.matches) added.forEach((row) => row.classList.add("new"));
      while (place.children.length > MAX_ROWS) place.lastElementChild?.remove();
    } else {
      place.innerHTML = markup;
    }
    place.dispatchEvent(new CustomEvent("sealpost:added", { bubbles: true }));
  };
  // Blocks may come quickly; a screen reader is told at most every ten seconds.
  let said = 0;
  const say = (text: string): void => {
    if (summary === null || Date.now() - said < 10_000) return;
    said = Date.now();
    summary.textContent = text;
  };
  const stop = (): void => {
    clearTimeout(again);
    source?.close();
    source = undefined;
  };
  const listen = (): void => {
    stop();
    const opened = new EventSource(`/live?after=${encodeURIComponent(last)}`);
    source = opened;
    opened.addEventListener("block", (event) => {
      const rows = JSON.parse(event.data) as Rows;
      show("live-head", rows.head, "newest");
      if (rows.entries !== "") show("live-entries", rows.entries, "all");
      show("live-blocks", rows.block, "all");
      last = event.lastEventId;
      say(`Kept up to date; the last block is ${last}.`);
    });
    opened.addEventListener("error", () => {
      said = 0;
      say("The connection was lost; this page tries again by itself.");
      // A browser comes back by itself when a connection breaks off, but not when it was refused.
      if (opened === source && opened.readyState === EventSource.CLOSED) {
        stop();
        again = setTimeout(listen, PAUSE * (1 + Math.random()));
      }
    });
  };
  const pause = document.createElement("button");
  pause.type = "button";
  pause.className = "plain";
  const set = (run: boolean): void => {
    running = run;
    pause.textContent = running ? "Pause updates" : "Resume updates";
    said = 0;
    if (running) {
      listen();
    } else {
      stop();
      say("Updates are paused.");
    }
  };
  pause.addEventListener("click", () => set(!running));
  live.append(pause);
  set(true);
  // A page that nobody looks at holds no connection.
  addEventListener("pagehide", stop);
  // One that comes back from the browser's memory goes on where it was.
  addEventListener("pageshow", (event) => {
    if (event.persisted && running) listen();
  });
}

const live = document.getElementById("live");
if (live !== null && "EventSource" in window) start(live);
