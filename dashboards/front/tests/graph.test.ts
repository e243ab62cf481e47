import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChartSeries, figuresOf, valueAt } from "../src/graph/chartSeries.ts";
import { gapsOf, gapThreshold, sharedGaps, withBreaks } from "../src/graph/gaps.ts";
import { keyAction } from "../src/graph/keys.ts";
import { axisRange } from "../src/graph/scale.ts";
import { extentOf, moved, queryOf, windowFrom, zoomed } from "../src/graph/window.ts";

const NOW = 10_000_000_000;
const key = (name: string, shiftKey = false) => ({ key: name, shiftKey, ctrlKey: false, metaKey: false, altKey: false });

function series(at: number[], value: (number | null)[], maximum = value): ChartSeries {
  return { item: 1, label: "", unit: "", colour: 1, at, value, minimum: value, maximum, source: "values", known_since: 0 };
}

test("a stretch several times longer than usual is a gap, also at both edges", () => {
  const at = [20_000, 30_000, 40_000, 90_000, 100_000];
  const threshold = gapThreshold(at, 200_000);
  assert.equal(threshold, 30_000);
  assert.deepEqual(gapsOf(at, -50_000, 140_000, threshold), [
    { from: -50_000, to: 20_000 },
    { from: 40_000, to: 90_000 },
    { from: 100_000, to: 140_000 },
  ]);
});

test("without any data the whole time is one gap", () => {
  assert.deepEqual(gapsOf([], 0, 60_000, gapThreshold([], 60_000)), [{ from: 0, to: 60_000 }]);
});

test("before any of the items was known nothing is missing, and since then what did not come is", () => {
  const at = [100_000, 110_000, 120_000];
  const young = { at, known_since: 99_000 };
  assert.deepEqual(sharedGaps([young], 0, 125_000), []);
  assert.deepEqual(sharedGaps([young, { at: [], known_since: 40_000 }], 0, 125_000), [{ from: 40_000, to: 100_000 }]);
  assert.deepEqual(sharedGaps([{ at, known_since: 500_000 }], 0, 125_000), []); // values may be older than their item
  assert.deepEqual(sharedGaps([{ at: [], known_since: 20_000 }], 0, 60_000), [{ from: 20_000, to: 60_000 }]);
  assert.deepEqual(sharedGaps([{ at: [], known_since: 90_000 }], 0, 60_000), []);
});

test("no line is drawn across a gap", () => {
  const [at, values] = withBreaks([0, 10, 500, 510], [[1, 2, 3, 4]], 30);
  assert.deepEqual(at, [0, 10, 11, 500, 510]);
  assert.deepEqual(values, [1, 2, null, 3, 4]);
});

test("figures count the peaks inside thinned points and only what is in sight", () => {
  const figures = figuresOf(series([0, 10, 20, 30], [1, 2, 3, 50], [1, 9, 3, 50]), 5, 25);
  assert.deepEqual(figures, { last: 3, minimum: 2, mean: 2.5, maximum: 9 });
});

test("reading inside a gap finds no value, shortly after one finds it", () => {
  const one = series([0, 10, 1000], [1, 2, 3]);
  assert.equal(valueAt(one, 25, 30), 2);
  assert.equal(valueAt(one, 500, 30), null);
});

test("an address that makes no sense shows the last quarter of an hour", () => {
  assert.deepEqual(windowFrom(new URLSearchParams("range=3y&from=5&to=1")), { range: "15m" });
});

test("a window survives its own address", () => {
  const view = { from: 1_000_000, to: 2_000_000 };
  const query = new URLSearchParams(Object.entries(queryOf(view)).filter((entry): entry is [string, string] => entry[1] !== undefined));
  assert.deepEqual(windowFrom(query), view);
});

test("zooming in keeps the instant under the cursor where it is", () => {
  const view = extentOf(zoomed({ from: 0, to: 1_000_000 }, 0.5, 250_000, NOW), NOW);
  assert.deepEqual(view, { from: 125_000, to: 625_000 });
});

test("neither zooming out nor moving shows the future", () => {
  assert.equal(extentOf(zoomed({ range: "1h" }, 2, NOW, NOW), NOW).to, NOW);
  assert.equal(extentOf(moved({ from: NOW - 1000, to: NOW }, 0.25, NOW), NOW).to, NOW);
});

test("a nearly full disk does not leave the top of its graph, and percent ends at a hundred", () => {
  assert.deepEqual(axisRange(3, 4, "%"), [0, 5]);
  assert.deepEqual(axisRange(20, 99.9, "%"), [0, 100]);
});

test("a value that hardly moves far from zero is seen to move", () => {
  const [low] = axisRange(1000, 1010, "");
  assert.ok(low > 900);
});

test("keys with Control or Meta stay the browser's", () => {
  assert.equal(keyAction({ ...key("+"), ctrlKey: true }), null);
  assert.deepEqual(keyAction(key("ArrowLeft", true)), { kind: "past" });
  assert.deepEqual(keyAction(key("ArrowLeft")), { kind: "read", step: -1 });
});

test("what is only yes or no has its axis from 0 to 1", () => {
  assert.deepEqual(axisRange(1, 1, ""), [0, 1]);
  assert.deepEqual(axisRange(0, 1, ""), [0, 1]);
});
