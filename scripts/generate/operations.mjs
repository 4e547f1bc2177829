export const when = 'after-build';

/** docs/operations.md: the catalogue as people read it. */
export async function generate() {
  // Here, because a bare clone that only generates before the build has no packages yet.
  const { z } = await import('zod');
  const { catalogue } = await import('../../dist/src/operations/catalogue.generated.js');
  const { risksOf, riskText } = await import('../../dist/src/operations/definition.js');
  const { writtenInput } = await import('../../dist/src/runs/name-guest.js');
  const { howToStart } = await import('../../dist/src/mcp/tools/operation-tools.js');
  const operations = Object.values(catalogue);
  const lines = [
    '# Operations',
    '',
    '<!-- Made by `npm run generate` from src/operations. Edit the operation, not this page. -->',
    '',
    'Every operation is a durable workflow. It is started through MCP, by its command, or by its schedules, which are',
    "read in the host's time zone. `search_operations` finds all of them; any can also be started with the tool for its risk.",
    '',
    'What a finished run has changed is taken back by another run (`undo_run`, `npx proxmox-mcp runs undo`), for as long as the',
    'run is known, 30 days, and while all is as that run left it.',
    '',
    'In the nights when the clock changes, what falls into the time that is skipped or comes twice runs once, when that time',
    'is over: in Europe/Berlin a daily run at 02:00 starts at 03:00 then. `npx proxmox-mcp schedules list` shows the next such',
    'night of each schedule. What runs in every hour of every day (`*/10 * * * *`) counts hours and leaves none out.',
    '',
    'Any operation can be scheduled by anybody who may start it: [schedules](schedules.md).',
    '',
    '| operation | MCP tool | risk | what it does |',
    '|---|---|---|---|',
    ...operations.map((o) => {
      const how = howToStart(o);
      const tools = typeof how === 'string' ? [how] : [...new Set(Object.values(how))];
      const shown = tools.map((tool) => `\`${tool}\``).join(', ');
      return `| [${o.name}](#${o.name}) | ${shown} | ${risksOf(o).join(', ')} | ${o.summary} |`;
    }),
    ...operations.flatMap((operation) => [
      '',
      ...describe(operation, riskText(operation), z.toJSONSchema(writtenInput(operation), { io: 'input' })),
    ]),
    '',
  ];
  return { 'docs/operations.md': lines.join('\n') };
}

function describe(operation, risk, schema) {
  const required = new Set(schema.required ?? []);
  return [
    `## ${operation.name}`,
    '',
    operation.description,
    '',
    `Acts on a **${operation.target}** (${needs[operation.needs]}). Risk: **${risk}**. Replaces the guide's “${operation.guide}”.${operation.subject === undefined ? '' : ` Who hears of it first: **${operation.subject}**.`}`,
    '',
    `Steps: ${operation.steps.join(' → ')}.`,
    ...(operation.undo === undefined ? [] : ['', `Undo of what is done: ${operation.undo.how}`]),
    ...rightsOf(operation.api),
    '',
    '| input | type | meaning |',
    '|---|---|---|',
    ...Object.entries(schema.properties ?? {}).map(([name, property]) => {
      const one = property.type ?? (property.anyOf ?? []).map(({ type }) => type).join(' or ');
      const type = property.enum ? property.enum.map((value) => `\`${value}\``).join(', ') : one;
      const optional =
        required.has(name) || property.default === undefined
          ? ''
          : ` Default: \`${JSON.stringify(property.default)}\`.`;
      return `| \`${name}\` | ${type} | ${property.description ?? ''}.${optional} |`;
    }),
    ...operation.schedules.flatMap((schedule) => [
      '',
      `Schedule **${schedule.id}**: \`${schedule.cron}\`; overlapping runs: ${schedule.overlap}; a missed run is made up for ${duration(schedule.catchUpWindowMs)};`,
      `${schedule.pauseOnFailure ? 'pauses when a run fails' : 'goes on when a run fails'}. ${schedule.why}`,
    ]),
  ];
}

/** `VM.Audit` on guests; to change: `VM.Snapshot` on guests. */
function rightsOf(api) {
  if (api === undefined) return [];
  const listed = (rights) =>
    rights
      .map(({ privilege, on, when }) => `\`${privilege}\` on ${places[on]}${when === undefined ? '' : ` (${when})`}`)
      .join(', ');
  const change = api.changes.length === 0 ? '' : `; to change: ${listed(api.changes)}`;
  return ['', `[Rights](connections.md#rights-of-the-api-token) in the Proxmox API: ${listed(api.reads)}${change}.`];
}

const places = {
  root: '`/`',
  guest: 'the guest',
  node: 'the node',
  storage: 'the storage',
  pool: 'the pool',
  network: 'the network',
};

const needs = {
  commands: 'over SSH or on this machine',
  api: 'through the Proxmox API',
  either: 'over SSH, on this machine or through the Proxmox API',
};

function duration(ms) {
  return ms >= 3_600_000 ? `${ms / 3_600_000} h` : `${ms / 60_000} min`;
}
