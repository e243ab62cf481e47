// The five severities, mildest first; a number tells which is worse.

import type { Severity } from "../api/types.ts";

export const SEVERITIES = ["information", "warning", "average", "high", "disaster"] as const satisfies readonly Severity[];

export const rankOf = (severity: Severity): number => SEVERITIES.indexOf(severity);

/** How bad a host's open problems are, for sorting: the worst severity counts first, then how many. */
export function weightOf(problems: Partial<Record<Severity, number>>): number {
  return SEVERITIES.reduce((sum, severity, rank) => sum + Math.min(problems[severity] ?? 0, 99) * 100 ** rank, 0);
}

export function countOf(problems: Partial<Record<Severity, number>>): number {
  return SEVERITIES.reduce((sum, severity) => sum + (problems[severity] ?? 0), 0);
}
