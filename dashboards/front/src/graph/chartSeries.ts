// What a chart draws: one line per item, with its name and its place in the colours.

import type { Item, Series } from "../api/types.ts";

export interface ChartSeries {
  item: number;
  label: string;
  unit: string;
  /** Which colour and dash: 1 … 8. */
  colour: number;
  at: readonly number[];
  value: readonly (number | null)[];
  minimum: readonly (number | null)[];
  maximum: readonly (number | null)[];
  source: Series["source"];
  known_since: number;
}

export const COLOURS = 8;
/** Each colour has its own dash too, so that lines differ without colour. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 4], [12, 4], [2, 6], [6, 2, 2, 2, 2, 2]];

/** "cpu.busy", "network.sent eth0"; with the host in front when several hosts are shown. */
export function labelOf(item: Item, hasHost: boolean): string {
  const name = item.parameter ? `${item.name} ${item.parameter}` : item.name;
  return hasHost ? `${item.host} ${name}` : name;
}

export interface Figures {
  last: number | null;
  minimum: number | null;
  mean: number | null;
  maximum: number | null;
}

/** Last, least, mean and greatest of what lies in [from, to]; peaks inside thinned points count. */
export function figuresOf(series: ChartSeries, from: number, to: number): Figures {
  let last: number | null = null;
  let least = Infinity;
  let most = -Infinity;
  let sum = 0;
  let count = 0;
  series.at.forEach((instant, place) => {
    const value = series.value[place];
    if (instant < from || instant > to || value === null || value === undefined) return;
    last = value;
    least = Math.min(least, series.minimum[place] ?? value);
    most = Math.max(most, series.maximum[place] ?? value);
    sum += value;
    count += 1;
  });
  if (count === 0) return { last: null, minimum: null, mean: null, maximum: null };
  return { last, minimum: least, mean: sum / count, maximum: most };
}

/** The value at or shortly before an instant; null inside a gap. */
export function valueAt(series: ChartSeries, instant: number, threshold: number): number | null {
  let low = 0;
  let high = series.at.length - 1;
  let found = -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if ((series.at[middle] ?? Infinity) <= instant + 1) {
      found = middle;
      low = middle + 1;
    } else high = middle - 1;
  }
  const at = series.at[found];
  return at !== undefined && instant - at <= threshold ? (series.value[found] ?? null) : null;
}
