import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "../src/api/types.ts";
import { filtered, sorted } from "../src/hosts/order.ts";
import { nextDelay } from "../src/live/backoff.ts";

function host(name: string, problems: Host["problems"], state: Host["state"] = "up"): Host {
  return { id: 0, name, state, templates: ["linux-host"], problems, items: 0, last_at: null, summary: {} };
}

const names = (hosts: readonly Host[]): string[] => hosts.map((one) => one.name);

test("one disaster outweighs any number of milder problems; silent hosts come before well ones", () => {
  const hosts = [host("well", {}), host("many", { warning: 80, high: 40 }), host("silent", {}, "silent"), host("worst", { disaster: 1 })];
  assert.deepEqual(names(sorted(hosts, { column: "problems", isDown: true })), ["worst", "many", "silent", "well"]);
});

test("names are sorted as people count", () => {
  assert.deepEqual(names(sorted([host("db10", {}), host("db2", {})], { column: "name", isDown: false })), ["db2", "db10"]);
});

test("every word of a search must be found, in name or template", () => {
  const hosts = [host("db1", {}), host("web1", {})];
  assert.deepEqual(names(filtered(hosts, "linux DB", "all")), ["db1"]);
  assert.deepEqual(names(filtered(hosts, "db web", "all")), []);
});

test("a host not heard is found by its choice, whether silent or unknown", () => {
  const hosts = [host("a", {}), host("b", {}, "silent"), host("c", {}, "unknown")];
  assert.deepEqual(names(filtered(hosts, "", "silent")), ["b", "c"]);
});

test("a lost link is tried again ever later, never later than twenty seconds, and not by all pages at once", () => {
  let delay = 0;
  for (let tries = 0; tries < 20; tries += 1) delay = nextDelay(delay, 0.999);
  assert.ok(delay > 15_000 && delay <= 20_000);
  assert.notEqual(nextDelay(5000, 0.1), nextDelay(5000, 0.9));
});
