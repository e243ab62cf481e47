// Who is logged in. "unasked" until the server answered for the first time.

import { logIn, logOut, whoAmI } from "./api/calls.ts";
import { faultFrom } from "./api/poll.svelte.ts";
import { type Fault, whenSessionIsLost } from "./api/request.ts";
import type { Session } from "./api/types.ts";
import { feed } from "./live/feed.svelte.ts";
import { isEnough, type Role } from "./roles.ts";

type Standing = "unasked" | "in" | "out" | "unreachable";

class SessionState {
  standing = $state<Standing>("unasked");
  who = $state.raw<Session | null>(null);
  fault = $state.raw<Fault | null>(null);
  /** True when a session ended by itself: the log-in page says so. */
  wasLost = $state(false);

  constructor() {
    whenSessionIsLost(() => {
      if (this.standing === "in") this.wasLost = true;
      this.#leave();
    });
  }

  /** Whether who is logged in may do what asks for `role`; what he may not is not shown. */
  may(role: Role): boolean {
    return this.who !== null && isEnough(this.who.role, role);
  }

  find = async (): Promise<void> => {
    try {
      this.#enter(await whoAmI());
    } catch (error) {
      this.fault = faultFrom(error);
      if (this.fault.status === 401) this.#leave();
      else this.standing = "unreachable";
    }
  };

  async enter(user: string, password: string): Promise<void> {
    this.#enter(await logIn(user, password));
  }

  leave = async (): Promise<void> => {
    await logOut().catch(() => undefined);
    this.wasLost = false;
    this.#leave();
  };

  #enter(who: Session): void {
    this.who = who;
    this.standing = "in";
    this.wasLost = false;
    this.fault = null;
    feed.start();
  }

  #leave(): void {
    this.who = null;
    this.standing = "out";
    feed.stop();
  }
}

export const session = new SessionState();
