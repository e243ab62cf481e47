// An escalation's conditions and steps in words. Pure.

import type { EscalationDocument, EscalationStep } from "../api/escalation.ts";

const UNITS: Record<string, string> = { s: "s", m: "min", h: "h", d: "d", w: "w" };

/** A duration of a definition ("1h30m") as everywhere on the pages: "1 h 30 min". */
export function spanText(written: string): string {
  return written.replaceAll(/([\d.]+)\s*([smhdw])\s*/g, (_all, figure: string, unit: string) => `${figure}\u00a0${UNITS[unit]} `).trim();
}

export function conditionsText(conditions: NonNullable<EscalationDocument["for"]>): string {
  const parts = [
    conditions.severities?.length ? `severity ${conditions.severities.join(", ")}` : "",
    conditions.groups?.length ? `hosts in ${conditions.groups.join(", ")}` : "",
    conditions.hosts?.length ? `the hosts ${conditions.hosts.join(", ")}` : "",
    ...Object.entries(conditions.tags ?? {}).map(([name, value]) => `${name} ${value}`),
  ].filter(Boolean);
  return parts.length === 0 ? "every problem" : parts.join(" · ");
}

export function stepText(step: EscalationStep): string {
  const when = !step.after || step.after === "0s" ? "At once" : `After ${spanText(step.after)}`;
  const by = step.media?.length ? ` by ${step.media.join(" and ")}` : "";
  const times = step.times && step.times > 1 ? `, ${step.times} times` : "";
  const again = step.every ? `, again every ${spanText(step.every)}${times}` : "";
  const only = step.unless_acknowledged === false ? ", also when acknowledged" : "";
  return `${when}: ${step.tell.join(", ")}${by}${again}${only}`;
}
