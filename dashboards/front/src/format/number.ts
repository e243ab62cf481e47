// Numbers for people: the unit chosen so that the figure has few digits, never more precision than helps.

const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
const DECIMAL = ["", "k", "M", "G", "T"];
const MISSING = "–";

/** Figure and unit apart, so that tables can align them. */
export interface Quantity {
  figure: string;
  unit: string;
}

/** At most three significant digits below a thousand, none behind the point above. */
export function figureOf(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e15 || size < 1e-4) return value.toExponential(1);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 4;
  return withGroups(value.toFixed(digits));
}

function withGroups(text: string): string {
  const [whole = "", fraction] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const kept = fraction?.replace(/0+$/, "");
  return kept ? `${grouped}.${kept}` : grouped;
}

function scaled(value: number, base: number, prefixes: readonly string[]): [number, string] {
  let left = value;
  let step = 0;
  while (Math.abs(left) >= base * 0.9995 && step < prefixes.length - 1) {
    left /= base;
    step += 1;
  }
  return [left, prefixes[step] ?? ""];
}

/** Choose prefix and digits for a value in `unit` ("B", "B/s", "%", "s", "1/s", "" …). */
export function quantityOf(value: number | null | undefined, unit: string): Quantity {
  if (value === null || value === undefined || !Number.isFinite(value)) return { figure: MISSING, unit: "" };
  switch (unit) {
    case "B":
    case "bytes":
    case "B/s": {
      const [left, prefix] = scaled(value, 1024, BINARY);
      return { figure: prefix === "" ? withGroups(left.toFixed(0)) : figureOf(left), unit: `${prefix}B${unit === "B/s" ? "/s" : ""}` };
    }
    case "bit/s": {
      const [left, prefix] = scaled(value, 1000, DECIMAL);
      return { figure: figureOf(left), unit: `${prefix}bit/s` };
    }
    case "%":
    case "percent":
      return { figure: value.toFixed(Math.abs(value) < 99.95 ? 1 : 0), unit: "%" };
    case "s":
      return durationQuantity(value);
    case "1/s":
      return { figure: figureOf(value), unit: "/s" };
    default:
      return { figure: figureOf(value), unit };
  }
}

function durationQuantity(seconds: number): Quantity {
  const size = Math.abs(seconds);
  if (size === 0) return { figure: "0", unit: "s" };
  if (size < 1e-3) return { figure: figureOf(seconds * 1e6), unit: "µs" };
  if (size < 1) return { figure: figureOf(seconds * 1e3), unit: "ms" };
  if (size < 60) return { figure: figureOf(seconds), unit: "s" };
  return { figure: durationText(seconds), unit: "" };
}

/** "3 d 4 h", "5 min 20 s": the two largest parts. */
export function durationText(seconds: number): string {
  const parts: [number, string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  let left = Math.round(Math.abs(seconds));
  const sign = seconds < 0 ? "−" : "";
  const first = parts.findIndex(([size]) => left >= size);
  if (first < 0) return "0 s";
  const words: string[] = [];
  for (const [size, name] of parts.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) words.push(`${count}\u00a0${name}`);
  }
  return sign + words.join(" ");
}

/** Figure and unit in one text. */
export function valueText(value: number | string | null | undefined, unit: string): string {
  if (typeof value === "string") return value;
  const { figure, unit: shown } = quantityOf(value, unit);
  return shown ? `${figure}\u00a0${shown}` : figure;
}

/** A whole number with thin spaces between thousands. */
export function countText(value: number): string {
  return withGroups(value.toFixed(0));
}

/** "1 host", "2 hosts". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)}\u00a0${count === 1 ? one : many}`;
}
