import { readFileSync } from 'node:fs';

export const when = 'after-build';

/** Grafana's dashboards, and the page of metrics, dashboards and alerts. */
export async function generate() {
  // Here, because what is generated before the build is generated without packages, too.
  const { parse } = await import('yaml');
  const { dashboards } = await import('../../dist/src/metrics/dashboards.js');
  const { tables } = await import('../../dist/src/metrics/instruments.js');
  const { renderDashboard } = await import('../../dist/src/metrics/render-dashboard.js');
  const files = dashboards.map((one) => [
    `deploy/monitoring/grafana/dashboards/${one.name}.json`,
    renderDashboard(one),
  ]);
  return { ...Object.fromEntries(files), 'docs/metrics.md': page(dashboards, tables, parse) };
}

function page(dashboards, tables, parse) {
  const { groups } = parse(readFileSync('deploy/monitoring/prometheus/rules.yml', 'utf8'));
  const cell = (text) => text.replaceAll('|', '\\|');
  const metrics = Object.entries(tables).flatMap(([where, table]) => [
    `### Of ${where}`,
    '',
    '| metric | kind | labels | what it says |',
    '|---|---|---|---|',
    ...Object.values(table).map(
      ({ name, kind, labels, help }) =>
        `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${cell(help)} |`,
    ),
    '',
  ]);
  const alerts = groups.flatMap(({ name, rules }) => [
    `### ${name[0].toUpperCase()}${name.slice(1)}`,
    '',
    '| alert | severity | after | what it says | what to do |',
    '|---|---|---|---|---|',
    ...rules.map(
      ({ alert, labels, annotations, for: after = 'at once' }) =>
        `| ${alert} | ${labels.severity} | ${after} | ${cell(readable(annotations.summary))} | ${cell(readable(annotations.remedy))} |`,
    ),
    '',
  ]);
  const shown = dashboards.flatMap(({ title, about, groups: parts }) => [
    `### ${title}`,
    '',
    about,
    '',
    '| group | panel | what it shows |',
    '|---|---|---|',
    ...parts.flatMap((part) => part.panels.map((panel) => `| ${part.title} | ${panel.title} | ${cell(panel.about)} |`)),
    '',
  ]);
  return [
    "<!-- Made by `npm run generate` from src/metrics and deploy/monitoring/prometheus/rules.yml. Don't edit. -->",
    '# Metrics, alerts and dashboards',
    '',
    '[Monitoring](monitoring.md) says how they are turned on and where they are.',
    '',
    '## Alerts',
    '',
    ...alerts,
    '## Dashboards',
    '',
    ...shown,
    '## Metrics of the service',
    '',
    'Labels mean the same everywhere; their values are names from the catalogue, the configuration and closed lists, never words of a',
    'request: `host`, `operation`, `target_kind`, `risk` (read, change, dangerous), `outcome` (how it ended, or the error’s code),',
    '`verdict` (the worst of a report), `role`. Each process also tells of its memory, processor time and event loop (`process_…`,',
    '`nodejs_…`), and a worker’s page ends with the metrics of Temporal’s SDK (`temporal_…`).',
    '',
    ...metrics,
  ]
    .join('\n')
    .replace(/\n+$/, '\n');
}

/** `{{ $labels.host }}` → HOST, `{{ $value | humanizeDuration }}` → N. */
function readable(text) {
  return text
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label) => label.toUpperCase())
    .replaceAll(/\{\{ \$value[^}]*\}\}/g, 'N');
}
