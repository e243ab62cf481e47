// One door to the REST API: every answer is either the promised JSON or a Fault that says what to do.

/** Why an answer did not come, in words for people. */
export class Fault extends Error {
  readonly code: string;
  readonly remedy: string;
  readonly status: number;

  constructor(code: string, message: string, remedy: string, status = 0) {
    super(message);
    this.name = "Fault";
    this.code = code;
    this.remedy = remedy;
    this.status = status;
  }
}

const TIMEOUT_MS = 20_000;
let atLostSession: () => void = () => undefined;

/** Name what happens when the server says that nobody is logged in. */
export function whenSessionIsLost(act: () => void): void {
  atLostSession = act;
}

/** The address of an API path; relative to the page, so that Watchkeep may live under a prefix. */
export function addressOf(path: string, query: Record<string, string | number | undefined> = {}): string {
  const address = new URL(`api/v1/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") address.searchParams.append(name, String(value));
  }
  return address.href;
}

/** Ask the API. Rejects with a Fault; with an AbortError when `signal` was aborted. */
export async function ask<Answer>(address: string, signal?: AbortSignal, timeout_ms = TIMEOUT_MS): Promise<Answer> {
  return send<Answer>("GET", address, undefined, signal, timeout_ms);
}

/** Send a request with an optional JSON body. Rejects like `ask`. */
export async function send<Answer>(
  method: string,
  address: string,
  body?: unknown,
  signal?: AbortSignal,
  timeout_ms = TIMEOUT_MS,
): Promise<Answer> {
  const timeout = AbortSignal.timeout(timeout_ms);
  let response: Response;
  try {
    response = await fetch(address, {
      method,
      credentials: "same-origin",
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable(timeout.aborted);
  }
  if (response.status === 204) return undefined as Answer;
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const fault = faultOf(response.status, answer);
    if (response.status === 401 && method === "GET") atLostSession();
    throw fault;
  }
  if (answer === null) {
    throw new Fault("not_json", "The server's answer could not be read.", "Reload the page; if it stays, look at the server's log.");
  }
  return answer as Answer;
}

function unreachable(isTimeout: boolean): Fault {
  return isTimeout
    ? new Fault("timeout", "The server did not answer in time.", "It may be busy. Try again in a moment.")
    : new Fault("unreachable", "The server cannot be reached.", "Check your network and that Watchkeep's server is running, then try again.");
}

function faultOf(status: number, answer: unknown): Fault {
  const error = (answer as { error?: { code?: string; message?: string; remedy?: string } } | null)?.error;
  return new Fault(
    error?.code ?? `http_${status}`,
    error?.message ?? `The server answered with status ${status}.`,
    error?.remedy ?? (status >= 500 ? "Try again; if it stays, look at the server's log." : "Check the address of this page."),
    status,
  );
}
