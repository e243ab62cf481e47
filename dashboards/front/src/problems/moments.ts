// How each kind of moment in a problem's life is shown: word, sign, mood. Pure.

import type { TimelineEntry } from "../api/escalation.ts";

export interface MomentShape {
  title: string;
  sign: string;
  mood: "bad" | "good" | "seen" | "plain";
  /** Whether `by` names who did it, rather than who was told. */
  isByPerson: boolean;
}

const SHAPES: Record<string, MomentShape> = {
  opened: { title: "Opened", sign: "!", mood: "bad", isByPerson: false },
  acknowledged: { title: "Acknowledged", sign: "✓", mood: "seen", isByPerson: true },
  note: { title: "Note", sign: "✎", mood: "plain", isByPerson: true },
  told: { title: "Told", sign: "→", mood: "plain", isByPerson: false },
  failed: { title: "Not delivered", sign: "✕", mood: "bad", isByPerson: false },
  resolved: { title: "Resolved", sign: "✓", mood: "good", isByPerson: false },
  closed: { title: "Closed", sign: "■", mood: "good", isByPerson: true },
};

/** A kind this page does not know is shown by its own word. */
export function momentOf(entry: TimelineEntry): MomentShape {
  return SHAPES[entry.kind] ?? { title: entry.kind, sign: "·", mood: "plain", isByPerson: true };
}
