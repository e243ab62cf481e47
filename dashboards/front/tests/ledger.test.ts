import assert from "node:assert/strict";
import { test } from "node:test";
import type { MissingTime } from "../src/api/ledger.ts";
import { shadesOf } from "../src/graph/shades.ts";
import { gapsInOrder, isWhole, sumOf } from "../src/ledger/fates.ts";

const missing = (fate: MissingTime["fate"], begin: number, end: number): MissingTime => ({ fate, source: "a", begin, end, records: 1 });

test("where the ledger knows what became of records, a time without data is not unknown", () => {
  const shades = shadesOf([{ from: 0, to: 100 }, { from: 200, to: 250 }], [missing("lost", 20, 40), missing("lost", 30, 60)]);
  assert.deepEqual(shades, [
    { from: 0, to: 20, kind: "unknown" },
    { from: 60, to: 100, kind: "unknown" },
    { from: 200, to: 250, kind: "unknown" },
    { from: 20, to: 60, kind: "lost" },
  ]);
});

test("records lost between values are shaded too, and what is lost is drawn over what may still come", () => {
  const shades = shadesOf([], [missing("lost", 20, 21), missing("open", 20, 21), missing("refused", 20, 21)]);
  assert.deepEqual(shades.map((shade) => shade.kind), ["open", "refused", "lost"]);
});

test("counts of lives add up and only what is not stored makes them not whole", () => {
  const counts = { in_time: 5, late: 1, replayed: 2, lost: 0, refused: 0, open: 0 };
  assert.deepEqual(sumOf([counts, { ...counts, lost: 3 }]), { in_time: 10, late: 2, replayed: 4, lost: 3, refused: 0, open: 0 });
  assert.equal(isWhole(counts), true);
  assert.equal(isWhole({ ...counts, open: 1 }), false);
});

test("gaps come the newest first, those nobody knows the time of last", () => {
  const gap = (first: number, before: string | null) => ({ fate: "lost" as const, first, last: first, after: null, before, reason: "" });
  const life = { boot: "1", begun_at: "", heard_at: "", is_closed: false, last_number: 9, more_gaps: 0, counts: sumOf([]) };
  const gaps = [gap(1, null), gap(3, "2026-01-01T00:00:00Z"), gap(5, "2026-01-02T00:00:00Z")];
  assert.deepEqual(gapsInOrder([{ name: "a", lives: [{ ...life, gaps }] }]).map((one) => one.first), [5, 3, 1]);
});
