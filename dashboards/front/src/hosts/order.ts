// Which hosts are shown and in which order; pure.

import type { Host } from "../api/types.ts";
import { countOf, weightOf } from "../problems/severity.ts";

export const COLUMNS = ["name", "problems", "cpu", "memory", "disk", "seen"] as const;
export type Column = (typeof COLUMNS)[number];
export type Shown = "all" | "problems" | "silent";

export interface Order {
  column: Column;
  isDown: boolean;
}

/** What a column sorts by; bigger is worse or more. */
const KEYS: Record<Exclude<Column, "name">, (host: Host) => number> = {
  problems: (host) => weightOf(host.problems) + (host.state === "silent" ? 0.5 : 0),
  cpu: (host) => host.summary.cpu_busy ?? -1,
  memory: (host) => host.summary.memory_used_percent ?? -1,
  disk: (host) => host.summary.disk_used_percent ?? -1,
  seen: (host) => (host.last_at === null ? 0 : Date.parse(host.last_at)),
};

const byName = (one: Host, other: Host): number => one.name.localeCompare(other.name, undefined, { numeric: true });

/** Sort by a column, then by name. `isDown`: the biggest first (for names: Z first). */
export function sorted(hosts: readonly Host[], { column, isDown }: Order): Host[] {
  const sign = isDown ? -1 : 1;
  if (column === "name") return hosts.toSorted((one, other) => sign * byName(one, other));
  const key = KEYS[column];
  return hosts.toSorted((one, other) => sign * (key(one) - key(other)) || byName(one, other));
}

/** Every word of the search must be in the name or in a template's name. */
export function filtered(hosts: readonly Host[], search: string, shown: Shown): Host[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return hosts.filter((host) => {
    if (shown === "problems" && countOf(host.problems) === 0) return false;
    if (shown === "silent" && host.state === "up") return false;
    const text = `${host.name} ${host.templates.join(" ")}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
