import assert from "node:assert/strict";
import { test } from "node:test";
import { changesOf } from "../src/admin/changes.ts";
import type { TimelineEntry } from "../src/api/escalation.ts";
import type { Item, Told } from "../src/api/types.ts";
import { itemsInOrder } from "../src/items/order.ts";
import { runsOf, toldCounts } from "../src/problems/told.ts";

function told(receiver: string, media: string, state: string, second: number): Told {
  return { receiver, media, state, at: new Date(second * 1000).toISOString(), attempts: 1, error: null };
}

function entry(kind: TimelineEntry["kind"], by: string | null): TimelineEntry {
  return { kind, at: "2026-01-01T00:00:00Z", by, text: null, value: null };
}

test("reminders are counted by receiver and medium, and the newest says how it stands", () => {
  const counts = toldCounts([told("chat", "webhook", "failed", 30), told("chat", "webhook", "sent", 10), told("chat", "email", "sent", 20)]);
  assert.deepEqual(counts.map(({ count, last }) => [last.media, count, last.state]), [["webhook", 2, "failed"], ["email", 1, "sent"]]);
});

test("only neighbours that tell the same receiver are one run", () => {
  const runs = runsOf([entry("opened", null), entry("told", "chat"), entry("told", "chat"), entry("note", "ada"), entry("told", "chat"), entry("told", "mail")]);
  assert.deepEqual(runs.map((run) => run.length), [1, 2, 1, 1, 1]);
});

test("an audit entry says nothing, everything and lists in words", () => {
  const texts = changesOf({ after: { groups: null, expires_at: null, templates: [], hosts: ["web"] } }).map(({ field, after }) => [field, after]);
  assert.deepEqual(texts, [["groups", "all groups"], ["expires_at", "none"], ["templates", "none"], ["hosts", "web"]]);
});

test("a host's own values are listed before what its agent says of itself", () => {
  const named = ["agent.cpu", "disk.busy", "filesystem.used", "cpu.busy"].map((name) => ({ name }) as Item);
  assert.deepEqual(itemsInOrder(named).map(({ name }) => name), ["cpu.busy", "filesystem.used", "disk.busy", "agent.cpu"]);
});
