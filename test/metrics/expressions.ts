import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { dashboards } from '../../src/metrics/dashboards.ts';
import { folder } from './prometheus.ts';

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export function rules(): readonly Rule[] {
  const { groups } = parse(readFileSync(join(folder, 'rules.yml'), 'utf8'));
  return groups.flatMap((group: { rules: readonly Rule[] }) => group.rules);
}

/** What each panel asks, with what Grafana would put in for its own words: `[what it is, expression]`. */
export function panelExpressions(): readonly (readonly [string, string])[] {
  return dashboards.flatMap(({ title, groups }) =>
    groups.flatMap(({ panels }) =>
      panels.flatMap((panel) =>
        panel.queries.map(({ expr }) => {
          const asked = expr.replaceAll('$__rate_interval', '1m').replaceAll('$__range', '5m');
          return [`${title}: ${panel.title}`, asked] as const;
        }),
      ),
    ),
  );
}

/**
 * A rule's expression so that it has a value also where nothing is wrong: 0 for what a comparison leaves out, and what an
 * `absent` looks for itself. A metric or a label that isn't there is then no data.
 */
export function withoutThresholds(expr: string): string {
  const absent = /^absent\((.*)\)$/s.exec(expr)?.[1] ?? expr;
  return absent.replaceAll(/ (==|!=|>=|<=|>|<) (?!bool)/g, ' $1 bool ');
}
