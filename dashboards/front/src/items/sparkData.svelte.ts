// The last hour of the items in a table, read in a few questions and again every minute.

import { readHistory } from "../api/calls.ts";
import type { Item, Series } from "../api/types.ts";

const HOUR_MS = 3_600_000;
const POINTS = 48;
const AT_ONCE = 20;
const MOST = 100;

/** Lines for the first hundred numeric items; a missing line is no fault worth a word. */
export class SparkData {
  series = $state.raw<ReadonlyMap<number, Series>>(new Map());
  to = $state(Date.now());

  constructor(items: () => readonly Item[]) {
    const wanted = $derived(
      JSON.stringify(
        items()
          .filter((item) => typeof item.value === "number")
          .slice(0, MOST)
          .map((item) => item.id),
      ),
    );
    $effect(() => {
      const ids = JSON.parse(wanted) as number[];
      const running = new AbortController();
      const read = (): void => void this.#read(ids, running.signal);
      read();
      const timer = setInterval(read, 60_000);
      return () => {
        running.abort();
        clearInterval(timer);
      };
    });
  }

  async #read(ids: readonly number[], signal: AbortSignal): Promise<void> {
    const to = Date.now();
    const found = new Map<number, Series>();
    for (let place = 0; place < ids.length; place += AT_ONCE) {
      const read = await readHistory(ids.slice(place, place + AT_ONCE), to - HOUR_MS, to, POINTS, signal).catch(() => []);
      if (signal.aborted) return;
      for (const one of read) found.set(one.item, one);
    }
    this.to = to;
    this.series = found;
  }
}
