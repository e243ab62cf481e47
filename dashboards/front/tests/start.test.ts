import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackupSet } from "../src/api/backups.ts";
import type { Host, Problem } from "../src/api/types.ts";
import { doneSteps, type Found } from "../src/start/progress.ts";

function host(name: string, last_at: string | null): Host {
  return { id: 0, name, state: "up", templates: [], problems: {}, items: 1, last_at, summary: {} };
}

const NOTHING: Found = { hosts: [host("here", "2026-01-01T00:00:00Z")], problems: [], receivers: [], sets: [], restorations: [] };

test("a new installation has done none of the first steps", () => {
  assert.deepEqual(doneSteps(NOTHING, false), { host: false, message: false, backup: false, restore: false });
});

test("a second host counts once its values came, not when it is only defined", () => {
  assert.equal(doneSteps({ ...NOTHING, hosts: [...NOTHING.hosts, host("there", null)] }, false).host, false);
  assert.equal(doneSteps({ ...NOTHING, hosts: [...NOTHING.hosts, host("there", "2026-01-01T00:00:00Z")] }, false).host, true);
});

test("parts this server lacks, or the reader may not see, are not taken for done", () => {
  assert.deepEqual(doneSteps({ ...NOTHING, receivers: null, sets: null, restorations: null }, false), doneSteps(NOTHING, false));
});

test("a message counts when it arrived: one about a problem, or a test whose taking was seen", () => {
  const told = { receiver: "ann", media: "email", state: "failed", at: null, attempts: 1, error: "no answer" };
  const problem: Problem = {
    id: 1, host: "here", trigger: "t", name: "n", severity: "high", parameter: "", opened_at: "2026-01-01T00:00:00Z",
    resolved_at: null, value: null, unit: null, told: [told],
  };
  assert.equal(doneSteps({ ...NOTHING, problems: [problem] }, false).message, false);
  assert.equal(doneSteps({ ...NOTHING, problems: [{ ...problem, told: [told, { ...told, state: "sent" }] }] }, false).message, true);
  assert.equal(doneSteps(NOTHING, true).message, true);
});

test("a backup counts once something can be restored from it, not when a set is only there", () => {
  const run = { status: "never" as const, at: null, kind: null, size_bytes: null, stored_bytes: null, duration_seconds: null, error: null };
  const set: BackupSet = {
    host: "here", set: "files", last_run: run, age_seconds: null, overdue_seconds: null, good_at: null, restore_points: null,
    proven_at: null, drill: null, verification: null, loss_seconds: null, loss_over_seconds: null,
    waiting_seconds: 0, queued_seconds: 0, is_unplaced: false, reminder: null,
  };
  assert.equal(doneSteps({ ...NOTHING, sets: [set] }, false).backup, false);
  assert.equal(doneSteps({ ...NOTHING, sets: [{ ...set, restore_points: 1 }] }, false).backup, true);
});
