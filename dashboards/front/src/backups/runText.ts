// What is said of a run that was ordered. Pure.

import type { OrderedRun } from "../api/backups.ts";

export const isOpen = (run: OrderedRun): boolean => run.state === "ordered" || run.state === "started";

/** In a sentence, without its instants. */
export function runText(run: OrderedRun, host: string): string {
  const why = run.note ? `: ${run.note}` : "";
  if (isOpen(run) && run.cancelled_by !== null) return "Being cancelled …";
  switch (run.state) {
    case "ordered":
      return `Ordered; ${host} has not begun yet …`;
    case "started":
      return run.phase ? `Under way: ${run.phase} …` : "Under way …";
    case "ok":
      return "Saved, compared and signed";
    case "failed":
      return `Failed${why}`;
    case "refused":
      return `Not begun${why}`;
    case "expired":
      return `Given up${why}`;
    case "cancelled":
      return `Cancelled${why}`;
  }
}
