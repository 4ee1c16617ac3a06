// What the checks found. Nothing is thrown away: a page that fails one check goes through the others as well.

export class Report {
  failures = [];
  checks = 0;

  /** Counts a check, and keeps it if it failed. `kind` is a word that controls look for. */
  check(holds, kind, page, what = "") {
    this.checks++;
    if (!holds) this.fail(kind, page, what);
  }

  fail(kind, page, what) {
    const text = typeof what === "string" ? what : JSON.stringify(what);
    this.failures.push({ kind, page: page.slice(0, 100), what: text.slice(0, 2000) });
  }

  /** Runs a part; an exception is a failure of that part alone. */
  async part(name, run) {
    try {
      await run();
    } catch (error) {
      this.fail("broken off", name, error?.stack ?? String(error));
    }
  }
}
