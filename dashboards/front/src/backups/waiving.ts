// Days of waivers, and what of the coverage comes first. Pure.

import type { CoverageState, HostCoverage } from "../api/coverage.ts";

/** The day so many days from now, by UTC: 2027-03-31. */
export const dayAhead = (days: number, now = Date.now()): string => new Date(now + days * 86_400_000).toISOString().slice(0, 10);

const RANK: Record<CoverageState, number> = { unprotected: 0, new: 1, waived: 2, covered: 3 };

/** What needs somebody first, then by name. */
export const byNeed = (hosts: readonly HostCoverage[]): HostCoverage[] =>
  hosts.toSorted((one, other) => RANK[one.state] - RANK[other.state] || one.host.localeCompare(other.host, undefined, { numeric: true }));
