// Which hosts somebody sees, in words. Pure.

export function scopeText(groups: readonly string[] | null): string {
  if (groups === null) return "all hosts";
  return groups.length === 0 ? "no host" : groups.join(", ");
}
