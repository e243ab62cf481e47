// Which hosts and things on them are backed up, and the waivers of those that need not be.

import { addressOf, ask, send } from "./request.ts";

export type CoverageState = "covered" | "waived" | "unknown" | "new" | "unprotected";

export interface Standing {
  state: CoverageState;
  reason: string;
  /** The set that saves it, HOST/SET. */
  by: string | null;
  good_at: string | null;
  waiver: { name: string; until: string; reason: string } | null;
}

/** A database, a file system or a virtual machine of a host; its title is its own there. */
export interface ThingCoverage extends Standing {
  kind: string;
  name: string;
  title: string;
}

export interface HostCoverage extends Standing {
  host: string;
  things: ThingCoverage[];
  /** Database servers there that did not say what they hold. */
  unknown: string[];
}

export interface Coverage {
  counts: Record<Exclude<CoverageState, "unknown">, number>;
  thing_counts: Record<CoverageState, number>;
  hosts: HostCoverage[];
}

export const readCoverage = (signal?: AbortSignal): Promise<Coverage> => ask(addressOf("backups/coverage"), signal);

const waiverPath = (name: string): string => addressOf(`definitions/waiver/${encodeURIComponent(name)}`);

export const saveWaiver = (name: string, waiver: { hosts: string[]; things?: string[]; until: string; reason: string }): Promise<unknown> =>
  send("PUT", waiverPath(name), waiver);

export const endWaiver = (name: string): Promise<unknown> => send("DELETE", waiverPath(name));
