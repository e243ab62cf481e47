// What became of records, in words, and sums over lives. Pure.

import type { Counts, Fate, Life, LedgerGap } from "../api/ledger.ts";

export const FATE_WORDS: Record<Fate, string> = { lost: "Lost", refused: "Refused", open: "Not here yet" };
/** A sign beside each word, so that colour is never the only one. */
export const FATE_SIGNS: Record<Fate, string> = { lost: "✕", refused: "⊘", open: "…" };

export const CLASSES: readonly { key: keyof Counts; word: string; means: string }[] = [
  { key: "in_time", word: "In time", means: "Stored within a minute of being measured" },
  { key: "replayed", word: "Replayed", means: "Stored from a backlog, more than a minute after being measured" },
  { key: "late", word: "Late", means: "Stored behind newer values: shown, but no trigger looked at them" },
  { key: "lost", word: "Lost", means: "Dropped by the source: no room, or a damaged disk" },
  { key: "refused", word: "Refused", means: "Never to be stored: not to be understood, or not to be believed" },
  { key: "open", word: "Not here yet", means: "On their way, or missing" },
];

export function sumOf(all: readonly Counts[]): Counts {
  const sum: Counts = { in_time: 0, late: 0, replayed: 0, lost: 0, refused: 0, open: 0 };
  for (const counts of all) for (const { key } of CLASSES) sum[key] += counts[key];
  return sum;
}

export const isWhole = (counts: Counts): boolean => counts.lost + counts.refused + counts.open === 0;

export const sizeOf = (gap: LedgerGap): number => gap.last - gap.first + 1;

export interface ShownGap extends LedgerGap {
  source: string;
  key: string;
}

/** The gaps of all lives, the newest first. */
export function gapsInOrder(sources: readonly { name: string; lives: readonly Life[] }[]): ShownGap[] {
  const all = sources.flatMap(({ name, lives }) =>
    lives.flatMap((life) => life.gaps.map((gap) => ({ ...gap, source: name, key: `${life.boot}.${gap.first}` }))),
  );
  const instant = (gap: LedgerGap): number => Date.parse(gap.before ?? gap.after ?? "") || 0;
  return all.sort((one, other) => instant(other) - instant(one) || other.first - one.first);
}
