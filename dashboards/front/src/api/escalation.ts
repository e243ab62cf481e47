// A problem's life and who is told of it.

import { addressOf, ask, send } from "./request.ts";
import type { Acknowledgement, Problem, Severity } from "./types.ts";

export type Moment = "opened" | "acknowledged" | "note" | "told" | "failed" | "resolved" | "closed";

export interface TimelineEntry {
  kind: Moment | (string & {});
  at: string;
  by?: string | null;
  text?: string | null;
}

/** What is sent next if nothing changes. */
export interface Due {
  at: string;
  text?: string | null;
}

export interface ProblemDetail extends Problem {
  timeline: TimelineEntry[];
  acknowledgement: Acknowledgement | null;
  due?: Due[];
}

export const readProblem = (id: string, signal?: AbortSignal): Promise<ProblemDetail> =>
  ask(addressOf(`problems/${encodeURIComponent(id)}`), signal);

export const acknowledge = (id: number, note: string): Promise<unknown> =>
  send("POST", addressOf(`problems/${id}/acknowledgement`), { note });

export const addNote = (id: number, text: string): Promise<unknown> => send("POST", addressOf(`problems/${id}/notes`), { text });

/** What became of a test by one medium. */
export interface Outcome {
  medium: string;
  state: string;
  error?: string | null;
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

export const testReceiver = async (name: string): Promise<Outcome[]> =>
  (await send<{ outcomes: Outcome[] }>("POST", addressOf(`receivers/${encodeURIComponent(name)}/test`), {})).outcomes;
