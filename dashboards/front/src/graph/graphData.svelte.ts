// The values behind graphs: read for a window, then kept growing by the live feed.

import { onDestroy, untrack } from "svelte";
import { readHistory } from "../api/calls.ts";
import { type MissingTime, readMissing } from "../api/ledger.ts";
import { faultFrom } from "../api/poll.svelte.ts";
import type { Fault } from "../api/request.ts";
import type { Series } from "../api/types.ts";
import { clock } from "../live/clock.svelte.ts";
import { feed, type Point } from "../live/feed.svelte.ts";
import { extentOf, type GraphWindow, isLive, RANGES } from "./window.ts";

const MOST_ITEMS_ASKED = 20; // an address stays short, and one slow item does not hold the others up
const LEAST_REREAD_MS = 60_000;

export interface GraphRequest {
  items: readonly number[];
  view: GraphWindow;
  points: number;
}

/** Reads what `request` says and again when it changes; call it while the component is being set up. */
export class GraphData {
  series = $state.raw<ReadonlyMap<number, Series>>(new Map());
  /** Times in which records that may speak of the items are missing, ascending. */
  missing = $state.raw<readonly MissingTime[]>([]);
  fault = $state.raw<Fault | null>(null);
  isReading = $state(false);
  #arrived: [number, Point][] = [];
  #running: AbortController | null = null;

  constructor(request: () => GraphRequest) {
    const key = $derived(JSON.stringify(request()));
    $effect(() => {
      const { items, view, points } = JSON.parse(key) as GraphRequest;
      void feed.returns; // values were missed while the link was lost
      const read = (): void => void this.#read(items, view, points);
      untrack(read);
      if (!isLive(view)) return;
      // Read again now and then, so that a long live graph stays thinned.
      const timer = setInterval(read, Math.max(LEAST_REREAD_MS, RANGES[view.range] / 100));
      return () => clearInterval(timer);
    });
    const watched = $derived(JSON.stringify(isLive(request().view) ? request().items : []));
    $effect(() => {
      const items = JSON.parse(watched) as number[];
      return items.length > 0 ? feed.watchValues(items, (item, points) => this.#append(item, points)) : undefined;
    });
    onDestroy(() => this.#running?.abort());
  }

  async #read(items: readonly number[], view: GraphWindow, points: number): Promise<void> {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    const { from, to } = extentOf(view, Date.now());
    this.isReading = true;
    this.#arrived = [];
    try {
      const groups: number[][] = [];
      for (let place = 0; place < items.length; place += MOST_ITEMS_ASKED) groups.push(items.slice(place, place + MOST_ITEMS_ASKED));
      const [read, missing] = await Promise.all([
        Promise.all(groups.map((group) => readHistory(group, from, to, points, running.signal))),
        Promise.all(groups.map((group) => readMissing(group, from, to, running.signal))),
      ]);
      if (running.signal.aborted) return;
      this.missing = distinct(missing.flat());
      const series = new Map(read.flat().map((one) => [one.item, one]));
      for (const [item, point] of this.#arrived) grow(series, item, [point]);
      this.series = series;
      this.fault = null;
    } catch (error) {
      if (!running.signal.aborted) this.fault = faultFrom(error);
    } finally {
      if (this.#running === running) this.isReading = false;
    }
  }

  #append(item: number, points: Point[]): void {
    if (this.isReading) for (const point of points) this.#arrived.push([item, point]);
    const series = new Map(this.series);
    if (grow(series, item, points)) this.series = series;
    if (points.some(([at]) => at > clock.now)) clock.now = Date.now();
  }
}

/** Groups of items share their sources. */
function distinct(missing: readonly MissingTime[]): MissingTime[] {
  const known = new Map(missing.map((one) => [`${one.source} ${one.fate} ${one.begin} ${one.end}`, one]));
  return [...known.values()].sort((one, other) => one.begin - other.begin);
}

/** Put newer points behind a series; whether anything was new. */
function grow(all: Map<number, Series>, item: number, points: readonly Point[]): boolean {
  const old = all.get(item);
  if (!old) return false;
  const last = old.at.at(-1) ?? -Infinity;
  const fresh = points.filter((point): point is [number, number] => point[0] > last && typeof point[1] === "number");
  if (fresh.length === 0) return false;
  const values = fresh.map(([, value]) => value);
  all.set(item, {
    ...old,
    at: [...old.at, ...fresh.map(([at]) => at)],
    value: [...old.value, ...values],
    minimum: [...old.minimum, ...values],
    maximum: [...old.maximum, ...values],
  });
  return true;
}
