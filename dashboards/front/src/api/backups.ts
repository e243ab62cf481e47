// Backup sets, what of them can be restored, and restorations.

import { addressOf, ask, send } from "./request.ts";

export type RunStatus = "ok" | "running" | "failed" | "never";

export interface LastRun {
  status: RunStatus;
  at: string | null;
  kind: string | null;
  size_bytes: number | null;
  stored_bytes?: number | null;
  duration_seconds: number | null;
  error?: string | null;
}

export interface BackupSet {
  host: string;
  set: string;
  last_run: LastRun;
  age_seconds: number | null;
  good_at?: string | null;
  restore_points: number | null;
  proven_at: string | null;
}

export interface RestorePoint {
  at: string;
  kind: "full" | "incremental";
  chain?: string | null;
  size_bytes: number | null;
  proven_at?: string | null;
}

export interface Entry {
  name: string;
  kind: "file" | "folder" | "link" | (string & {});
  size_bytes: number | null;
  changed_at: string | null;
}

export interface Restoration {
  id: string;
  state: "running" | "done" | "failed" | (string & {});
  percent?: number | null;
  size_bytes?: number | null;
  error?: string | null;
}

const setPath = (host: string, set: string): string => `backups/${encodeURIComponent(host)}/${encodeURIComponent(set)}`;

export const readBackups = async (signal?: AbortSignal): Promise<BackupSet[]> =>
  (await ask<{ backups: BackupSet[] }>(addressOf("backups"), signal)).backups;

export const readPoints = async (host: string, set: string, signal?: AbortSignal): Promise<RestorePoint[]> =>
  (await ask<{ points: RestorePoint[] }>(addressOf(`${setPath(host, set)}/points`), signal)).points;

export const readFiles = async (host: string, set: string, at: string, path: string, signal?: AbortSignal): Promise<Entry[]> =>
  (await ask<{ files: Entry[] }>(addressOf(`${setPath(host, set)}/files`, { at, path }), signal)).files;

export const restore = (host: string, set: string, path: string, at: string): Promise<Restoration> =>
  send("POST", addressOf(`${setPath(host, set)}/restoration`), { path, at });

export const readRestoration = (id: string, signal?: AbortSignal): Promise<Restoration> =>
  ask(addressOf(`restorations/${encodeURIComponent(id)}`), signal);

export const restoredFile = (id: string): string => addressOf(`restorations/${encodeURIComponent(id)}/file`);
