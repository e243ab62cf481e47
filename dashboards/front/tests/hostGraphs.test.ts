import assert from "node:assert/strict";
import { test } from "node:test";
import type { Item } from "../src/api/types.ts";
import { graphsFor, shortLabel } from "../src/graph/hostGraphs.ts";

let last = 0;
function item(name: string, unit = "", parameter: string | null = null, value: Item["value"] = 1): Item {
  last += 1;
  return { id: last, host: "db1", key: name, name, parameter, type: "number", unit, description: "", value, at: null };
}

const shape = (items: readonly Item[]): [string, string[]][] =>
  graphsFor(items).map((graph) => [graph.title, graph.items.map(shortLabel)]);

test("known items come first, in their graphs", () => {
  const items = [item("shop.orders"), item("cpu.user", "%"), item("memory.used_percent", "%"), item("cpu.busy", "%")];
  assert.deepEqual(shape(items), [
    ["Processor", ["busy", "user"]],
    ["Memory", ["memory"]],
    ["Shop", ["orders"]],
  ]);
});

test("what a template adds is drawn by probe and unit, and text not at all", () => {
  const items = [item("shop.orders", "1/s"), item("shop.paid", "1/s"), item("shop.stock"), item("shop.note", "", null, "open")];
  assert.deepEqual(shape(items), [
    ["Shop", ["stock"]],
    ["Shop in 1/s", ["orders", "paid"]],
  ]);
});

test("more lines than can be told apart make a further graph", () => {
  const items = Array.from({ length: 8 }, (_, place) => item("queue.length", "", `q${place + 1}`));
  assert.deepEqual(graphsFor(items).map((graph) => [graph.title, graph.items.length]), [["Queue, part 1", 6], ["Queue, part 2", 2]]);
});

test("virtual interfaces are left out as long as there are others", () => {
  assert.deepEqual(shape([item("network.received", "B/s", "lo"), item("network.received", "B/s", "eth0")]), [["Network", ["eth0 received"]]]);
  assert.deepEqual(shape([item("network.received", "B/s", "lo")]), [["Network", ["lo received"]]]);
});

test("what an agent says of itself is no graph of the host", () => {
  assert.deepEqual(shape([item("agent.memory", "B"), item("cpu.context_switches", "1/s")]), []);
});

test("a device's traffic comes first, in beside out of an interface, and titles say what is measured", () => {
  const items = ["eth0", "eth1", "eth2", "eth3"].flatMap((name) => [
    item("snmp.interface.in_errors_rate", "1/s", name),
    item("snmp.interface.out_octets_rate", "B/s", name),
    item("snmp.interface.in_octets_rate", "B/s", name),
  ]);
  assert.deepEqual(shape(items), [
    ["Interface traffic, eth0 to eth2", ["eth0 in", "eth0 out", "eth1 in", "eth1 out", "eth2 in", "eth2 out"]],
    ["Interface traffic, eth3", ["eth3 in", "eth3 out"]],
    ["Interface errors", ["eth0 in", "eth1 in", "eth2 in", "eth3 in"]],
  ]);
});
