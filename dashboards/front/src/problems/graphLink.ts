// Where a problem is seen in a graph: its items around the time it was open.

import type { Problem } from "../api/types.ts";
import { msOf } from "../format/time.ts";
import { linkTo } from "../route.svelte.ts";

const MARGIN_MS = 15 * 60_000;
const HOUR_MS = 3_600_000;

/** The graph of the problem's items; the host's page when the server did not name them. */
export function graphLink(problem: Problem): string {
  const opened = msOf(problem.opened_at);
  const isRecent = problem.resolved_at === null && Date.now() - opened < HOUR_MS - MARGIN_MS;
  const to = problem.resolved_at === null ? Date.now() : msOf(problem.resolved_at) + MARGIN_MS;
  const span = isRecent ? { range: "1h" } : { from: String(opened - MARGIN_MS), to: String(Math.max(to, opened + MARGIN_MS)) };
  if (!problem.items?.length) return linkTo(["hosts", problem.host], isRecent ? span : {});
  return linkTo(["graph"], { items: problem.items.join(","), ...span });
}
