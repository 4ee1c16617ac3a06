// A page for the checker without a browser: as much of a document as it uses, and a clock and timers that the test
// holds in its hand.

/** An element that remembers what is in it. */
class Element {
  children = [];
  listeners = new Map();
  attributes = new Map();
  className = "";
  setAttribute(name, value) {
    this.attributes.set(name, value);
    if (name === "class") this.className = value;
  }
  append(...children) {
    this.children.push(...children);
  }
  replaceChildren(...children) {
    this.children = children;
  }
  addEventListener(name, listener) {
    this.listeners.set(name, listener);
  }
  get textContent() {
    return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join("");
  }
  set textContent(text) {
    this.children = [text];
  }
  find(className, attribute) {
    const words = attribute === undefined ? this.className.split(" ") : [this.attributes.get(attribute)];
    if (words.includes(className)) return this;
    for (const child of this.children) {
      const found = typeof child === "string" ? undefined : child.find(className, attribute);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Everything that waits for no timer is done when this is. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Starts the bundle's page. `rests` says how often a check lets the page rest; it goes on when it is told to. */
export function openPage(load, { embedded = {}, rests = 0 } = {}) {
  const place = new Element();
  const listeners = new Map();
  const waiting = [];
  const [before, timer, { now }] = [globalThis.document, globalThis.setTimeout, globalThis.performance];
  globalThis.document = {
    getElementById: (id) => {
      if (id === "verifier") return place;
      return embedded[id] === undefined ? null : { textContent: JSON.stringify(embedded[id]) };
    },
    createElement: () => new Element(),
    addEventListener: (name, listener) => listeners.set(name, listener),
  };
  let time = 0;
  // A check asks the time once at its beginning and once after each step: it is late as often as it may rest.
  globalThis.performance.now = () => (waiting.length + gone < rests ? (time += 1000) : time);
  globalThis.setTimeout = (resume) => waiting.push(resume);
  let gone = 0;
  load();
  const asFile = ([name, bytes]) => ({
    name,
    slice: () => ({ arrayBuffer: async () => (await bytes).slice().buffer }),
  });
  return {
    /** Drops files, each a name and its bytes, or a promise of them. */
    async drop(...files) {
      listeners.get("drop")({ preventDefault() {}, dataTransfer: { files: files.map(asFile) } });
      await settled();
    },
    /** Chooses a file in a field. */
    async choose(id, file) {
      const field = place.find(id, "id");
      field.files = [asFile(file)];
      field.listeners.get("change")();
      await settled();
    },
    settled,
    /** Lets the checks that rest go on; says how many there were. */
    async goOn() {
      const resumed = waiting.splice(0);
      gone += resumed.length;
      for (const resume of resumed) resume();
      await settled();
      return resumed.length;
    },
    said: (className) => place.find(className)?.textContent ?? "",
    close() {
      globalThis.document = before;
      globalThis.setTimeout = timer;
      globalThis.performance.now = now;
    },
  };
}
