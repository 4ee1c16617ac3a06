// What is new, while the page is open: the head and the rows that the server writes, as the server writes them.

/** Rows that a list keeps. */
const MAX_ROWS = 50;

interface Policy {
  createHTML(text: string): string;
}
interface Factory {
  createPolicy(name: string, rules: { createHTML(text: string): string }): Policy;
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
  const listen = (): void => {
    source = new EventSource(`/live?after=${encodeURIComponent(last)}`);
    source.addEventListener("head", (event) => show("live-head", event.data, "newest"));
    source.addEventListener("entries", (event) => show("live-entries", event.data, "all"));
    source.addEventListener("block", (event) => {
      show("live-blocks", event.data, "all");
      last = event.lastEventId;
      say(`Kept up to date; the last block is ${last}.`);
    });
    source.addEventListener("error", () => {
      said = 0;
      say("The connection was lost; this page tries again by itself.");
    });
  };
  const pause = document.createElement("button");
  pause.type = "button";
  pause.className = "plain";
  const set = (running: boolean): void => {
    pause.textContent = running ? "Pause updates" : "Resume updates";
    said = 0;
    if (running) {
      listen();
    } else {
      source?.close();
      source = undefined;
      say("Updates are paused.");
    }
  };
  pause.addEventListener("click", () => set(source === undefined));
  live.append(pause);
  set(true);
  // A page that nobody looks at holds no connection.
  addEventListener("pagehide", () => source?.close());
}

const live = document.getElementById("live");
if (live !== null && "EventSource" in window) start(live);
