// Users, tokens for programs, host groups, the audit log.

import type { Role } from "../roles.ts";
import { addressOf, ask, send } from "./request.ts";

export interface User {
  name: string;
  role: Role;
  /** Host groups the user is bound to; null: all hosts. */
  groups: string[] | null;
  full_name: string;
  seen_at?: string | null;
}

export interface Token {
  id: number;
  name: string;
  owner: string;
  role: Role;
  groups: string[] | null;
  created_at: string;
  expires_at: string | null;
  is_expired: boolean;
  last_used_at: string | null;
}

export interface AuditEntry {
  id: number;
  at: string;
  actor: string;
  action: string;
  object: string;
  address: string;
  detail: Record<string, unknown>;
}

export interface AuditQuery {
  actor?: string;
  action?: string;
  object?: string;
  before?: number;
  limit?: number;
}

export interface HostGroup {
  name: string;
  hosts: string[];
}

const named = (path: string, name: string): string => `${path}/${encodeURIComponent(name)}`;

export const readUsers = async (signal?: AbortSignal): Promise<User[]> =>
  (await ask<{ users: User[] }>(addressOf("users"), signal)).users;
export const addUser = (user: User & { password: string }): Promise<User> => send("POST", addressOf("users"), user);
export const changeUser = ({ name, ...rest }: User): Promise<User> => send("PUT", addressOf(named("users", name)), rest);
export const removeUser = (name: string): Promise<void> => send("DELETE", addressOf(named("users", name)));
export const setPassword = (name: string, password: string): Promise<unknown> =>
  send("PUT", addressOf(`${named("users", name)}/password`), { password });
export const changeOwnPassword = (old: string, fresh: string): Promise<unknown> =>
  send("PUT", addressOf("session/password"), { old, new: fresh });

export const readTokens = async (signal?: AbortSignal): Promise<Token[]> =>
  (await ask<{ tokens: Token[] }>(addressOf("tokens"), signal)).tokens;

export interface TokenWish {
  name: string;
  role: Role;
  groups: string[] | null;
  expires_at: string | null;
}

export const addToken = (wish: TokenWish): Promise<{ secret: string }> => send("POST", addressOf("tokens"), wish);
export const removeToken = (id: number): Promise<void> => send("DELETE", addressOf(`tokens/${id}`));

export const readGroups = async (signal?: AbortSignal): Promise<HostGroup[]> =>
  (await ask<{ groups: HostGroup[] }>(addressOf("groups"), signal)).groups;

export const readAudit = async (query: AuditQuery, signal?: AbortSignal): Promise<AuditEntry[]> =>
  (await ask<{ entries: AuditEntry[] }>(addressOf("audit", { ...query }), signal)).entries;
