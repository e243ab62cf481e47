// How high a graph is and where its lines lie. Pure.

const FULL = 100;

/** Lowest and highest value of the axis for data between `low` and `high` in `unit`. */
export function axisRange(low: number, high: number, unit: string): [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, unit === "%" ? FULL : 1];
  if (unit === "" && isYesOrNo(low) && isYesOrNo(high)) return [0, 1];
  if (unit === "%" && low >= 0 && high <= FULL) return [0, roundUp(high, [5, 10, 25, 50, FULL])];
  if (low >= 0 && high - low >= high * 0.2) return [0, high === 0 ? 1 : high * 1.08];
  const margin = (high - low || Math.abs(high) || 1) * 0.1;
  return [low >= 0 ? Math.max(0, low - margin) : low - margin, high + margin];
}

const isYesOrNo = (value: number): boolean => value === 0 || value === 1;

function roundUp(value: number, steps: readonly number[]): number {
  return steps.find((step) => value * 1.02 <= step) ?? steps.at(-1) ?? value;
}

/** Steps between grid lines that read well in `unit`: powers of two for bytes, else undefined for the chart's own. */
export function axisSteps(unit: string): number[] | undefined {
  if (unit !== "B" && unit !== "B/s") return undefined;
  const steps: number[] = [];
  for (let thousand = 1; thousand < 2 ** 60; thousand *= 1024) {
    for (const step of [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]) steps.push(step * thousand);
  }
  return steps;
}
