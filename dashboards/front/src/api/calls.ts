// The calls the pages make, by their domain names.

import { addressOf, ask, send } from "./request.ts";
import type { Health, Host, HostDetail, ItemPage, Problem, Series, Session } from "./types.ts";

export const whoAmI = (): Promise<Session> => ask(addressOf("session"));
export const logIn = (user: string, password: string): Promise<Session> =>
  send("POST", addressOf("session"), { user, password });
export const logOut = (): Promise<void> => send("DELETE", addressOf("session"));

export const readHosts = async (signal?: AbortSignal): Promise<Host[]> =>
  (await ask<{ hosts: Host[] }>(addressOf("hosts"), signal)).hosts;

export const readHost = (name: string, signal?: AbortSignal): Promise<HostDetail> =>
  ask(addressOf(`hosts/${encodeURIComponent(name)}`), signal);

export interface ItemQuery {
  host?: string;
  search?: string;
  limit?: number;
  after?: string | number;
}

export const readItems = (query: ItemQuery, signal?: AbortSignal): Promise<ItemPage> =>
  ask(addressOf("items", { ...query }), signal);

/** Values of items between two instants (epoch ms), thinned to about `points` with peaks kept. */
export async function readHistory(
  items: readonly number[],
  from: number,
  to: number,
  points: number,
  signal?: AbortSignal,
): Promise<Series[]> {
  if (items.length === 0) return [];
  const address = new URL(
    addressOf("history", { from: new Date(from).toISOString(), to: new Date(to).toISOString(), points }),
  );
  for (const item of items) address.searchParams.append("item", String(item));
  return (await ask<{ series: Series[] }>(address.href, signal)).series;
}

export interface ProblemQuery {
  state: "open" | "resolved" | "all";
  host?: string;
  severity?: string;
  order?: "newest" | "severity";
  limit?: number;
  before?: string | number;
}

export const readProblems = async (query: ProblemQuery, signal?: AbortSignal): Promise<Problem[]> =>
  (await ask<{ problems: Problem[] }>(addressOf("problems", { ...query }), signal)).problems;

export const readHealth = (signal?: AbortSignal): Promise<Health> => ask(addressOf("health"), signal);
