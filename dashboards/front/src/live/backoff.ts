// How long to wait before the next try: growing, with jitter, so that many pages do not come back at once.

const FIRST_MS = 1000;
const LONGEST_MS = 20_000;

/** Decorrelated jitter: between the first delay and three times the last one. `random` is in [0, 1). */
export function nextDelay(last_ms: number, random: number): number {
  const ceiling = Math.min(LONGEST_MS, Math.max(FIRST_MS, last_ms * 3));
  return Math.round(FIRST_MS + random * (ceiling - FIRST_MS));
}
