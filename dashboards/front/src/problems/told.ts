// Reminders to the same receiver by the same medium, counted instead of listed. Pure.

import type { TimelineEntry } from "../api/escalation.ts";
import type { Told } from "../api/types.ts";

/** What a receiver was told by one medium: how often, and the newest notice, which says how it stands. */
export interface ToldCount {
  count: number;
  last: Told;
}

const instantOf = (notice: Told): number => (notice.at === null ? -Infinity : Date.parse(notice.at));

/** One entry a receiver and medium, in the order in which they were told first. Of notices of one instant the later listed counts. */
export function toldCounts(told: readonly Told[]): ToldCount[] {
  const counts = new Map<string, ToldCount>();
  for (const notice of told) {
    const key = JSON.stringify([notice.receiver, notice.media]);
    const known = counts.get(key);
    const isNewer = known === undefined || instantOf(notice) >= instantOf(known.last);
    counts.set(key, { count: (known?.count ?? 0) + 1, last: isNewer ? notice : known.last });
  }
  return [...counts.values()];
}

/** Neighbours of a timeline that say the same again: told, the same receiver. */
export function runsOf(entries: readonly TimelineEntry[]): TimelineEntry[][] {
  const runs: TimelineEntry[][] = [];
  for (const entry of entries) {
    const run = runs.at(-1);
    const first = run?.[0];
    if (run && first && entry.kind === "told" && first.kind === "told" && first.by === entry.by) run.push(entry);
    else runs.push([entry]);
  }
  return runs;
}
