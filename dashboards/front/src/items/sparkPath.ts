// A small line as an SVG path. Pure.

import { gapThreshold } from "../graph/gaps.ts";

/** Scale values within [from, to] into a box; the pen is lifted at gaps. A constant value lies in the middle. */
export function sparkPath(
  at: readonly number[],
  value: readonly (number | null)[],
  from: number,
  to: number,
  width: number,
  height: number,
): string {
  const known = value.filter((one): one is number => one !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const threshold = gapThreshold(at, to - from);
  const margin = 2;
  let path = "";
  let last = -Infinity;
  at.forEach((instant, place) => {
    const one = value[place];
    if (one === null || one === undefined || instant < from) return;
    const x = ((instant - from) / (to - from)) * width;
    const share = high === low ? 0.5 : (one - low) / (high - low);
    const y = height - margin - share * (height - 2 * margin);
    path += `${instant - last > threshold ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    last = instant;
  });
  return path;
}
