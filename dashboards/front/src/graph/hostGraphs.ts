// Which graphs a host's page shows, from the items the host has. Pure.

import type { Item } from "../api/types.ts";

export interface HostGraph {
  title: string;
  items: Item[];
}

interface Recipe {
  title: string;
  names: readonly string[];
  most: number;
  leave?: RegExp;
}

const RECIPES: readonly Recipe[] = [
  { title: "Processor", names: ["cpu.busy", "cpu.user", "cpu.system", "cpu.iowait"], most: 4 },
  { title: "Memory", names: ["memory.used_percent", "swap.used_percent"], most: 2 },
  { title: "Disk space used", names: ["filesystem.used_percent"], most: 6 },
  { title: "Network", names: ["network.received", "network.sent"], most: 6, leave: /^(lo|veth.*|docker.*|br-.*)$/ },
  { title: "Load", names: ["cpu.load1", "cpu.load5", "cpu.load15"], most: 3 },
  { title: "Processes", names: ["processes.running", "processes.blocked"], most: 2 },
];

/** Graphs with at least one item, in a fixed order; items in the recipe's order, then by parameter. */
export function graphsFor(items: readonly Item[]): HostGraph[] {
  return RECIPES.map(({ title, names, most, leave }) => {
    const fitting = items
      .filter((item) => names.includes(item.name) && typeof item.value !== "string")
      .sort(
        (one, other) =>
          (one.parameter ?? "").localeCompare(other.parameter ?? "") || names.indexOf(one.name) - names.indexOf(other.name),
      );
    const wanted = fitting.filter((item) => !leave?.test(item.parameter ?? ""));
    return { title, items: (wanted.length > 0 ? wanted : fitting).slice(0, most) };
  }).filter((graph) => graph.items.length > 0);
}

/** An item's short name inside a graph whose title says the rest: "user", "eth0 received", "/". */
export function shortLabel(item: Item): string {
  const action = item.name.split(".").at(-1)?.replaceAll("_", " ") ?? item.name;
  if (item.name === "filesystem.used_percent") return item.parameter ?? item.name;
  if (item.name.endsWith(".used_percent")) return item.name.split(".")[0] ?? item.name;
  return item.parameter ? `${item.parameter} ${action}` : action;
}
