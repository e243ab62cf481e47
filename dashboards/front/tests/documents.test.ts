import assert from "node:assert/strict";
import { test } from "node:test";
import { documentText } from "../src/items/documentText.ts";

test("a document is told by its first members, a list by its length", () => {
  assert.equal(documentText({ state: "ready", queue: 3, jobs: [1], last: { id: 7 }, none: null }), "{ state: ready, queue: 3, jobs: […], last: {…}, none: null }");
  assert.equal(documentText([1]), "[ 1\u00a0entry ]");
  assert.equal(documentText([]), "[ 0\u00a0entries ]");
  assert.equal(documentText({}), "{ }");
});

test("what is long is cut", () => {
  const text = documentText({ first: "x".repeat(200), second: 2 });
  assert.ok(text.length < 90 && text.endsWith("…, … }"), text);
});
