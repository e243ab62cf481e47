// Items whose newest values follow the live feed.

import { SvelteMap } from "svelte/reactivity";
import type { Item, Value } from "../api/types.ts";
import { msOf } from "../format/time.ts";
import { feed } from "../live/feed.svelte.ts";

export interface Latest {
  value: Value | null;
  at: number | null;
}

/** Newest values by item; call it while the component is being set up. */
export class LiveValues {
  #newer = new SvelteMap<number, Latest>();

  constructor(items: () => readonly Item[]) {
    const watched = $derived(JSON.stringify(items().map((item) => item.id)));
    $effect(() => {
      const ids = JSON.parse(watched) as number[];
      if (ids.length === 0) return;
      return feed.watchValues(ids, (item, points) => {
        const last = points.at(-1);
        if (last) this.#newer.set(item, { at: last[0], value: last[1] });
      });
    });
  }

  /** What is newest: the item as it was read, or what the feed brought since. */
  of(item: Item): Latest {
    const read = { value: item.value, at: item.at === null ? null : msOf(item.at) };
    const newer = this.#newer.get(item.id);
    return newer && (newer.at ?? 0) >= (read.at ?? 0) ? newer : read;
  }
}
