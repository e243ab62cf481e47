import assert from "node:assert/strict";
import { test } from "node:test";
import { joined, quoted, sortedEntries, stationCommand, stepsOf } from "../src/backups/paths.ts";

test("the way to a folder leads through each folder above it", () => {
  assert.deepEqual(stepsOf(""), [{ name: "All files", path: "" }]);
  assert.deepEqual(stepsOf("etc/ssh").map((step) => step.path), ["", "etc", "etc/ssh"]);
  assert.equal(joined("", "etc"), "etc");
  assert.equal(joined("etc/", "ssh"), "etc/ssh");
});

test("folders come before files, and names as people count", () => {
  const entry = (name: string, kind: string) => ({ name, kind, size_bytes: null, changed_at: null });
  const entries = [entry("log10", "file"), entry("zoo", "folder"), entry("log2", "file"), entry("etc", "folder")];
  assert.deepEqual(sortedEntries(entries).map((one) => one.name), ["etc", "zoo", "log2", "log10"]);
});

test("a shell gets every name as one word", () => {
  assert.equal(quoted("/srv/data-1"), "/srv/data-1");
  assert.equal(quoted("it's here; rm -r ."), `'it'\\''s here; rm -r .'`);
  assert.equal(quoted("$HOME"), "'$HOME'");
  assert.equal(stationCommand("key escrow", "/srv/a b.toml"), "bkp key escrow --config '/srv/a b.toml'");
  assert.equal(stationCommand("key escrow", null), "bkp key escrow");
});
