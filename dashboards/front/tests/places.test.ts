import assert from "node:assert/strict";
import { test } from "node:test";
import { changesOf } from "../src/admin/changes.ts";
import { conditionsText, stepText } from "../src/admin/escalationText.ts";
import { randomPassword } from "../src/admin/randomPassword.ts";
import { isEnough } from "../src/roles.ts";
import { placesFor, sectionsFor } from "../src/shell/places.ts";

const paths = (who: Parameters<typeof placesFor>[0]): string[] => placesFor(who).map((place) => place.path);
const sections = (who: Parameters<typeof placesFor>[0]): string[] => sectionsFor(who).map((section) => section.path);

test("a higher role may do all that a lower one may; a role unknown here may only look", () => {
  assert.ok(isEnough("administrator", "operator"));
  assert.ok(!isEnough("viewer", "operator"));
  assert.ok(isEnough("auditor", "viewer") && !isEnough("auditor", "operator"));
});

test("what somebody may not enter is not offered", () => {
  assert.deepEqual(sections({ role: "administrator", groups: null }), ["keys", "receivers", "users", "tokens", "audit"]);
  assert.deepEqual(sections({ role: "operator", groups: null }), ["receivers"]);
  assert.ok(paths({ role: "operator", groups: null }).includes("health"));
  for (const who of [{ role: "viewer", groups: null }, { role: "operator", groups: ["web"] }, null]) {
    assert.deepEqual(paths(who), ["hosts", "problems", "data", "backups"]);
    assert.deepEqual(sections(who), []);
  }
});

test("on a phone the bar has room for four places beside More", () => {
  const shown = placesFor({ role: "administrator", groups: null }).filter((place) => !place.isFolded);
  assert.equal(shown.length, 4);
});

test("of an audit entry only what differs is shown as a change, the rest as it is", () => {
  const detail = { before: { role: "viewer", groups: ["web"] }, after: { role: "operator", groups: ["web"] }, program: "curl" };
  assert.deepEqual(changesOf(detail), [
    { field: "role", before: "viewer", after: "operator" },
    { field: "program", before: null, after: "curl" },
  ]);
});

test("what was made has no before, what was removed no after", () => {
  assert.deepEqual(changesOf({ before: null, after: { role: "viewer" } }), [{ field: "role", before: null, after: "viewer" }]);
  assert.deepEqual(changesOf({ before: { role: "viewer" }, after: null }), [{ field: "role", before: "viewer", after: null }]);
});

test("an escalation reads like a sentence", () => {
  assert.equal(stepText({ tell: ["ann"] }), "At once: ann");
  assert.equal(
    stepText({ after: "10m", tell: ["bob", "eve"], media: ["email"], every: "5m", times: 3 }),
    "After 10\u00a0min: bob, eve by email, again every 5\u00a0min, 3 times",
  );
  assert.equal(conditionsText({}), "every problem");
  assert.equal(conditionsText({ severities: ["high"], groups: ["web"] }), "severity high · hosts in web");
});

test("a password made here has twenty signs that are not taken for each other, and is another each time", () => {
  const made = new Set(Array.from({ length: 50 }, randomPassword));
  assert.equal(made.size, 50);
  for (const one of made) assert.match(one, /^([2-9a-hjkmnp-z]{4}-){4}[2-9a-hjkmnp-z]{4}$/);
});
