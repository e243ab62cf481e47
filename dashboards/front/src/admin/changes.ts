// An audit entry's detail as a list of fields with their values before and after. Pure.

export interface FieldChange {
  field: string;
  before: string | null;
  after: string | null;
}

const MOST_LETTERS = 240;

/** What differs between `before` and `after`; other keys of the detail follow as they are. */
export function changesOf(detail: Record<string, unknown>): FieldChange[] {
  const { before, after, ...rest } = detail;
  const old = asRecord(before);
  const fresh = asRecord(after);
  const fields = [...new Set([...Object.keys(old), ...Object.keys(fresh)])];
  const changed = fields
    .filter((field) => JSON.stringify(old[field]) !== JSON.stringify(fresh[field]))
    .map((field) => ({ field, before: textOf(field, old[field]), after: textOf(field, fresh[field]) }));
  return [...changed, ...Object.entries(rest).map(([field, value]) => ({ field, before: null, after: textOf(field, value) }))];
}

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
  if (!Array.isArray(value)) return JSON.stringify(value);
  if (value.length === 0) return "none";
  return value.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join(", ");
}
