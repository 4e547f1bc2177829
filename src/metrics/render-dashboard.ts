import type { Dashboard, Panel } from './dashboards.ts';

/** The datasource of `deploy/monitoring/grafana/provisioning`. */
const datasource = { type: 'prometheus', uid: 'prometheus' } as const;

const kinds = { lines: 'timeseries', numbers: 'stat', table: 'table' } as const;
/** Grafana divides a row into 24. */
const width = 8;
const height = 8;

/** A dashboard as Grafana reads it from a file. The same definition gives the same text. */
export function renderDashboard({ name, title, about, groups }: Dashboard): string {
  const panels: object[] = [];
  let y = 0;
  let id = 0;
  for (const group of groups) {
    id += 1;
    panels.push({
      id,
      type: 'row',
      title: group.title,
      collapsed: false,
      gridPos: { h: 1, w: 24, x: 0, y },
      panels: [],
    });
    y += 1;
    for (const [at, panel] of group.panels.entries()) {
      id += 1;
      const gridPos = { h: height, w: width, x: (at % 3) * width, y: y + Math.floor(at / 3) * height };
      panels.push(renderPanel(panel, id, gridPos));
    }
    y += Math.ceil(group.panels.length / 3) * height;
  }
  const dashboard = {
    uid: `proxmox-mcp-${name}`,
    title,
    description: about,
    tags: ['proxmox-mcp'],
    timezone: 'browser',
    schemaVersion: 39,
    editable: false,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    links: [{ type: 'dashboards', title: 'Proxmox MCP', tags: ['proxmox-mcp'], asDropdown: true, keepTime: true }],
    panels,
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

function renderPanel({ title, about, kind, unit, queries }: Panel, id: number, gridPos: object): object {
  const isTable = kind === 'table';
  return {
    id,
    type: kinds[kind],
    title,
    description: about,
    datasource,
    gridPos,
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCharCode(65 + at),
      datasource,
      expr,
      legendFormat: legend,
      ...(kind === 'lines' ? { range: true } : { instant: true, range: false }),
      ...(isTable && { format: 'table' }),
    })),
    fieldConfig: { defaults: { unit, ...(kind === 'lines' && { min: 0 }) }, overrides: [] },
    ...(kind === 'numbers' && {
      options: { reduceOptions: { calcs: ['lastNotNull'] }, textMode: 'value_and_name', colorMode: 'none' },
    }),
    ...(kind === 'lines' && {
      options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    }),
    ...(isTable && {
      transformations: [
        {
          id: 'organize',
          options: {
            excludeByName: { Time: true, __name__: true, instance: true, job: true, role: true, Value: true },
          },
        },
      ],
    }),
  };
}
