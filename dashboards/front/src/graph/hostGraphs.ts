// Which graphs a host's page shows: known ones first, then one for what belongs together by its probe and unit. Pure.

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
  { title: "Disk traffic", names: ["disk.read", "disk.written"], most: 6 },
  { title: "Disks busy", names: ["disk.busy"], most: 6 },
  { title: "Waiting for disks", names: ["disk.wait"], most: 6 },
  { title: "Age of backups", names: ["backup.age_seconds"], most: 6 },
];
// What the known graphs leave out of these probes says little at a glance; it is in the latest data. Backups have their page.
const TOLD_ALREADY = new Set(["agent", "backup", "cpu", "disk", "filesystem", "host", "memory", "network", "processes", "swap", "users"]);
const MOST_LINES = 6;
// What a device tells of its interfaces, by what is measured and not by the unit, in this order.
const INTERFACES: readonly { title: string; names: RegExp }[] = [
  { title: "Interface traffic", names: /^snmp\.interface\.(in|out)_octets_rate$/ },
  { title: "Interface packets", names: /^snmp\.interface\.(in|out)_packets_rate$/ },
  { title: "Interface errors", names: /^snmp\.interface\.(in|out)_errors_rate$/ },
  { title: "Interface packets dropped", names: /^snmp\.interface\.(in|out)_discards_rate$/ },
  { title: "Interface state", names: /^snmp\.interface\.(wanted_)?state$/ },
  { title: "Interface speed", names: /^snmp\.interface\.speed$/ },
];

/** Known graphs with at least one item, in a fixed order; then those of other probes, by name. */
export function graphsFor(items: readonly Item[]): HostGraph[] {
  const numeric = items.filter((item) => typeof item.value !== "string");
  return [...knownGraphs(numeric), ...interfaceGraphs(numeric), ...otherGraphs(numeric)];
}

/** Items in the recipe's order, then by parameter. */
function knownGraphs(items: readonly Item[]): HostGraph[] {
  return RECIPES.map(({ title, names, most, leave }) => {
    const fitting = items
      .filter((item) => names.includes(item.name))
      .sort((one, other) => byParameter(one, other) || names.indexOf(one.name) - names.indexOf(other.name));
    const wanted = fitting.filter((item) => !leave?.test(item.parameter ?? ""));
    return { title, items: (wanted.length > 0 ? wanted : fitting).slice(0, most) };
  }).filter((graph) => graph.items.length > 0);
}

/** In and out of an interface side by side; a graph that is one of several names its interfaces. */
function interfaceGraphs(items: readonly Item[]): HostGraph[] {
  return INTERFACES.flatMap(({ title, names }) => {
    const fitting = items.filter((item) => names.test(item.name)).sort((one, other) => byParameter(one, other) || one.name.localeCompare(other.name));
    const parts = Array.from({ length: Math.ceil(fitting.length / MOST_LINES) }, (_, place) => fitting.slice(place * MOST_LINES, (place + 1) * MOST_LINES));
    return parts.map((part) => ({ title: parts.length === 1 ? title : `${title}, ${spanOf(part)}`, items: part }));
  });
}

function spanOf(part: readonly Item[]): string {
  const [first, last] = [part[0]?.parameter ?? "", part.at(-1)?.parameter ?? ""];
  return first === last ? first : `${first} to ${last}`;
}

/** One graph for each probe's items of one unit; more lines than can be told apart make a further graph. */
function otherGraphs(items: readonly Item[]): HostGraph[] {
  const groups = new Map<string, { title: string; items: Item[] }>();
  for (const item of items) {
    const probe = item.name.split(".")[0] ?? item.name;
    if (TOLD_ALREADY.has(probe) || INTERFACES.some(({ names }) => names.test(item.name))) continue;
    const key = `${probe} ${item.unit}`;
    const group = groups.get(key) ?? { title: titleOf(probe, item.unit), items: [] };
    group.items.push(item);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap(split).sort((one, other) => one.title.localeCompare(other.title, undefined, { numeric: true }));
}

function split({ title, items }: HostGraph): HostGraph[] {
  const sorted = items.toSorted((one, other) => one.name.localeCompare(other.name) || byParameter(one, other));
  const count = Math.ceil(sorted.length / MOST_LINES);
  return Array.from({ length: count }, (_, place) => ({
    title: count === 1 ? title : `${title}, part ${place + 1}`,
    items: sorted.slice(place * MOST_LINES, (place + 1) * MOST_LINES),
  }));
}

function titleOf(probe: string, unit: string): string {
  const word = probe.replaceAll("_", " ");
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}${unit ? ` in ${unit}` : ""}`;
}

const byParameter = (one: Item, other: Item): number =>
  (one.parameter ?? "").localeCompare(other.parameter ?? "", undefined, { numeric: true });

/** An item's short name inside a graph whose title says the rest: "user", "eth0 received", "/". */
export function shortLabel(item: Item): string {
  const way = /^snmp\.interface\.(.+?)(_rate)?$/.exec(item.name)?.[1];
  if (way) return `${item.parameter ?? ""} ${way.replace(/_(octets|packets|errors|discards)$/, "").replaceAll("_", " ")}`.trim();
  const action = item.name.split(".").slice(1).join(" ").replaceAll("_", " ") || item.name;
  if (["filesystem.used_percent", "disk.busy", "disk.wait", "backup.age_seconds"].includes(item.name)) return item.parameter ?? item.name;
  if (item.name.endsWith(".used_percent")) return item.name.split(".")[0] ?? item.name;
  return item.parameter ? `${item.parameter} ${action}` : action;
}
