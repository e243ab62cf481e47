// Days of waivers, and what of the coverage comes first. Pure.

import type { CoverageState, HostCoverage, Standing, ThingCoverage } from "../api/coverage.ts";

/** The day so many days from now, by UTC: 2027-03-31. */
export const dayAhead = (days: number, now = Date.now()): string => new Date(now + days * 86_400_000).toISOString().slice(0, 10);

/** A host, or a thing on it, as one line. */
export interface Row extends Standing {
  host: string;
  thing: ThingCoverage | null;
}

export const rowsOf = (hosts: readonly HostCoverage[]): Row[] =>
  hosts.flatMap((one) => [{ ...one, thing: null }, ...one.things.map((thing) => ({ ...thing, host: one.host, thing }))]);

/** How a line is called: `db1`, or `database billing on db1`. */
export const nameOf = (row: { host: string; thing: ThingCoverage | null }): string => (row.thing ? `${row.thing.title} on ${row.host}` : row.host);

const RANK: Record<CoverageState, number> = { unprotected: 0, unknown: 1, new: 2, waived: 3, covered: 4 };

/** What needs somebody first, then by host, and the host before what it holds. */
export const byNeed = (rows: readonly Row[]): Row[] =>
  rows.toSorted(
    (one, other) =>
      RANK[one.state] - RANK[other.state] ||
      one.host.localeCompare(other.host, undefined, { numeric: true }) ||
      (one.thing?.title ?? "").localeCompare(other.thing?.title ?? "", undefined, { numeric: true }),
  );

/** The name of a waiver nobody named: one of another thing has another. */
export const waiverName = (host: string, thing: ThingCoverage | null, until: string): string => {
  const part = thing ? `-${thing.kind}-${thing.name}`.replace(/[^A-Za-z0-9]+/g, "-").replace(/-$/, "") : "";
  return `${host}${part}-${until}`.slice(-128).replace(/^[^A-Za-z0-9]+/, "");
};
