// Base64url without padding (RFC 4648, section 5), in its one spelling. Written out here, for files of many
// megabytes, and so that every browser reads the same: their own decoders differ in what they let pass.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NO_DIGIT = 255;
const DIGITS = new Uint8Array(128).fill(NO_DIGIT);
for (let value = 0; value < ALPHABET.length; value++) DIGITS[ALPHABET.charCodeAt(value)] = value;

/** The bytes, or `undefined` if the text is not the one spelling of any. */
export function fromBase64url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let index = 0; index < text.length; index++) {
    const digit = DIGITS[text.charCodeAt(index)] ?? NO_DIGIT;
    if (digit === NO_DIGIT) return undefined;
    bits = ((bits << 6) | digit) & 0xfff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = (bits >> held) & 0xff;
    }
  }
  // The last digit's bits that belong to no byte: other ones would be a second spelling.
  if ((bits & ((1 << held) - 1)) !== 0) return undefined;
  return bytes;
}

/** Which character of the text holds the first bit of that byte. */
export function characterOf(byte: number): number {
  return Math.floor((byte * 8) / 6);
}

export function toBase64url(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const bits = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let digit = 0; digit < Math.min(left, 3) + 1; digit++)
      pieces.push(ALPHABET[(bits >> (18 - 6 * digit)) & 63]!);
  }
  return pieces.join("");
}
