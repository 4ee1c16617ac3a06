// Opens an ECIES ciphertext with eciesjs, and seals the same share with it.
// One line in: secret key, public key, ciphertext, share. One line out: what was opened, what was sealed.
const { decrypt, encrypt } = require("eciesjs");
const { readFileSync } = require("node:fs");

const [secret, publicKey, ciphertext, share] = readFileSync(0, "utf8").trim().split(" ");
const opened = Buffer.from(decrypt(secret, Buffer.from(ciphertext, "hex")));
const sealed = Buffer.from(encrypt(publicKey, Buffer.from(share, "hex")));
console.log(`${opened.toString("hex")} ${sealed.toString("hex")}`);
