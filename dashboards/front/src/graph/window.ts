// The stretch of time a graph shows: live ("the last hour") or fixed; and how zooming and moving change it. Pure.

export const RANGES = {
  "5m": 300_000,
  "15m": 900_000,
  "1h": 3_600_000,
  "6h": 21_600_000,
  "24h": 86_400_000,
  "7d": 604_800_000,
} as const;
export type RangeName = keyof typeof RANGES;
export const RANGE_NAMES = Object.keys(RANGES) as RangeName[];
export const RANGE_WORDS: Record<RangeName, string> = {
  "5m": "5 minutes",
  "15m": "15 minutes",
  "1h": "1 hour",
  "6h": "6 hours",
  "24h": "24 hours",
  "7d": "7 days",
};

/** Fixed instants in epoch ms; or live when `range` names how much of the past is shown. */
export type GraphWindow = { range: RangeName } | { from: number; to: number };

const SHORTEST_MS = 10_000;
const LONGEST_MS = 5 * 365 * 86_400_000;

export const isLive = (view: GraphWindow): view is { range: RangeName } => "range" in view;

/** What is shown at `now`, in epoch ms. */
export function extentOf(view: GraphWindow, now: number): { from: number; to: number } {
  return isLive(view) ? { from: now - RANGES[view.range], to: now } : view;
}

/** Read a window from an address; anything wrong means the last quarter of an hour. */
export function windowFrom(query: URLSearchParams): GraphWindow {
  const from = Number(query.get("from"));
  const to = Number(query.get("to"));
  if (from > 0 && to > from) return { from, to };
  const range = query.get("range");
  return { range: RANGE_NAMES.find((known) => known === range) ?? "15m" };
}

/** The window as an address has it. */
export function queryOf(view: GraphWindow): { range: string | undefined; from: string | undefined; to: string | undefined } {
  return isLive(view)
    ? { range: view.range, from: undefined, to: undefined }
    : { range: undefined, from: String(Math.round(view.from)), to: String(Math.round(view.to)) };
}

/** Shrink (factor < 1) or widen around `centre`, within sensible bounds and never wholly into the future. */
export function zoomed(view: GraphWindow, factor: number, centre: number, now: number): GraphWindow {
  const { from, to } = extentOf(view, now);
  const span = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, (to - from) * factor));
  const share = (centre - from) / (to - from);
  return held(centre - span * share, span, now);
}

/** Move by a share of what is shown: −0.25 is a quarter to the past. */
export function moved(view: GraphWindow, share: number, now: number): GraphWindow {
  const { from, to } = extentOf(view, now);
  return held(from + (to - from) * share, to - from, now);
}

function held(from: number, span: number, now: number): GraphWindow {
  const to = Math.min(from + span, now);
  return { from: to - span, to };
}
