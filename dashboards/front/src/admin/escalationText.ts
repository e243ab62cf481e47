// An escalation's conditions and steps in words. Pure.

import type { EscalationDocument, EscalationStep } from "../api/escalation.ts";

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
  const when = !step.after || step.after === "0s" ? "At once" : `After ${step.after}`;
  const by = step.media?.length ? ` by ${step.media.join(" and ")}` : "";
  const times = step.times && step.times > 1 ? `, ${step.times} times` : "";
  const again = step.every ? `, again every ${step.every}${times}` : "";
  const only = step.unless_acknowledged === false ? ", also when acknowledged" : "";
  return `${when}: ${step.tell.join(", ")}${by}${again}${only}`;
}
