// Paths inside a backup, and the commands that restore them. Pure.

import type { Entry } from "../api/backups.ts";

export interface Step {
  name: string;
  path: string;
}

export const joined = (folder: string, name: string): string => (folder ? `${folder.replace(/\/$/, "")}/${name}` : name);

/** The folders from the set's root down to `path`. */
export function stepsOf(path: string): Step[] {
  const steps: Step[] = [{ name: "All files", path: "" }];
  let whole = path.startsWith("/") ? "/" : "";
  for (const name of path.split("/").filter(Boolean)) {
    whole = whole === "/" ? `/${name}` : joined(whole, name);
    steps.push({ name, path: whole });
  }
  return steps;
}

/** Folders first, then by name as people count. */
export function sortedEntries(entries: readonly Entry[]): Entry[] {
  return entries.toSorted(
    (one, other) =>
      Number(other.kind === "folder") - Number(one.kind === "folder") || one.name.localeCompare(other.name, undefined, { numeric: true }),
  );
}

/** A `bkp` command as it is copied, with the restore station's configuration where that is known. */
export const stationCommand = (words: string, config: string | null | undefined): string =>
  config ? `bkp ${words} --config ${quoted(config)}` : `bkp ${words}`;

/** A word as a POSIX shell takes it, whatever it holds. */
export const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
