// The window a page's graphs share: kept in the address, so that Back undoes a zoom and a link gives the same view.

import { clock } from "../live/clock.svelte.ts";
import { route } from "../route.svelte.ts";
import { extentOf, type GraphWindow, isLive, moved, queryOf, type RangeName, RANGES, windowFrom, zoomed } from "./window.ts";

export type GraphAction = "in" | "out" | "past" | "future" | "live";
const SLOW_MS = 10_000;

export class GraphView {
  readonly view = $derived(windowFrom(route.place.query));
  /** What is shown now; a live window moves every second, a long one every ten. */
  readonly extent = $derived.by(() => {
    if (!isLive(this.view)) return this.view;
    const isSlow = RANGES[this.view.range] > RANGES["1h"];
    return extentOf(this.view, isSlow ? Math.ceil(clock.now / SLOW_MS) * SLOW_MS : clock.now);
  });
  /** The instant under the cursor. */
  reading = $state<number | null>(null);
  #lastRange: RangeName = "15m";

  choose = (view: GraphWindow): void => {
    if (isLive(this.view)) this.#lastRange = this.view.range;
    route.ask(queryOf(view), false);
  };

  zoom = (from: number, to: number): void => this.choose({ from, to });

  read = (instant: number | null): void => {
    this.reading = instant;
  };

  act = (action: GraphAction, centre?: number): void => {
    const now = Date.now();
    const { from, to } = extentOf(this.view, now);
    const middle = centre ?? (from + to) / 2;
    switch (action) {
      case "in":
        return this.choose(zoomed(this.view, 0.5, middle, now));
      case "out":
        return this.choose(zoomed(this.view, 2, middle, now));
      case "past":
        return this.choose(moved(this.view, -0.25, now));
      case "future":
        return this.choose(moved(this.view, 0.25, now));
      case "live":
        if (!isLive(this.view)) this.choose({ range: this.#lastRange });
    }
  };
}
