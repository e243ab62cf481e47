// How each kind of moment in a problem's life is shown: words, sign, mood. Pure.

import type { Moment, TimelineEntry } from "../api/escalation.ts";

export interface MomentShape {
  title: string;
  sign: string;
  mood: "bad" | "good" | "seen" | "plain";
}

const SHAPES: Record<Moment, MomentShape> = {
  opened: { title: "Opened", sign: "!", mood: "bad" },
  acknowledged: { title: "Acknowledged by", sign: "✓", mood: "seen" },
  note: { title: "Note by", sign: "✎", mood: "plain" },
  told: { title: "Told", sign: "→", mood: "plain" },
  waiting: { title: "On its way to", sign: "…", mood: "plain" },
  failed: { title: "Not delivered to", sign: "✕", mood: "bad" },
  resolved: { title: "Resolved", sign: "✓", mood: "good" },
};

/** A kind this page does not know is shown by its own word. */
export function momentOf(entry: TimelineEntry): MomentShape {
  return SHAPES[entry.kind] ?? { title: entry.kind, sign: "·", mood: "plain" };
}
