// What the REST API answers, as docs of /api/v1 promise it. Instants are ISO 8601 UTC; columns hold epoch milliseconds.

export type Severity = "information" | "warning" | "average" | "high" | "disaster";
export type HostState = "up" | "silent" | "unknown";
/** A structured item's value is the document itself. */
export type Document = { [key: string]: unknown } | unknown[];
export type Value = number | string | Document;

export interface Session {
  user: string;
  full_name?: string;
  role: string;
  /** Host groups the account is bound to; null: all hosts. */
  groups?: string[] | null;
}

export interface HostSummary {
  cpu_busy?: number | null;
  memory_used_percent?: number | null;
  disk_used_percent?: number | null;
}

export interface Host {
  id: number;
  name: string;
  state: HostState;
  templates: string[];
  problems: Partial<Record<Severity, number>>;
  items: number;
  last_at: string | null;
  summary: HostSummary;
}

export interface AgentFacts {
  boot?: string | number | null;
  software?: string | null;
  upstream?: string | null;
  clock_skew_seconds?: number | null;
  spool_bytes?: number | null;
}

export interface HostDetail extends Host {
  agent: AgentFacts | null;
}

export interface Item {
  id: number;
  host: string;
  key: string;
  name: string;
  parameter: string | null;
  type: string;
  unit: string;
  description: string;
  value: Value | null;
  at: string | null;
}

export interface ItemPage {
  items: Item[];
  next: string | number | null;
}

export interface Series {
  item: number;
  unit: string;
  source: "values" | "trends";
  /** Since when the item exists: before that nothing is missing. */
  known_since: number;
  at: number[];
  value: (number | null)[];
  minimum: (number | null)[];
  maximum: (number | null)[];
}

export interface Told {
  receiver: string;
  media: string;
  state: string;
  at: string | null;
  attempts: number;
  error: string | null;
}

export interface Acknowledgement {
  by: string;
  at: string;
  note: string | null;
}

export interface Problem {
  id: number;
  host: string;
  trigger: string;
  name: string;
  severity: Severity;
  parameter: string;
  opened_at: string;
  resolved_at: string | null;
  value: number | null;
  unit: string | null;
  told: Told[];
  items?: number[];
  acknowledgement?: Acknowledgement | null;
}

export interface Part {
  kind: string;
  name: string;
  state: string;
  since: string | null;
  counters: Record<string, number>;
  notes: string[];
}

export interface Refusal {
  kind: string;
  count: number;
  last_at: string | null;
  last_detail: string | null;
}

export interface StoreFacts {
  size_bytes: number | null;
  values_per_second: number | null;
  oldest_at: string | null;
  database_version: string | null;
  timescale: boolean;
}

export interface Health {
  role: "active" | "standby";
  epoch: number;
  server: string;
  parts: Part[];
  refusals: Refusal[];
  store: StoreFacts;
}
