// In which order items are listed. Pure.

import type { Item } from "../api/types.ts";

const FIRST = ["cpu", "memory", "filesystem"];

function rankOf(item: Item): number {
  const probe = item.name.split(".")[0] ?? "";
  if (probe === "agent") return FIRST.length + 1;
  const place = FIRST.indexOf(probe);
  return place < 0 ? FIRST.length : place;
}

/** Processor, memory and file systems first, what agents say of themselves last; else as they came. */
export function itemsInOrder(items: readonly Item[]): Item[] {
  return items.toSorted((one, other) => rankOf(one) - rankOf(other));
}
