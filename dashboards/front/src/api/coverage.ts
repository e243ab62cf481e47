// Which hosts are backed up, and the waivers of those that need not be.

import { addressOf, ask, send } from "./request.ts";

export type CoverageState = "covered" | "waived" | "new" | "unprotected";

export interface HostCoverage {
  host: string;
  state: CoverageState;
  reason: string;
  /** The set that saves it, HOST/SET. */
  by: string | null;
  good_at: string | null;
  waiver: { name: string; until: string; reason: string } | null;
}

export interface Coverage {
  counts: Record<CoverageState, number>;
  hosts: HostCoverage[];
}

export const readCoverage = (signal?: AbortSignal): Promise<Coverage> => ask(addressOf("backups/coverage"), signal);

const waiverPath = (name: string): string => addressOf(`definitions/waiver/${encodeURIComponent(name)}`);

export const saveWaiver = (name: string, hosts: string[], until: string, reason: string): Promise<unknown> =>
  send("PUT", waiverPath(name), { hosts, until, reason });

export const endWaiver = (name: string): Promise<unknown> => send("DELETE", waiverPath(name));
