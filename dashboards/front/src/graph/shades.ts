// Which times of a graph are shaded, and how: a kind each has its own pattern and its own word. Pure.

import type { MissingTime } from "../api/ledger.ts";
import type { Gap } from "./gaps.ts";

export type ShadeKind = "unknown" | "lost" | "refused" | "open";

export interface Shade extends Gap {
  kind: ShadeKind;
}

export const SHADE_WORDS: Record<ShadeKind, string> = {
  unknown: "no data",
  lost: "lost",
  refused: "refused",
  open: "not here yet",
};

const WORST: readonly ShadeKind[] = ["open", "refused", "lost"];

/** Times without data are unknown, except where the ledger says what became of the records; those are drawn last. */
export function shadesOf(gaps: readonly Gap[], missing: readonly MissingTime[]): Shade[] {
  const told = WORST.flatMap((kind) => joined(missing.filter((one) => one.fate === kind)).map((gap) => ({ ...gap, kind })));
  const unknown = gaps.flatMap((gap) => without(gap, told)).map((gap): Shade => ({ ...gap, kind: "unknown" }));
  return [...unknown, ...told];
}

function joined(times: readonly MissingTime[]): Gap[] {
  const spans: Gap[] = [];
  for (const { begin, end } of times.toSorted((one, other) => one.begin - other.begin)) {
    const last = spans.at(-1);
    if (last && begin <= last.to) last.to = Math.max(last.to, end);
    else spans.push({ from: begin, to: end });
  }
  return spans;
}

function without(gap: Gap, others: readonly Gap[]): Gap[] {
  let left: Gap[] = [gap];
  for (const other of others) {
    left = left.flatMap((piece) => {
      if (other.to <= piece.from || other.from >= piece.to) return [piece];
      const sides = [
        { from: piece.from, to: other.from },
        { from: other.to, to: piece.to },
      ];
      return sides.filter((side) => side.to > side.from);
    });
  }
  return left;
}
