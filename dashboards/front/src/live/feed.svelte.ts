// The live feed: one EventSource a page, reopened with another list of items when what is watched changes.

import { addressOf } from "../api/request.ts";
import { whoAmI } from "../api/calls.ts";
import { nextDelay } from "./backoff.ts";

export type Point = [number, number | string];
export type LinkState = "idle" | "connecting" | "live" | "lost";
type ValueListener = (item: number, points: Point[]) => void;

const SILENCE_MS = 40_000; // the server pings more often than this; longer silence means a dead link
const MOST_ITEMS = 400; // more would make the address too long for some reverse proxies
const SETTLE_MS = 60;

class Feed {
  state = $state<LinkState>("idle");
  /** When the last message came (epoch ms). */
  heard_at = $state(0);
  /** When the next try is due while the link is lost (epoch ms). */
  retry_at = $state(0);
  /** Grows whenever a lost link is back: whoever missed values reads them again. */
  returns = $state(0);

  #watchers = new Map<symbol, { items: readonly number[]; listener: ValueListener }>();
  #problemListeners = new Set<() => void>();
  #source: EventSource | null = null;
  #address = "";
  #delay_ms = 0;
  #settle: ReturnType<typeof setTimeout> | null = null;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #silence: ReturnType<typeof setTimeout> | null = null;
  #isOn = false;

  /** Begin; the feed stays open until `stop`, even when no item is watched. */
  start(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    this.#reopen();
  }

  stop(): void {
    this.#isOn = false;
    this.#close();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#address = "";
    this.state = "idle";
  }

  /** Hear new values of some items; returns how to stop. */
  watchValues(items: readonly number[], listener: ValueListener): () => void {
    const key = Symbol("watcher");
    this.#watchers.set(key, { items, listener });
    this.#settleSoon();
    return () => {
      this.#watchers.delete(key);
      this.#settleSoon();
    };
  }

  /** Hear that problems opened or resolved; returns how to stop. */
  watchProblems(listener: () => void): () => void {
    this.#problemListeners.add(listener);
    return () => this.#problemListeners.delete(listener);
  }

  /** Do not wait for the next try. */
  tryNow = (): void => {
    if (this.state === "lost") this.#open();
  };

  #settleSoon(): void {
    this.#settle ??= setTimeout(() => {
      this.#settle = null;
      this.#reopen();
    }, SETTLE_MS);
  }

  #wantedAddress(): string {
    const items = new Set<number>();
    for (const watcher of this.#watchers.values()) for (const item of watcher.items) items.add(item);
    return addressOf("stream", { items: [...items].sort((a, b) => a - b).slice(0, MOST_ITEMS).join(","), problems: 1 });
  }

  #reopen(): void {
    if (!this.#isOn) return;
    const address = this.#wantedAddress();
    if (address === this.#address && this.#source) return;
    this.#address = address;
    if (this.state !== "lost") this.#open();
  }

  #open(): void {
    this.#close();
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.state !== "live" && this.state !== "lost") this.state = "connecting";
    const source = (this.#source = new EventSource(this.#address, { withCredentials: true }));
    this.#hearFor(source);
    source.onopen = () => this.#heard();
    source.onerror = () => this.#lose();
    source.addEventListener("ping", () => this.#heard());
    source.addEventListener("values", (event: MessageEvent<string>) => this.#deliver(event.data));
    source.addEventListener("problems", () => {
      this.#heard();
      for (const listener of this.#problemListeners) listener();
    });
  }

  #hearFor(source: EventSource): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      if (this.#source === source) this.#lose();
    }, SILENCE_MS);
  }

  #heard(): void {
    this.heard_at = Date.now();
    this.#delay_ms = 0;
    if (this.#source) this.#hearFor(this.#source);
    if (this.state === "lost") this.returns += 1;
    this.state = "live";
  }

  #deliver(data: string): void {
    this.#heard();
    const values = JSON.parse(data) as Record<string, Point[]>;
    for (const { items, listener } of this.#watchers.values()) {
      for (const item of items) {
        const points = values[item];
        if (points) listener(item, points);
      }
    }
  }

  #lose(): void {
    this.#close();
    if (!this.#isOn) return;
    this.state = "lost";
    this.#delay_ms = nextDelay(this.#delay_ms, Math.random());
    this.retry_at = Date.now() + this.#delay_ms;
    this.#retry = setTimeout(() => this.#open(), this.#delay_ms);
    // An ended session looks like a lost link to EventSource: this question sends the reader to the log-in page.
    whoAmI().catch(() => undefined);
  }

  #close(): void {
    this.#source?.close();
    this.#source = null;
    if (this.#silence !== null) clearTimeout(this.#silence);
  }
}

export const feed = new Feed();
