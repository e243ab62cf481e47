// Whether the first steps were put away; kept in this browser.

const KEY = "watchkeep.first-steps";

class Dismissed {
  is = $state(kept());

  put(isAway: boolean): void {
    this.is = isAway;
    try {
      if (isAway) localStorage.setItem(KEY, "away");
      else localStorage.removeItem(KEY);
    } catch {
      // A browser that keeps nothing shows them again next time.
    }
  }
}

function kept(): boolean {
  try {
    return localStorage.getItem(KEY) === "away";
  } catch {
    return false;
  }
}

export const dismissed = new Dismissed();
