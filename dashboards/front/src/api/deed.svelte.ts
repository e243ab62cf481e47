// Something the reader asks to be done: whether it is under way, and why it failed.

import { faultFrom } from "./poll.svelte.ts";
import type { Fault } from "./request.ts";

export class Deed {
  isDoing = $state(false);
  fault = $state.raw<Fault | null>(null);

  /** Do it unless it is under way; true when it was done. */
  async do(act: () => Promise<unknown>): Promise<boolean> {
    if (this.isDoing) return false;
    this.isDoing = true;
    this.fault = null;
    try {
      await act();
      return true;
    } catch (error) {
      this.fault = faultFrom(error);
      return false;
    } finally {
      this.isDoing = false;
    }
  }
}
