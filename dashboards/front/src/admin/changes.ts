// An audit entry's detail as a list of fields with their values before and after. Pure.

import { durationText } from "../format/number.ts";

export interface FieldChange {
  field: string;
  before: string | null;
  after: string | null;
}

const MOST_LETTERS = 240;

/** What differs between `before` and `after`; other keys of the detail follow as they are. */
export function changesOf(detail: Record<string, unknown>): FieldChange[] {
  const { before, after, changes: _named, ...rest } = detail; // what was changed stands beside it already
  const old = asRecord(before);
  const fresh = asRecord(after);
  const fields = [...new Set([...Object.keys(old), ...Object.keys(fresh)])];
  const changed = fields
    .filter((field) => JSON.stringify(old[field]) !== JSON.stringify(fresh[field]))
    .map((field) => ({ field: nameOf(field), before: textOf(field, old[field]), after: textOf(field, fresh[field]) }));
  return [...changed, ...Object.entries(rest).map(([field, value]) => ({ field: nameOf(field), before: null, after: textOf(field, value) }))];
}

/** "lifetime_seconds" as "lifetime": its value names the unit. */
const nameOf = (field: string): string => field.replace(/_seconds$/, "");

function asRecord(value: unknown): Record<string, unknown> {
  if (value === null || value === undefined) return {};
  return typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
}

function textOf(field: string, value: unknown): string | null {
  if (value === undefined) return null;
  const text = plainText(field, value);
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)} …` : text;
}

/** In words where JSON would be shown. No list of groups at all means every group. */
function plainText(field: string, value: unknown): string {
  if (value === null) return field === "groups" ? "all groups" : "none";
  if (value === "") return "none";
  if (typeof value === "string") return value;
  if (typeof value === "number" && field.endsWith("_seconds")) return durationText(value);
  if (!Array.isArray(value)) return isFlat(value) ? flatText(value) : JSON.stringify(value);
  if (value.length === 0) return "none";
  return value.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join(", ");
}

const isFlat = (value: unknown): value is object => typeof value === "object" && Object.values(value as object).every((one) => typeof one !== "object");

/** "rack: a4, role: database" */
function flatText(record: object): string {
  const parts = Object.entries(record).map(([name, value]) => `${name}: ${String(value)}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}
