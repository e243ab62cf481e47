// The gap ledger: how every record of every source ended, and in which times records are missing.

import { addressOf, ask } from "./request.ts";

export type Fate = "lost" | "refused" | "open";

export interface Counts {
  in_time: number;
  late: number;
  replayed: number;
  lost: number;
  refused: number;
  open: number;
}

export interface LedgerGap {
  fate: Fate;
  first: number;
  last: number;
  after: string | null;
  before: string | null;
  reason: string;
}

export interface Life {
  boot: string;
  begun_at: string;
  heard_at: string;
  is_closed: boolean;
  last_number: number;
  counts: Counts;
  gaps: LedgerGap[];
  more_gaps: number;
}

export interface LedgerSource {
  name: string;
  is_own: boolean;
  lives: Life[];
}

export interface SourceTotals {
  source: string;
  host: string | null;
  lives: number;
  heard_at: string;
  counts: Counts;
  missing: number;
  adds_up: boolean;
}

/** A time (epoch ms) in which records that may speak of the items asked for are missing. */
export interface MissingTime {
  fate: Fate;
  source: string;
  begin: number;
  end: number;
  records: number;
}

export const readHostLedger = async (host: string, signal?: AbortSignal): Promise<LedgerSource[]> =>
  (await ask<{ sources: LedgerSource[] }>(addressOf(`hosts/${encodeURIComponent(host)}/ledger`), signal)).sources;

export const readLedger = async (signal?: AbortSignal): Promise<SourceTotals[]> =>
  (await ask<{ sources: SourceTotals[] }>(addressOf("ledger"), signal)).sources;

export async function readMissing(items: readonly number[], from: number, to: number, signal?: AbortSignal): Promise<MissingTime[]> {
  if (items.length === 0) return [];
  const address = new URL(addressOf("gaps", { from: new Date(from).toISOString(), to: new Date(to).toISOString() }));
  for (const item of items) address.searchParams.append("item", String(item));
  return (await ask<{ gaps: MissingTime[] }>(address.href, signal)).gaps;
}
