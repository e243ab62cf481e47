// Counters of Watchkeep's parts in words and units. Their names say the unit: "held_bytes", "lag_seconds". Pure.

import { valueText } from "../format/number.ts";

const UNITS: readonly [RegExp, string, number][] = [
  [/_bytes$/, "B", 1],
  [/_bytes_per_second$/, "B/s", 1],
  [/_per_second$/, "1/s", 1],
  [/_seconds$/, "s", 1],
  [/_milliseconds$/, "s", 1e-3],
  [/_us$/, "s", 1e-6],
  [/_percent$/, "%", 1],
];

export interface CounterText {
  name: string;
  value: string;
}

export function counterText(name: string, value: number): CounterText {
  const question = /(^|[._])is_/;
  if (question.test(name) && (value === 0 || value === 1))
    return { name: name.replace(question, "$1").replaceAll(/[._]/g, " "), value: value === 1 ? "yes" : "no" };
  const rule = UNITS.find(([ending]) => ending.test(name));
  const words = (rule ? name.replace(rule[0], "") : name).replaceAll(/[._]/g, " ");
  return { name: words, value: valueText(rule ? value * rule[2] : value, rule?.[1] ?? "") };
}
