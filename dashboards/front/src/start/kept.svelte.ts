// What this browser remembers of the first steps.

class Kept {
  is: boolean = $state(false);
  readonly #key: string;

  constructor(name: string) {
    this.#key = `watchkeep.${name}`;
    try {
      this.is = localStorage.getItem(this.#key) === "yes";
    } catch {
      // A browser that keeps nothing begins anew each time.
    }
  }

  put(is: boolean): void {
    this.is = is;
    try {
      if (is) localStorage.setItem(this.#key, "yes");
      else localStorage.removeItem(this.#key);
    } catch {
      // As above.
    }
  }
}

/** The first steps were put away. */
export const dismissed = new Kept("first-steps-away");
/** A test was taken by its receiver, as nothing on the server tells. */
export const seenMessage = new Kept("first-message-seen");
