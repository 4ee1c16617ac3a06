// The bundle's entry. In a browser it puts the checker into the page; everywhere else, as in the tests, it
// only offers what it consists of.

import { startPage } from "./page.ts";

export { addressText, readAddress } from "./address.ts";
export { fromBase64url, toBase64url } from "./base64url.ts";
export { check, checkInSteps } from "./check.ts";
export { decode } from "./decoder.ts";
export { readGenesis } from "./genesis.ts";
export { parseJson } from "./json.ts";
export { readContent } from "./letter.ts";
export { isIncluded, leafHash, nodeHash } from "./merkle.ts";
export { signatureHolds } from "./signature.ts";
export { absenceFault, presenceFault } from "./state.ts";
export { visible } from "./visible.ts";

if (typeof document !== "undefined") startPage(document);
