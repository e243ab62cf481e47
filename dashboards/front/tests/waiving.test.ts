import assert from "node:assert/strict";
import { test } from "node:test";
import type { CoverageState, HostCoverage, ThingCoverage } from "../src/api/coverage.ts";
import { byNeed, dayAhead, nameOf, rowsOf, waiverName } from "../src/backups/waiving.ts";

const standing = (state: CoverageState) => ({ state, reason: "", by: null, good_at: null, waiver: null });
const thing = (name: string, state: CoverageState = "covered"): ThingCoverage => ({ kind: "database", name, title: `database ${name}`, ...standing(state) });
const host = (name: string, state: CoverageState, ...things: ThingCoverage[]): HostCoverage => ({ host: name, ...standing(state), things, unknown: [] });

test("a waiver's day is counted by UTC", () => {
  assert.equal(dayAhead(0, Date.parse("2026-11-30T23:59:00Z")), "2026-11-30");
  assert.equal(dayAhead(90, Date.parse("2026-11-30T00:00:00Z")), "2027-02-28");
});

test("what is not backed up comes first, then by name as people count, hosts before what they hold", () => {
  const found = byNeed(
    rowsOf([
      host("web10", "covered"),
      host("b", "waived"),
      host("web2", "covered", thing("crm", "unprotected"), thing("shop")),
      host("z", "unprotected"),
      host("n", "new", thing("x", "unknown")),
    ]),
  );
  assert.deepEqual(found.map(nameOf), ["database crm on web2", "z", "database x on n", "n", "b", "web2", "database shop on web2", "web10"]);
});

test("a waiver of another thing has another name, and all are names of definitions", () => {
  assert.equal(waiverName("db1", null, "2027-03-31"), "db1-2027-03-31");
  assert.equal(waiverName("db1", thing("my shop!"), "2027-03-31"), "db1-database-my-shop-2027-03-31");
  assert.match(waiverName("h".repeat(128), thing("-".repeat(200)), "2027-03-31"), /^[A-Za-z0-9][A-Za-z0-9._-]{0,126}[A-Za-z0-9]$/);
});
