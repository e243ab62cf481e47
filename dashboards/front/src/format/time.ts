// Instants for people: relative beside the exact one, in the reader's own time zone.

import { durationText } from "./number.ts";

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clockSeconds = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

export const msOf = (instant: string): number => Date.parse(instant);
export const exactText = (ms: number): string => exact.format(ms);
export const clockText = (ms: number): string => clockTime.format(ms);
export const clockSecondsText = (ms: number): string => clockSeconds.format(ms);
export const dayAndTimeText = (ms: number): string => dayAndTime.format(ms);

/** "now", "12 s ago", "3 d 4 h ago", "in 5 min". */
export function agoText(ms: number, now: number): string {
  const seconds = (now - ms) / 1000;
  if (seconds < -5) return `in ${ageText(-seconds)}`;
  if (seconds < 1) return "now";
  return `${ageText(seconds)} ago`;
}

/** An age without false precision: whole seconds, then minutes, then two parts. */
export function ageText(seconds: number): string {
  const age = Math.max(0, seconds);
  if (age < 60) return `${Math.floor(age)}\u00a0s`;
  if (age < 3600) return `${Math.floor(age / 60)}\u00a0min`;
  return durationText(age < 86_400 ? Math.floor(age / 60) * 60 : Math.floor(age / 3600) * 3600);
}
