import assert from "node:assert/strict";
import { test } from "node:test";
import { byNeed, dayAhead } from "../src/backups/waiving.ts";

test("a waiver's day is counted by UTC", () => {
  assert.equal(dayAhead(0, Date.parse("2026-11-30T23:59:00Z")), "2026-11-30");
  assert.equal(dayAhead(90, Date.parse("2026-11-30T00:00:00Z")), "2027-02-28");
});

test("what is not backed up comes first, then by name as people count", () => {
  const one = (host: string, state: "covered" | "waived" | "new" | "unprotected") => ({ host, state, reason: "", by: null, good_at: null, waiver: null });
  const found = byNeed([one("web10", "covered"), one("b", "waived"), one("web2", "covered"), one("z", "unprotected"), one("n", "new")]);
  assert.deepEqual(found.map((each) => each.host), ["z", "n", "b", "web2", "web10"]);
});
