// By which media a receiver is told, from its definition. Pure.

import type { ReceiverDocument } from "../api/escalation.ts";

const NO_MEDIUM = new Set(["kind", "name", "description", "severities", "hours"]);

export interface MediumText {
  medium: string;
  where: string;
}

/** Each medium with its address; what is a secret stays in files and is named, not shown. */
export function mediaOf(receiver: ReceiverDocument): MediumText[] {
  return Object.entries(receiver)
    .filter(([key, value]) => !NO_MEDIUM.has(key) && typeof value === "object" && value !== null)
    .map(([medium, settings]) => ({ medium: medium === "email" ? "e-mail" : medium, where: whereOf(settings as Record<string, unknown>) }));
}

function whereOf(settings: Record<string, unknown>): string {
  for (const key of ["url", "to", "address"]) {
    const value = settings[key];
    if (typeof value === "string") return value;
    if (Array.isArray(value)) return value.join(", ");
  }
  return typeof settings["url_file"] === "string" ? `the address in the secret ${settings["url_file"]}` : "";
}
