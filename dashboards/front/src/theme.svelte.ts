// Light, dark or the system's choice; kept in this browser. The choice is an attribute of <html> that the tokens read.

export type Theme = "system" | "light" | "dark";
const KEY = "watchkeep.theme";

class ThemeState {
  chosen = $state<Theme>(kept());
  #system = window.matchMedia("(prefers-color-scheme: dark)");
  isDark = $state(false);

  constructor() {
    this.#system.addEventListener("change", () => this.#show());
    this.#show();
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing still shows the choice until it is closed.
    }
    this.#show();
  }

  #show(): void {
    this.isDark = this.chosen === "dark" || (this.chosen === "system" && this.#system.matches);
    document.documentElement.dataset["theme"] = this.isDark ? "dark" : "light";
  }
}

function kept(): Theme {
  try {
    const found = localStorage.getItem(KEY);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}

export const theme = new ThemeState();
