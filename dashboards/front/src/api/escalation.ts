// A problem's life and who is told of it.

import { addressOf, ask, send } from "./request.ts";
import type { Acknowledgement, Problem, Severity } from "./types.ts";

export type Moment = "opened" | "acknowledged" | "note" | "told" | "waiting" | "failed" | "resolved";

export interface TimelineEntry {
  kind: Moment;
  at: string;
  /** Who did it or, of notices, who was told. */
  by: string | null;
  text: string | null;
  value: number | null;
}

/** What is sent next if nothing changes. */
export interface Due {
  at: string;
  text: string;
}

export interface ProblemDetail extends Problem {
  acknowledgement: Acknowledgement | null;
  description: string;
  timeline: TimelineEntry[];
  due: Due[];
}

export const readProblem = (id: string, signal?: AbortSignal): Promise<ProblemDetail> =>
  ask(addressOf(`problems/${encodeURIComponent(id)}`), signal);

export const acknowledge = (id: number, note: string): Promise<unknown> =>
  send("POST", addressOf(`problems/${id}/acknowledgement`), { note });

export const addNote = (id: number, text: string): Promise<unknown> => send("POST", addressOf(`problems/${id}/notes`), { text });

/** What became of a test by one medium. */
export interface Outcome {
  medium: string;
  state: "taken" | "failed" | "refused";
  answer: string | null;
  error: string | null;
}

export interface ReceiverDocument {
  name: string;
  description?: string;
  severities?: Severity[];
  hours?: string;
  [medium: string]: unknown;
}

export interface EscalationStep {
  after?: string;
  tell: string[];
  media?: string[];
  every?: string;
  times?: number;
  unless_acknowledged?: boolean;
}

export interface EscalationDocument {
  name: string;
  description?: string;
  for?: { severities?: string[]; groups?: string[]; hosts?: string[]; tags?: Record<string, string> };
  steps: EscalationStep[];
}

async function readDefinitions<Document>(kind: string, signal?: AbortSignal): Promise<Document[]> {
  const answer = await ask<{ definitions: { name: string; document: Document }[] }>(addressOf("definitions", { kind }), signal);
  return answer.definitions.map(({ name, document }) => ({ ...document, name }));
}

export const readReceivers = (signal?: AbortSignal): Promise<ReceiverDocument[]> => readDefinitions("receiver", signal);
export const readEscalations = (signal?: AbortSignal): Promise<EscalationDocument[]> => readDefinitions("escalation", signal);

export const saveReceiver = (name: string, document: Record<string, unknown>): Promise<unknown> =>
  send("PUT", addressOf(`definitions/receiver/${encodeURIComponent(name)}`), document);

// The server gives each medium twenty seconds.
const TEST_MS = 35_000;

export const testReceiver = async (name: string): Promise<Outcome[]> =>
  (await send<{ outcomes: Outcome[] }>("POST", addressOf(`receivers/${encodeURIComponent(name)}/test`), {}, undefined, TEST_MS)).outcomes;

/** Somebody who would be told, and when. */
export interface Foreseen {
  at: string;
  after_seconds: number;
  escalation: string | null;
  step: number;
  receiver: string;
  media: string;
  every_seconds: number | null;
  times: number | null;
  unless_acknowledged: boolean;
  text: string;
}

export const previewEscalations = async (host: string, severity: Severity, signal?: AbortSignal): Promise<Foreseen[]> =>
  (await ask<{ tellings: Foreseen[] }>(addressOf("escalations/preview", { host, severity }), signal)).tellings;
