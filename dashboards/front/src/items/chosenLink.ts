// The graph of the items a reader ticked.

import type { Item } from "../api/types.ts";
import { linkTo } from "../route.svelte.ts";

export function chosenLink(items: readonly Item[], chosen: ReadonlySet<number>): string {
  const ticked = items.filter((item) => chosen.has(item.id));
  return linkTo(["graph"], {
    items: ticked.map((item) => item.id).join(","),
    hosts: [...new Set(ticked.map((item) => item.host))].join(","),
  });
}
