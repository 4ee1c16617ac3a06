// What must hold for every page, whatever it shows.

const WIDTHS = [1920, 1280, 390, 320];
const HEIGHT = 900;

/** One first heading, a language, a title of its own, a place for the main content. */
export async function frame(page, report, name) {
  const found = await page.evaluate(() => ({
    headings: document.querySelectorAll("h1").length,
    heading: document.querySelector("h1")?.textContent.trim() ?? "",
    language: document.documentElement.lang,
    title: document.title.trim(),
    mains: document.querySelectorAll("main").length,
  }));
  report.check(found.headings === 1 && found.heading !== "", "heading", name, found);
  report.check(found.language === "en", "language", name, found);
  report.check(found.title !== "" && found.title !== "Sealpost", "title", name, found);
  report.check(found.mains === 1, "main", name, found);
  return found;
}

/** No finding of axe whose impact is serious or critical. */
export async function accessible(page, report, name) {
  const found = await page.evaluate(async () => {
    // Without `preload`, which would ask for style sheets again.
    const { violations, passes } = await globalThis.axe.run(document, {
      resultTypes: ["violations"],
      preload: false,
    });
    const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    const told = grave.map(({ id, impact, nodes }) => {
      const where = nodes
        .slice(0, 3)
        .map(({ target, any, all }) => `${target} ${[...any, ...all].map((one) => one.message)}`);
      return `${impact} ${id}, ${nodes.length} times: ${where.join("; ")}`;
    });
    return { told, passed: passes.length };
  });
  report.check(found.passed > 5, "axe", name, "axe looked at nothing");
  report.check(found.told.length === 0, "axe", name, found.told);
}

/** Nothing makes the page wider than the window. */
export async function fits(page, report, name) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: HEIGHT });
    const wide = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth <= clientWidth) return undefined;
      // What is cut off or moves within a part of the page does not widen it.
      const within = (one) => {
        for (let part = one.parentElement; part !== null && part !== document.body; part = part.parentElement)
          if (getComputedStyle(part).overflowX !== "visible") return true;
        return false;
      };
      const reaches = (one) =>
        one.getBoundingClientRect().right > clientWidth + 1 || one.scrollWidth > clientWidth;
      const beyond = [...document.querySelectorAll("body *")].filter((one) => reaches(one) && !within(one));
      const said = beyond
        .slice(-3)
        .map((one) => `${one.localName}.${one.className} ${one.textContent.slice(0, 60)}`);
      return `${scrollWidth} of ${clientWidth}: ${said.join(" | ")}`;
    });
    report.check(wide === undefined, "overflow", name, `${width} px: ${wide}`);
  }
}

/** No words of a picture are cut off at its edge. */
export async function drawn(page, report, name) {
  const cut = await page.evaluate(() => {
    const outside = (text) => {
      const { x, y, width, height } = text.getBBox();
      const canvas = text.ownerSVGElement.viewBox.baseVal;
      // A picture without a canvas of its own is as large as it is shown.
      if (canvas.width === 0) return false;
      return (
        x < canvas.x ||
        y < canvas.y ||
        x + width > canvas.x + canvas.width ||
        y + height > canvas.y + canvas.height
      );
    };
    return [...document.querySelectorAll("svg text")].filter(outside).map((text) => text.textContent);
  });
  report.check(cut.length === 0, "cut off", name, cut);
}

/** Whatever can be operated is reached by Tab, in a way that can be seen; and the skip link skips. */
export async function keyboard(page, report, name) {
  const expected = await page.evaluate(() => {
    const visited = (globalThis.visited = new Map());
    document.addEventListener("focusin", ({ target }) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(target);
      const box = target.getBoundingClientRect();
      visited.set(target, {
        ring: outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 1,
        seen:
          box.width > 0 &&
          box.height > 0 &&
          box.left < innerWidth &&
          box.right > 0 &&
          box.bottom > 0 &&
          box.top < innerHeight,
      });
    });
    document.activeElement?.blur();
    scrollTo(0, 0);
    const operable = "a[href], button, input, select, textarea, summary, [tabindex]";
    globalThis.operable = [...document.querySelectorAll(operable)].filter(
      (one) =>
        one.tabIndex >= 0 &&
        !one.disabled &&
        one.type !== "hidden" &&
        one.checkVisibility({ visibilityProperty: true }),
    );
    return globalThis.operable.length;
  });
  // A few more than there are, for parts that the browser lets scroll by keyboard of itself.
  for (let presses = 0; presses < expected * 1.2 + 5; presses++) await page.keyboard.press("Tab");
  const missed = await page.evaluate(() => {
    const say = (one) => one.outerHTML.slice(0, 120);
    const { visited, operable } = globalThis;
    return {
      unreached: operable.filter((one) => !visited.has(one)).map(say),
      unmarked: [...visited].filter(([, { ring }]) => !ring).map(([one]) => say(one)),
      unseen: [...visited].filter(([, { seen }]) => !seen).map(([one]) => say(one)),
    };
  });
  report.check(expected > 0 && missed.unreached.length === 0, "unreachable", name, missed.unreached);
  report.check(missed.unmarked.length === 0, "focus", name, missed.unmarked);
  report.check(missed.unseen.length === 0, "focus", name, missed.unseen);
}

/** The first Tab leads to a link that is then seen, and leads past the navigation. */
export async function skipLink(page, report, name) {
  await page.reload();
  await page.keyboard.press("Tab");
  const skip = await page.evaluate(() => {
    const box = document.activeElement.getBoundingClientRect();
    const seen = box.left >= 0 && box.top >= 0 && box.width > 0;
    return seen ? document.activeElement.getAttribute("href") : undefined;
  });
  report.check(skip === "#main", "skip", name, `the first Tab leads to ${skip}`);
  await page.keyboard.press("Enter");
  const inside = await page.evaluate(() => document.activeElement.closest("main") !== null);
  report.check(inside, "skip", name, "the skip link does not lead to the main part");
}

/** On paper every chart is there, and what is folded on the screen is open. */
export async function prints(page, report, name) {
  await page.emulateMedia({ media: "print" });
  const lost = await page.evaluate(() => {
    const gone = (one) => !one.checkVisibility() || one.getBoundingClientRect().height === 0;
    return [...document.querySelectorAll("main svg, main details table, main h1")]
      .filter(gone)
      .map((one) => one.outerHTML.slice(0, 120));
  });
  report.check(lost.length === 0, "print", name, lost);
  await page.emulateMedia({ media: "screen" });
}

/** What somebody else wrote is text: no element, attribute or direction of writing comes from it. */
export async function inert(page, report, name) {
  const made = await page.evaluate(() => {
    const found = [];
    const texts = ["content", "href", "value", "title", "aria-label"];
    for (const one of document.querySelectorAll("*")) {
      if (/evil/i.test(one.localName)) found.push(one.outerHTML.slice(0, 200));
      if (one.localName === "script" && one.type !== "application/json" && /alert\(/.test(one.textContent))
        found.push("script");
      for (const { name, value } of one.attributes) {
        const takenOver =
          /evil/i.test(name) || /^on/i.test(name) || (/evil/i.test(value) && !texts.includes(name));
        if (takenOver || /^\s*(javascript|data|vbscript):/i.test(value))
          found.push(`${one.localName} ${name}=${value}`.slice(0, 200));
        if (/[\u202a-\u202e\u2066-\u2069]/.test(value))
          found.push(`a turn of the writing in ${name} of ${one.localName}`);
      }
    }
    if (/[\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText + document.title))
      found.push("a turn of the writing");
    return found;
  });
  report.check(made.length === 0, "markup", name, made);
}

/** The words of the main part, without what only scripts add. */
export async function facts(page) {
  return page.evaluate(() => {
    const main = document.querySelector("main").cloneNode(true);
    const added = "script, button.copy, .local, #live-summary, #live button, #verifier, [role=status]";
    for (const one of main.querySelectorAll(added)) one.remove();
    // This one never stands still.
    for (const one of main.querySelectorAll("dt"))
      if (one.textContent === "Running for") one.parentElement.remove();
    return main.textContent.replace(/\s+/g, " ").trim();
  });
}
