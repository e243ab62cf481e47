// The places of the pages: which the bar shows, which a phone keeps behind "More". Pure.

import type { IconName } from "../icons/shapes.ts";
import type { Session } from "../api/types.ts";
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
];
const HEALTH: Entry = { path: "health", text: "Health", icon: "health", also: [], isFolded: true };
const ADMINISTRATION: Entry = { path: "admin", text: "Administration", icon: "settings", also: [], isFolded: true };

export const MORE: Entry = { path: "more", text: "More", icon: "more", also: ["start", "account"], isFolded: false };

type Who = Pick<Session, "role" | "groups"> | null;

/** Whether somebody handles what concerns all hosts: an operator at least, and not bound to host groups. */
function isForAll(who: Who): boolean {
  return who !== null && isEnough(who.role, "operator") && (who.groups ?? null) === null;
}

/** What the bar offers; what somebody may not enter is not shown. */
export function placesFor(who: Who): Entry[] {
  return isForAll(who) ? [...PLACES, HEALTH, ADMINISTRATION] : [...PLACES];
}

export interface Section {
  path: string;
  text: string;
}

const RECEIVERS: Section = { path: "receivers", text: "Receivers" };
const SECTIONS: readonly Section[] = [
  { path: "keys", text: "New hosts" },
  RECEIVERS,
  { path: "users", text: "Users" },
  { path: "tokens", text: "API tokens" },
  { path: "audit", text: "Audit log" },
];

/** The parts of the administration somebody may enter. */
export function sectionsFor(who: Who): Section[] {
  if (!isForAll(who)) return [];
  return isEnough(who?.role, "administrator") ? [...SECTIONS] : [RECEIVERS];
}
