import assert from "node:assert/strict";
import { test } from "node:test";
import { changesOf } from "../src/admin/changes.ts";
import { stepText } from "../src/admin/escalationText.ts";
import { counterText } from "../src/health/counterText.ts";

test("a change of a definition shows what differs in words, and not once more what was changed", () => {
  const detail = {
    before: { templates: ["linux-host"], groups: [] },
    after: { templates: ["linux-host", "busy"], groups: [], tags: { rack: "a4", role: "database" } },
    changes: ["update host/db1"],
    lifetime_seconds: 5400,
  };
  assert.deepEqual(changesOf(detail), [
    { field: "templates", before: "linux-host", after: "linux-host, busy" },
    { field: "tags", before: null, after: "rack: a4, role: database" },
    { field: "lifetime", before: null, after: "1\u00a0h 30\u00a0min" },
  ]);
});

test("an escalation's step names its times as the other pages do", () => {
  assert.equal(stepText({ tell: ["anna"], every: "10m" }), "At once: anna, again every 10\u00a0min");
  assert.equal(stepText({ after: "1h30m", tell: ["office"] }), "After 1\u00a0h 30\u00a0min: office");
});

test("a counter that answers a question says yes or no", () => {
  assert.deepEqual(counterText("custody.is_full", 0), { name: "custody full", value: "no" });
  assert.deepEqual(counterText("link.is_up", 1), { name: "link up", value: "yes" });
  assert.deepEqual(counterText("held_bytes", 2048), { name: "held", value: "2\u00a0KiB" });
});
