// Arrow keys walk through the rows of a list; each row's main link carries data-row.

const STEPS: Record<string, (at: number, last: number) => number> = {
  ArrowDown: (at, last) => Math.min(at + 1, last),
  ArrowUp: (at) => at - 1,
  Home: () => 0,
  End: (_at, last) => last,
};

/** An attachment for a list: arrow keys pressed inside it move the focus; above the first row they call `leave`. */
export function walking(leave?: () => void): (list: HTMLElement) => () => void {
  return (list) => {
    const pressed = (event: KeyboardEvent): void => walkRows(event, list, leave);
    list.addEventListener("keydown", pressed);
    return () => list.removeEventListener("keydown", pressed);
  };
}

function walkRows(event: KeyboardEvent, list: HTMLElement, leave?: () => void): void {
  const step = STEPS[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target instanceof HTMLElement && event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  const rows = [...list.querySelectorAll<HTMLElement>("[data-row]")];
  if (rows.length === 0) return;
  const row = (event.target as HTMLElement).closest("tr, li")?.querySelector<HTMLElement>("[data-row]");
  const next = step(row ? rows.indexOf(row) : -1, rows.length - 1);
  event.preventDefault();
  if (next < 0) leave?.();
  else rows[next]?.focus();
}

/** Put the focus on the first row. */
export function enterRows(list: HTMLElement | undefined): void {
  list?.querySelector<HTMLElement>("[data-row]")?.focus();
}
