// Foreign text for people: what can't be seen, or would turn the text around, is written out.

// Control characters, those that format (among them all that change the direction), and what is not assigned.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029]/gu;

/**
 * The text with everything invisible in it as `\u{…}`; line feeds and tabs stay if it is shown as it
 * is laid out.
 */
export function visible(text: string, layout: "one line" | "as it is" = "one line"): string {
  return text.replace(HIDDEN, (character) => {
    if (layout === "as it is" && (character === "\n" || character === "\t")) return character;
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}
