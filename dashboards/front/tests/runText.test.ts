import assert from "node:assert/strict";
import { test } from "node:test";
import type { OrderedRun } from "../src/api/backups.ts";
import { isOpen, runText } from "../src/backups/runText.ts";

const run = (more: Partial<OrderedRun>): OrderedRun => ({
  id: 1, due_at: "", ordered_by: "anna", ordered_at: "", state: "ordered", phase: null, note: "", cancelled_by: null, answered_at: null, ...more,
});

test("a run under way says what it does, and that it is being cancelled", () => {
  assert.equal(runText(run({}), "web1"), "Ordered; web1 has not begun yet …");
  assert.equal(runText(run({ state: "started", phase: "comparing" }), "web1"), "Under way: comparing …");
  assert.equal(runText(run({ state: "started", cancelled_by: "bert" }), "web1"), "Being cancelled …");
});

test("a run that has ended says how and why", () => {
  assert.equal(runText(run({ state: "failed", note: "the target is full" }), "web1"), "Failed: the target is full");
  assert.equal(runText(run({ state: "cancelled", cancelled_by: "bert" }), "web1"), "Cancelled");
  assert.equal(isOpen(run({ state: "ok" })), false);
});
