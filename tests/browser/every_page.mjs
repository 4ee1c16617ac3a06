// All the checks of one page, in few visits.

import { join } from "node:path";
import { visit, watched } from "./browser.mjs";
import { accessible, drawn, facts, fits, frame, inert, keyboard, prints, skipLink } from "./page_checks.mjs";

/**
 * Visits a page with scripts and without, as two visitors who have been elsewhere before. `out` is the folder for
 * pictures; without it none are taken.
 */
export async function everything({ visitors, report, origin, out, page: { name, path, status } }) {
  const url = origin + path;
  const shoot = async (page, how) => {
    if (out !== undefined) await page.screenshot({ path: join(out, `${name}-${how}.png`), fullPage: true });
  };
  const page = await watched(visitors.scripted, report, name, origin);
  await visit(page, report, name, url, status);
  const withScript = await facts(page);
  await frame(page, report, name);
  await inert(page, report, name);
  await drawn(page, report, name);
  await accessible(page, report, name);
  await shoot(page, "wide-light");
  await prints(page, report, name);
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot(page, "wide-dark");
  // It ends with the narrowest.
  await fits(page, report, name);
  await accessible(page, report, name);
  await shoot(page, "narrow-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await shoot(page, "narrow-light");
  await page.setViewportSize({ width: 1280, height: 900 });
  await keyboard(page, report, name);
  await skipLink(page, report, name);
  await page.close();

  const without = await watched(visitors.plain, report, `${name} without scripts`, origin);
  await visit(without, report, name, url, status);
  const alone = await facts(without);
  report.check(alone.length > 0 && alone === withScript, "no script", name, difference(alone, withScript));
  await without.close();
}

/** Where two texts part. */
function difference(one, other) {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const around = (text) => text.slice(Math.max(0, at - 40), at + 80);
  return `without scripts "${around(one)}", with them "${around(other)}"`;
}
