// The items behind the numbers in a graph's address.

import { readItems } from "../api/calls.ts";
import type { Item } from "../api/types.ts";

const PAGE = 2000;
const MOST_PAGES = 10;

/** Find items by number, looking at the named hosts only when there are any. Numbers not found are left out. */
export async function findItems(wanted: readonly number[], hosts: readonly string[], signal?: AbortSignal): Promise<Item[]> {
  const found = new Map<number, Item>();
  for (const host of hosts.length > 0 ? hosts : [undefined]) {
    let after: string | number | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const answer = await readItems(
        { limit: PAGE, ...(host === undefined ? {} : { host }), ...(after === undefined ? {} : { after }) },
        signal,
      );
      for (const item of answer.items) if (wanted.includes(item.id)) found.set(item.id, item);
      if (answer.next === null || found.size === wanted.length) break;
      after = answer.next;
    }
  }
  return wanted.flatMap((id) => found.get(id) ?? []);
}
