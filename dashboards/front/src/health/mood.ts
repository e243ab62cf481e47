// Whether a part's state word is good news. Words unknown here are neither.

const WELL = new Set(["active", "standby", "up", "ok", "connected", "running", "ready", "live"]);
const ILL = new Set(["silent", "down", "lost", "failed", "refused", "error", "away"]);

export type Mood = "well" | "ill" | "other";

export const moodOf = (state: string): Mood => (WELL.has(state) ? "well" : ILL.has(state) ? "ill" : "other");
export const isWell = (state: string): boolean => moodOf(state) === "well";
