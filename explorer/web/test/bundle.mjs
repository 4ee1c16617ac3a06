// The committed bundle, as a module: what is tested is what is served, not the sources.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

/** Runs the bundle in this program, as a page would, and gives what it offers. */
export function loadBundle() {
  const path = fileURLToPath(new URL("../../assets/verify.js", import.meta.url));
  const script = readFileSync(path, "utf8");
  return vm.runInThisContext(`${script}\nsealpostVerifier`, { filename: path });
}
