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
  host: string | null;
  templates: string[];
  groups: string[];
  created_by: string;
  created_at: string;
  expires_at: string;
  state?: string;
  used_at: string | null;
  used_by: string | null;
  revoked_at: string | null;
}

export interface EnrolmentRequest {
  id: number;
  name: string;
  fingerprint?: string;
  key: string;
  software: string;
  address: string;
  requested_at: string;
}

export interface PeerKey {
  key: string;
  role: string;
  name: string;
  state: string;
  since?: string | null;
  rotation?: unknown;
}

export const makeToken = (wish: TokenWish): Promise<NewToken> => send("POST", addressOf("enrolment/tokens"), wish);
export const readEnrolmentTokens = async (signal?: AbortSignal): Promise<EnrolmentToken[]> =>
  (await ask<{ tokens: EnrolmentToken[] }>(addressOf("enrolment/tokens"), signal)).tokens;
export const revokeToken = (id: string): Promise<void> => send("DELETE", addressOf(`enrolment/tokens/${encodeURIComponent(id)}`));

export const readRequests = async (signal?: AbortSignal): Promise<EnrolmentRequest[]> =>
  (await ask<{ requests: EnrolmentRequest[] }>(addressOf("enrolment/requests"), signal)).requests;
export const approveRequest = (id: number, terms: { templates: string[]; groups: string[] }): Promise<unknown> =>
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
