import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "../src/api/types.ts";
import { doneSteps, type Found } from "../src/start/progress.ts";

function host(name: string, last_at: string | null): Host {
  return { id: 0, name, state: "up", templates: [], problems: {}, items: 1, last_at, summary: {} };
}

const NOTHING: Found = { hosts: [host("here", "2026-01-01T00:00:00Z")], problems: [], receivers: [], tests: [], sets: [], restorations: [] };

test("a new installation has done none of the first steps", () => {
  assert.deepEqual(doneSteps(NOTHING), { host: false, message: false, backup: false, restore: false });
});

test("a second host counts once its values came, not when it is only defined", () => {
  assert.equal(doneSteps({ ...NOTHING, hosts: [...NOTHING.hosts, host("there", null)] }).host, false);
  assert.equal(doneSteps({ ...NOTHING, hosts: [...NOTHING.hosts, host("there", "2026-01-01T00:00:00Z")] }).host, true);
});

test("parts this server lacks, or the reader may not see, are not taken for done", () => {
  assert.deepEqual(doneSteps({ ...NOTHING, receivers: null, tests: null, sets: null, restorations: null }), doneSteps(NOTHING));
});
