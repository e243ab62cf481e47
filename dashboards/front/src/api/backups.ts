// Backup sets, what of them can be restored, and restorations.

import { addressOf, ask, send } from "./request.ts";

export type RunStatus = "ok" | "running" | "failed" | "never" | "cancelled";

export interface LastRun {
  status: RunStatus;
  at: string | null;
  kind: string | null;
  size_bytes: number | null;
  stored_bytes: number | null;
  duration_seconds: number | null;
  error: string | null;
}

/** How a set's drills stand at its restore station; figures are of the last that proved it. */
export interface Drill {
  station: string;
  status: "proven" | "running" | "failed" | "never";
  proven_at: string | null;
  overdue_seconds: number | null;
  duration_seconds: number | null;
  restored_per_second: number | null;
  /** How long restoring the newest restore point will take, and how much longer than wanted that is. */
  restore_seconds: number | null;
  restore_over_seconds: number | null;
  evidence: string | null;
  error: string | null;
}

/** Whether what lies at a set's targets is what was sent there, as its restore station found. */
export interface Verification {
  station: string;
  status: "whole" | "running" | "damaged" | "never" | "failed";
  /** When every copy was last found whole. */
  verified_at: string | null;
  overdue_seconds: number | null;
  depth: string | null;
  lost_points: number | null;
  unlisted_points: number | null;
  damaged_logs: number | null;
  error: string | null;
}

export interface BackupSet {
  host: string;
  set: string;
  last_run: LastRun;
  age_seconds: number | null;
  overdue_seconds: number | null;
  good_at: string | null;
  restore_points: number | null;
  proven_at: string | null;
  drill: Drill | null;
  verification: Verification | null;
  /** How much work a disaster would cost at worst, and how much more than wanted that is. */
  loss_seconds: number | null;
  loss_over_seconds: number | null;
  /** How long it has been due and waits: for others on its host, for a place under a limit. */
  waiting_seconds: number | null;
  queued_seconds: number | null;
  is_unplaced: boolean;
  reminder: string | null;
}

export interface Backups {
  backups: BackupSet[];
  /** Whether this server can look into them and restore. */
  restores: boolean;
  /** The restore station's configuration, where the server has it and the visitor may use it. */
  station_config: string | null;
}

export interface RestorePoint {
  at: string;
  kind: string;
  chain: string;
  size_bytes: number;
  stored_bytes: number;
  entries: number;
  /** Why it cannot be restored; null: it can. */
  broken: string | null;
  proven_at: string | null;
}

export interface Entry {
  name: string;
  kind: string;
  size_bytes: number | null;
  changed_at: string;
}

export interface Restoration {
  id: string;
  state: "running" | "done" | "failed";
  size_bytes: number | null;
  error: string | null;
}

// The restore station reads at the target, which may be far away.
const PATIENCE_MS = 100_000;
const setPath = (host: string, set: string): string => `backups/${encodeURIComponent(host)}/${encodeURIComponent(set)}`;

export const readBackups = (signal?: AbortSignal): Promise<Backups> => ask(addressOf("backups"), signal);

export const readPoints = async (host: string, set: string, signal?: AbortSignal): Promise<RestorePoint[]> =>
  (await ask<{ points: RestorePoint[] }>(addressOf(`${setPath(host, set)}/points`), signal, PATIENCE_MS)).points;

export const readFiles = async (host: string, set: string, at: string, path: string, signal?: AbortSignal): Promise<Entry[]> =>
  (await ask<{ files: Entry[] }>(addressOf(`${setPath(host, set)}/files`, { at, path }), signal, PATIENCE_MS)).files;

export const restore = (host: string, set: string, path: string, at: string): Promise<Restoration> =>
  send("POST", addressOf(`${setPath(host, set)}/restoration`), { path, at });

export const readRestoration = (id: string, signal?: AbortSignal): Promise<Restoration> =>
  ask(addressOf(`restorations/${encodeURIComponent(id)}`), signal);

export const restoredFile = (id: string): string => addressOf(`restorations/${encodeURIComponent(id)}/file`);

export type OrderState = "ordered" | "started" | "ok" | "failed" | "refused" | "expired" | "cancelled";

/** A run that somebody ordered, and what became of it. */
export interface OrderedRun {
  id: number;
  due_at: string;
  ordered_by: string;
  ordered_at: string;
  state: OrderState;
  /** What it does now, in a word. */
  phase: string | null;
  note: string;
  cancelled_by: string | null;
  answered_at: string | null;
}

export const readRuns = async (host: string, set: string, signal?: AbortSignal): Promise<OrderedRun[]> =>
  (await ask<{ runs: OrderedRun[] }>(addressOf(`${setPath(host, set)}/runs`), signal)).runs;

export const orderRun = (host: string, set: string): Promise<OrderedRun> => send("POST", addressOf(`${setPath(host, set)}/runs`), {});

export const cancelRun = (host: string, set: string, id: number): Promise<OrderedRun> =>
  send("DELETE", addressOf(`${setPath(host, set)}/runs/${id}`));
