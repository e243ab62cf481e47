// Where a problem is seen in a graph: its items around the time it was open.

import type { Problem } from "../api/types.ts";
import { msOf } from "../format/time.ts";
import { type GraphWindow, isLive, queryOf } from "../graph/window.ts";
import { linkTo } from "../route.svelte.ts";

const MARGIN_MS = 15 * 60_000;
const LATELY_MS = 10 * 60_000;
const HOUR_MS = 3_600_000;

/** The stretch of time to look at: live for what opened lately, else from before it opened to after its end. */
export function around(problem: Problem, now: number): GraphWindow {
  const opened = msOf(problem.opened_at);
  if (problem.resolved_at === null && now - opened < LATELY_MS) return { range: "15m" };
  if (problem.resolved_at === null && now - opened < HOUR_MS - MARGIN_MS) return { range: "1h" };
  const to = problem.resolved_at === null ? now : msOf(problem.resolved_at) + MARGIN_MS;
  return { from: opened - MARGIN_MS, to: Math.min(Math.max(to, opened + MARGIN_MS), Math.max(now, opened + 1000)) };
}

/** The graph of the problem's items; the host's page when the server did not name them. */
export function graphLink(problem: Problem): string {
  const view = around(problem, Date.now());
  if (!problem.items?.length) return linkTo(["hosts", problem.host], isLive(view) ? queryOf(view) : {});
  return linkTo(["graph"], { items: problem.items.join(","), hosts: problem.host, ...queryOf(view) });
}

/** The problem's own page. */
export const problemLink = (problem: Problem): string => linkTo(["problems", String(problem.id)]);
