// Builds what explorer/assets holds for the pages themselves: one small script for all of them, one for the first.
// The same sources give the same bytes on every machine.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: [here("src/site.ts"), here("src/live.ts")],
  absWorkingDir: here("."),
  outdir: here("../assets"),
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  charset: "ascii",
  minify: true,
  legalComments: "none",
});
