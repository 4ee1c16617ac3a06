// Opens ECIES ciphertexts with eciesjs.
// A line in: secret key and ciphertext, in hexadecimal. A line out: "opened" and the plaintext, or "refused".
const { decrypt } = require("eciesjs");
const { readFileSync } = require("node:fs");

function verdict(secret, ciphertext) {
  try {
    return `opened ${Buffer.from(decrypt(secret, ciphertext)).toString("hex")}`;
  } catch {
    // Whatever it throws, it refuses.
    return "refused";
  }
}

// All of it is read before anything is said, so that neither side waits for the other.
const lines = readFileSync(0, "utf8").split("\n").slice(0, -1);
console.log(lines.map((line) => verdict(...line.split(" ").map((hex) => Buffer.from(hex, "hex")))).join("\n"));
