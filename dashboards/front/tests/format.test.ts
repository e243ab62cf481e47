import assert from "node:assert/strict";
import { test } from "node:test";
import { counted, durationText, valueText } from "../src/format/number.ts";
import { ageText, agoText } from "../src/format/time.ts";

const plain = (text: string): string => text.replace(/[\u00a0\u202f]/g, " ");

test("bytes are shown in the largest unit that keeps the figure above one", () => {
  assert.equal(plain(valueText(0, "B")), "0 B");
  assert.equal(plain(valueText(1023, "B")), "1 023 B");
  assert.equal(plain(valueText(1024, "B")), "1 KiB");
  assert.equal(plain(valueText(16 * 2 ** 30, "B")), "16 GiB");
  assert.equal(plain(valueText(1.5 * 2 ** 20, "B/s")), "1.5 MiB/s");
});

test("a value just below the next unit is not shown as 1024 of the smaller one", () => {
  assert.equal(plain(valueText(2 ** 30 - 1, "B")), "1 GiB");
});

test("percentages keep one digit, and a hundred is whole", () => {
  assert.equal(plain(valueText(0, "%")), "0.0 %");
  assert.equal(plain(valueText(96.44, "%")), "96.4 %");
  assert.equal(plain(valueText(100, "%")), "100 %");
});

test("seconds become words people use", () => {
  assert.equal(plain(valueText(0.0031, "s")), "3.1 ms");
  assert.equal(plain(valueText(3 * 86_400 + 4 * 3600 + 59, "s")), "3 d 4 h");
  assert.equal(plain(durationText(59.6)), "1 min");
});

test("what is missing is a dash, what is text stays text", () => {
  assert.equal(valueText(null, "B"), "–");
  assert.equal(valueText(Number.NaN, ""), "–");
  assert.equal(valueText("Debian 13", ""), "Debian 13");
});

test("ages claim no false precision, and a future instant is said to be one", () => {
  assert.equal(plain(ageText(59.9)), "59 s");
  assert.equal(plain(ageText(3599)), "59 min");
  assert.equal(plain(ageText(90_061)), "1 d 1 h");
  assert.equal(plain(agoText(0, 400)), "now");
  assert.equal(plain(agoText(600_000, 0)), "in 10 min");
});

test("one is one, and everything else is many", () => {
  assert.equal(plain(counted(1, "file")), "1 file");
  assert.equal(plain(counted(0, "restore point")), "0 restore points");
  assert.equal(plain(counted(2, "entry", "entries")), "2 entries");
  assert.equal(plain(counted(1, "entry", "entries")), "1 entry");
});
