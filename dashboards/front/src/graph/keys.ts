// What a key means on a graph. Pure.

export type KeyAction = { kind: "read"; step: number } | { kind: "in" | "out" | "past" | "future" | "stop" };

/** Null for keys that mean nothing here, so that the browser's own keys go on working. */
export function keyAction(event: Pick<KeyboardEvent, "key" | "shiftKey" | "ctrlKey" | "metaKey" | "altKey">): KeyAction | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  switch (event.key) {
    case "ArrowLeft":
      return event.shiftKey ? { kind: "past" } : { kind: "read", step: -1 };
    case "ArrowRight":
      return event.shiftKey ? { kind: "future" } : { kind: "read", step: 1 };
    case "+":
    case "=":
      return { kind: "in" };
    case "-":
      return { kind: "out" };
    case "Escape":
      return { kind: "stop" };
    default:
      return null;
  }
}
