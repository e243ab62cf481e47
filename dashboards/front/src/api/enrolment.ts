// Letting new hosts in, and the keys of those that are.

import { addressOf, ask, send } from "./request.ts";

export interface TokenWish {
  host: string | null;
  templates: string[];
  groups: string[];
  proxy_group?: string;
  lifetime_seconds: number;
}

export interface NewToken {
  id: string;
  token: string;
  command: string;
  expires_at: string;
}

export interface EnrolmentToken {
  id: string;
  state: "open" | "used" | "expired" | "revoked";
  host: string | null;
  templates: string[];
  groups: string[];
  created_by: string;
  created_at: string;
  expires_at: string;
  used_at: string | null;
  used_by: string | null;
}

export interface EnrolmentTokens {
  /** Where newcomers ask; null: nobody can, and `remedy` says how to change that. */
  entrance: string | null;
  remedy: string;
  tokens: EnrolmentToken[];
}

export interface EnrolmentRequest {
  id: number;
  state: "waiting" | "approved" | "refused";
  name: string;
  is_known_host: boolean;
  fingerprint: string;
  software: string;
  address: string;
  requested_at: string;
}

export interface EnrolmentRequests {
  /** What newcomers see of this installation, to compare. */
  fingerprint: string | null;
  by_approval: boolean;
  requests: EnrolmentRequest[];
}

export interface PeerKey {
  key: string;
  text: string;
  fingerprint: string;
  role: string;
  name: string;
  revoked_at: string | null;
  rotation: "asked" | "accepted" | null;
}

/** As what a machine is let in; without a host's name it is what the machine says. */
export type Admittance = Pick<TokenWish, "host" | "templates" | "groups">;

export const makeToken = (wish: TokenWish): Promise<NewToken> => send("POST", addressOf("enrolment/tokens"), wish);
export const readEnrolmentTokens = (signal?: AbortSignal): Promise<EnrolmentTokens> => ask(addressOf("enrolment/tokens"), signal);
export const revokeToken = (id: string): Promise<void> => send("DELETE", addressOf(`enrolment/tokens/${encodeURIComponent(id)}`));

export const readRequests = (signal?: AbortSignal): Promise<EnrolmentRequests> => ask(addressOf("enrolment/requests"), signal);
export const approveRequest = (id: number, terms: Admittance): Promise<unknown> =>
  send("POST", addressOf(`enrolment/requests/${id}/approval`), terms);
export const refuseRequest = (id: number): Promise<void> => send("DELETE", addressOf(`enrolment/requests/${id}`));

export const readKeys = async (signal?: AbortSignal): Promise<PeerKey[]> =>
  (await ask<{ keys: PeerKey[] }>(addressOf("keys"), signal)).keys;
export const revokeKey = (key: string): Promise<void> => send("DELETE", addressOf(`keys/${key}`));
export const rotateKey = (key: string): Promise<unknown> => send("POST", addressOf(`keys/${key}/rotation`));

interface Named {
  definitions: { name: string }[];
}
export const readTemplateNames = async (signal?: AbortSignal): Promise<string[]> =>
  (await ask<Named>(addressOf("definitions", { kind: "template" }), signal)).definitions.map(({ name }) => name);
