import type { HealthActivities, HealthInput } from '../../src/activities/check-health/check-health.ts';
import type { FindingsSection } from '../../src/operations/report.ts';

/** What looks at a host that answers, each as one section. */
export function looksOf(health: HealthActivities): readonly ((input: HealthInput) => Promise<FindingsSection>)[] {
  const { reachHost: _reach, inspectLastKnown: _known, ...looks } = health;
  return Object.values(looks);
}
