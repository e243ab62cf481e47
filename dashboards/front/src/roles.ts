// Who may do what: a higher role may do all a lower one may. Pure; the server has the last word.

export const ROLES = ["viewer", "operator", "administrator"] as const;
export type Role = (typeof ROLES)[number];

export const ROLE_WORDS: Record<Role, string> = {
  viewer: "looks, and changes nothing",
  operator: "looks, acknowledges, tests receivers, starts backups, restores",
  administrator: "may do everything",
};

/** Whether somebody of the role `own` may do what asks for `needed`; an unknown role may only look. */
export function isEnough(own: string | undefined, needed: Role): boolean {
  const rank = ROLES.findIndex((role) => role === own);
  return Math.max(rank, 0) >= ROLES.indexOf(needed);
}
