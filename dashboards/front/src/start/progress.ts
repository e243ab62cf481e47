// How far an installation has come on its first steps, from what is really there.

import { type AuditEntry, readAudit } from "../api/accounts.ts";
import { type BackupSet, readBackups } from "../api/backups.ts";
import { readHosts, readProblems } from "../api/calls.ts";
import { readReceivers } from "../api/escalation.ts";
import { Fault } from "../api/request.ts";
import type { Host, Problem } from "../api/types.ts";

export const STEPS = ["host", "message", "backup", "restore"] as const;
export type Step = (typeof STEPS)[number];

/** What was found; null where the server has no such part or the reader may not see it. */
export interface Found {
  hosts: Host[];
  problems: Problem[];
  receivers: string[] | null;
  sets: BackupSet[] | null;
  restorations: AuditEntry[] | null;
}

export async function readFound(signal?: AbortSignal): Promise<Found> {
  const [hosts, problems, receivers, sets, restorations] = await Promise.all([
    readHosts(signal),
    readProblems({ state: "all", limit: 100 }, signal),
    orNull(readReceivers(signal)),
    orNull(readBackups(signal).then((found) => found.backups)),
    orNull(readAudit({ action: "backup.restore", limit: 1 }, signal)),
  ]);
  return { hosts, problems, receivers: receivers?.map((one) => one.name) ?? null, sets, restorations };
}

/** Which steps are done; `hasSeenMessage`: a test was taken by its receiver before this reader's eyes. This machine is watched from the start, so a second host that sends is the first remote one. */
export function doneSteps(found: Found, hasSeenMessage: boolean): Record<Step, boolean> {
  return {
    host: found.hosts.filter((host) => host.last_at !== null).length > 1,
    message: found.problems.some((problem) => problem.told.some((notice) => notice.state === "sent")) || hasSeenMessage,
    backup: found.sets?.some((set) => (set.restore_points ?? 0) > 0) ?? false,
    restore: (found.restorations?.length ?? 0) > 0,
  };
}

async function orNull<Facts>(asked: Promise<Facts>): Promise<Facts | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Fault && (error.status === 404 || error.status === 403)) return null;
    throw error;
  }
}
