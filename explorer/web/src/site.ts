// What a script adds to every page: buttons that copy, times in the visitor's zone, neighbours by arrow keys.
// Nothing here makes markup from text, and every page says the same without it.

/** A button that copies an id, put behind the id or behind the link around it. */
function addCopyButton(code: HTMLElement): void {
  const whole = code.title || code.textContent || "";
  if (whole.length < 16 || code.dataset.copy !== undefined || navigator.clipboard === undefined) return;
  code.dataset.copy = "";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.setAttribute("aria-label", `Copy ${whole.slice(0, 12)}…`);
  button.title = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(whole);
      announce("Copied");
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1500);
    } catch {
      announce("The browser refused to copy");
    }
  });
  (code.closest("a") ?? code).after(button);
}

const status = document.createElement("p");

/** Says something to a screen reader, in a region that is there from the start. */
function announce(text: string): void {
  status.textContent = text;
}

/** The time in the visitor's zone, beside the time in UTC. */
function addLocalTime(time: HTMLTimeElement): void {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime()) || time.dataset.local !== undefined) return;
  time.dataset.local = "";
  // The date only where it is another one there.
  const sameDay = at.getDate() === at.getUTCDate();
  const text = sameDay ? at.toLocaleTimeString() : at.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
  const local = document.createElement("span");
  local.className = "local";
  local.textContent = ` (here ${text})`;
  time.after(local);
}

/** Adds what scripts add, also to parts that came later. */
function dress(root: ParentNode): void {
  if (new Date().getTimezoneOffset() !== 0) {
    root.querySelectorAll<HTMLTimeElement>("time[datetime]").forEach(addLocalTime);
  }
  root.querySelectorAll<HTMLElement>("code[title], code.whole").forEach(addCopyButton);
}

/** Left and right lead to the neighbours, unless something else has the keyboard. */
function follow(event: KeyboardEvent): void {
  const taken = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
  const idle = document.activeElement === null || ["BODY", "MAIN"].includes(document.activeElement.tagName);
  const rel = event.key === "ArrowLeft" ? "prev" : event.key === "ArrowRight" ? "next" : undefined;
  if (taken || !idle || rel === undefined) return;
  document.querySelector<HTMLAnchorElement>(`main a[rel="${rel}"]`)?.click();
}

status.className = "hidden";
status.setAttribute("role", "status");
document.body.append(status);
dress(document);
document.addEventListener("keydown", follow);
document.addEventListener("sealpost:added", (event) => dress(event.target as Element));
