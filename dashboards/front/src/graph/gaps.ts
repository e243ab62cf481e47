// Where there is no data: stretches much longer than the usual distance between values. Pure.

export interface Gap {
  from: number;
  to: number;
}

const TIMES_USUAL = 3;
const LEAST_MS = 5000;

/** The median distance between neighbours; null with fewer than two instants. */
export function usualDistance(at: readonly number[]): number | null {
  if (at.length < 2) return null;
  const distances = at.slice(1).map((instant, place) => instant - (at[place] ?? instant));
  distances.sort((one, other) => one - other);
  return distances[distances.length >> 1] ?? null;
}

/** How far apart two values may lie before nothing is drawn between them. */
export function gapThreshold(at: readonly number[], span_ms: number): number {
  const usual = usualDistance(at);
  return Math.max(LEAST_MS, usual === null ? span_ms / 20 : usual * TIMES_USUAL);
}

/** Gaps within [from, to] in ascending instants; also before the first and after the last one. */
export function gapsOf(at: readonly number[], from: number, to: number, threshold: number): Gap[] {
  const gaps: Gap[] = [];
  let last = from;
  for (const instant of at) {
    if (instant < from) continue;
    if (instant > to) break;
    if (instant - last > threshold) gaps.push({ from: last, to: instant });
    last = instant;
  }
  if (to - last > threshold) gaps.push({ from: last, to });
  return gaps;
}

interface Known {
  at: readonly number[];
  known_since: number;
}

/** Where no series has data although one of them was known: before that nothing is missing. */
export function sharedGaps(series: readonly Known[], from: number, to: number): Gap[] {
  const threshold = Math.max(...series.map((one) => gapThreshold(one.at, to - from)), 0);
  const all = [...new Set(series.flatMap((one) => one.at))].sort((one, other) => one - other);
  const known = Math.min(...series.map((one) => one.known_since), all[0] ?? Infinity);
  return known >= to ? [] : gapsOf(all, Math.max(from, known), to, threshold);
}

/** The instants and values with a null inside each gap, so that no line is drawn across it. */
export function withBreaks(
  at: readonly number[],
  columns: readonly (readonly (number | null)[])[],
  threshold: number,
): [number[], ...(number | null)[][]] {
  const instants: number[] = [];
  const values: (number | null)[][] = columns.map(() => []);
  at.forEach((instant, place) => {
    const last = at[place - 1];
    if (last !== undefined && instant - last > threshold) {
      instants.push(last + 1);
      for (const column of values) column.push(null);
    }
    instants.push(instant);
    columns.forEach((column, number) => values[number]?.push(column[place] ?? null));
  });
  return [instants, ...values];
}
