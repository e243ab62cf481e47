// The places of the pages: which the bar shows, which a phone keeps behind "More". Pure.

import type { IconName } from "../icons/shapes.ts";
import { isEnough } from "../roles.ts";

export interface Entry {
  path: string;
  text: string;
  icon: IconName;
  /** First parts of addresses that belong to this place too. */
  also: readonly string[];
  /** On a phone only reached by "More". */
  isFolded: boolean;
}

const PLACES: readonly Entry[] = [
  { path: "hosts", text: "Hosts", icon: "hosts", also: [], isFolded: false },
  { path: "problems", text: "Problems", icon: "problems", also: [], isFolded: false },
  { path: "data", text: "Latest data", icon: "data", also: ["graph"], isFolded: false },
  { path: "backups", text: "Backups", icon: "backups", also: [], isFolded: false },
  { path: "health", text: "Health", icon: "health", also: [], isFolded: true },
];
const ADMINISTRATION: Entry = { path: "admin", text: "Administration", icon: "settings", also: [], isFolded: true };

export const MORE: Entry = { path: "more", text: "More", icon: "more", also: ["start", "account"], isFolded: false };

/** What the bar offers to a role; whoever may administer nothing is not shown the administration. */
export function placesFor(role: string | undefined): Entry[] {
  return isEnough(role, "operator") ? [...PLACES, ADMINISTRATION] : [...PLACES];
}

export interface Section {
  path: string;
  text: string;
  about: string;
}

const RECEIVERS: Section = { path: "receivers", text: "Receivers", about: "Who is told of problems, and how" };
const SECTIONS: readonly Section[] = [
  { path: "keys", text: "New hosts", about: "Enrolment, requests and keys" },
  RECEIVERS,
  { path: "users", text: "Users", about: "Who may log in, and what they may do" },
  { path: "tokens", text: "API tokens", about: "For programs" },
  { path: "audit", text: "Audit log", about: "Who changed what" },
];

/** The parts of the administration a role may enter. */
export function sectionsFor(role: string | undefined): Section[] {
  if (isEnough(role, "administrator")) return [...SECTIONS];
  return isEnough(role, "operator") ? [RECEIVERS] : [];
}
