// A document in a few words: its first members, or how many entries a list has.

import type { Document } from "../api/types.ts";
import { counted } from "../format/number.ts";

const MOST_LETTERS = 60;

/** "{ state: ready, queue: 3, … }", "[ 12 entries ]". */
export function documentText(document: Document): string {
  if (Array.isArray(document)) return `[ ${counted(document.length, "entry", "entries")} ]`;
  const names = Object.keys(document);
  if (names.length === 0) return "{ }";
  let text = "";
  for (const name of names) {
    const next = `${text ? ", " : ""}${name}: ${partText(document[name])}`;
    if (text && text.length + next.length > MOST_LETTERS) return `{ ${text}, … }`;
    text += next;
  }
  return `{ ${text} }`;
}

function partText(part: unknown): string {
  if (Array.isArray(part)) return "[…]";
  if (typeof part === "object" && part !== null) return "{…}";
  const text = String(part);
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text;
}
