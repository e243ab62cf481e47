// Facts that are asked for again and again: at once, on an interval while the page is seen, and on demand.

import { onDestroy } from "svelte";
import { Fault } from "./request.ts";

/** The last answer and the last fault; a fault keeps the old answer in sight. */
export class Polled<Facts> {
  facts = $state.raw<Facts | null>(null);
  fault = $state.raw<Fault | null>(null);
  isAsking = $state(false);
  #read: (signal: AbortSignal) => Promise<Facts>;
  #running: AbortController | null = null;
  #soon: ReturnType<typeof setTimeout> | null = null;

  constructor(read: (signal: AbortSignal) => Promise<Facts>) {
    this.#read = read;
  }

  /** Ask now; a question still under way is given up. */
  refresh = async (): Promise<void> => {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.isAsking = true;
    try {
      const facts = await this.#read(running.signal);
      if (running.signal.aborted) return;
      this.facts = facts;
      this.fault = null;
    } catch (error) {
      if (running.signal.aborted) return;
      this.fault = faultFrom(error);
    } finally {
      if (this.#running === running) this.isAsking = false;
    }
  };

  /** Ask within `delay_ms`, once for many calls. */
  refreshSoon(delay_ms: number): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      void this.refresh();
    }, delay_ms);
  }

  stop(): void {
    this.#running?.abort();
    if (this.#soon !== null) clearTimeout(this.#soon);
  }
}

/** Poll while the component lives; call it while the component is being set up. Pages out of sight do not ask. */
export function poll<Facts>(read: (signal: AbortSignal) => Promise<Facts>, every_ms: number): Polled<Facts> {
  const polled = new Polled(read);
  const look = (): void => {
    if (!document.hidden) void polled.refresh();
  };
  const timer = setInterval(look, every_ms);
  document.addEventListener("visibilitychange", look);
  onDestroy(() => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
    polled.stop();
  });
  void polled.refresh();
  return polled;
}

/** Whatever was thrown, as a Fault for people. */
export function faultFrom(error: unknown): Fault {
  if (error instanceof Fault) return error;
  return new Fault("page", "This page made a mistake.", "Reload it; if it happens again, please report it.");
}
