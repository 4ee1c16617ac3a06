// Foreign text for people: what can't be seen, or would turn the text around, is written out.

// Control characters, those that format (among them all that change the direction), what is not assigned, and what is
// not drawn by itself: fillers, joiners, tags. Selectors that make a character an emoji or not stay (FE00 to FE0F).
const HIDDEN =
  /(?![\ufe00-\ufe0f])[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029]/gu;

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
