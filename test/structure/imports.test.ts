import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { closureOf, readSources } from './sources.ts';

/**
 * Who may import whom: every folder of `src`, what it holds, and the folders it may import. `types of …` is gone when the
 * program runs. The files directly in `src` beside the two programs are neutral ground: everybody may import them, and
 * they import only each other. The page `docs/architecture.md` shows this table;
 * `npx vitest run test/structure/imports.test.ts -u` writes it there.
 */
const houses: Readonly<Record<string, House>> = {
  operations: {
    holds:
      'the catalogue: one file per operation, pure data and zod schemas; the shapes of targets, findings, reports and runs',
    may: [],
    why: 'is read everywhere, in the workflows’ sandbox too',
  },
  reports: {
    holds: 'a report as text and as mail; how a host’s words are quoted and units written',
    may: ['operations'],
    why: 'only makes text of data',
  },
  backups: {
    holds: 'what an archive of a host is, wherever it lies: its manifest, which ones go, the copies off the host',
    may: ['operations', 'reports'],
    why: 'is the same for who makes archives, copies them, compares them and brings them back; reaches no host',
  },
  workflows: {
    holds: 'durable logic, one file per operation; `lib/` for steps, locks, undo, questions',
    may: ['operations', 'reports'],
    types: ['activities', 'backups'],
    why: 'decides and never touches the world: nothing of Node may get into the bundle',
  },
  activities: {
    holds: 'side effects, one folder per operation of the same name; factories over their dependencies',
    may: ['operations', 'reports', 'backups', 'hosts', 'proxmox', 'mail', 'ledger', 'messages', 'people', 'policy'],
    why: 'acts, through the houses that know how',
  },
  hosts: {
    holds: 'the host’s side: SSH and this machine, the helper and its jobs, commands with their answers, installing',
    may: ['operations', 'reports', 'backups'],
    why: 'knows nothing of Temporal, of MCP or of other protocols; risks and findings are the catalogue’s',
  },
  proxmox: {
    holds: 'the Proxmox API: transport, certificates, reads, tasks',
    may: ['operations', 'reports'],
    why: 'is one protocol, and nothing of Temporal; what the other side says is quoted as anywhere',
  },
  ledger: {
    holds: 'the ledger: its one SQLite file after another, the chain of its records, verifying it',
    may: ['operations', 'reports'],
    why: 'is a store, opened by one process; the others ask that one',
  },
  mail: { holds: 'SMTP', may: [], why: 'is one protocol, and nothing of Temporal' },
  config: {
    holds: '`.env` and `hosts.yaml`: parsed, merged, checked',
    may: ['operations', 'backups'],
    why: 'gives a host’s name the meaning it has in an input, and says what is wrong as findings',
  },
  policy: {
    holds: '`policy.yaml`: who may do what to what and when, who approves it, who is told',
    may: ['operations', 'reports', 'config', 'people'],
    why: 'judges requests from what it is given; asks nobody and changes nothing',
  },
  tracing: {
    holds:
      'sending spans to an OpenTelemetry collector; they are made with `src/trace.ts`, which knows no OpenTelemetry',
    may: [],
    why: 'is loaded only where traces are on',
  },
  tokens: { holds: 'the bearer tokens of MCP', may: [], why: 'stands for itself' },
  people: {
    holds: 'the people who decide: passwords, second factors, roles, keys to sign with; who may approve',
    may: ['operations'],
    why: 'says who somebody is and may be asked for; what they decide is for others',
  },
  runs: {
    holds: 'start, find, watch, decide and end runs; schedules',
    may: ['operations', 'reports', 'messages'],
    why: 'is what MCP, the command line and the service share: Temporal’s client, behind words of the catalogue',
  },
  console: {
    holds:
      'the administrators’ page: signing in, the state, plans and their approval, the ledger, the tools’ documentation',
    may: ['operations', 'reports', 'runs', 'tokens', 'people'],
    why: 'shows what `runs` knows, in a browser; knows nothing of MCP, which serves it over its HTTP',
  },
  metrics: {
    holds:
      'what Prometheus is told: every metric with its labels, and the state of the service as its Temporal server knows it',
    may: ['operations', 'reports', 'runs', 'messages'],
    why: 'only counts, and changes nothing',
  },
  mcp: {
    holds: 'MCP over HTTP and stdio, made from the catalogue',
    may: ['operations', 'reports', 'runs', 'proxmox', 'tokens', 'people', 'console', 'metrics', 'tracing', 'messages'],
    why: 'translates; plain reads of the Proxmox API are answered directly, a host is never reached',
  },
  move: {
    holds:
      'moving to another Temporal server or machine: what comes along, a file for each store; a whole service from its archive',
    may: ['operations', 'reports', 'backups', 'runs', 'ledger', 'people', 'service', 'tokens', 'messages'],
    why: 'reads and writes what the other houses keep, by their own means, once in the life of a service',
  },
  cli: {
    holds: 'the command line, made from the catalogue; `doctor`',
    may: [
      'operations',
      'reports',
      'backups',
      'runs',
      'config',
      'hosts',
      'proxmox',
      'mail',
      'ledger',
      'tokens',
      'mcp',
      'service',
      'worker',
      'people',
      'policy',
      'move',
    ],
    why: 'translates, and starts the programs; what it decides belongs elsewhere',
  },
  worker: {
    holds: 'the worker: its connections, its queues, the ledger',
    may: [
      'operations',
      'reports',
      'runs',
      'config',
      'activities',
      'ledger',
      'tokens',
      'service',
      'metrics',
      'messages',
      'tracing',
    ],
    why: 'puts together what acts, and decides nothing',
  },
  service: {
    holds: 'what `npm start` does: the Temporal server, the processes, the demo',
    may: ['operations', 'reports', 'runs', 'config', 'hosts', 'tokens', 'people', 'messages'],
    why: 'keeps the programs running',
  },
};

interface House {
  readonly holds: string;
  readonly may: readonly string[];
  readonly types?: readonly string[];
  readonly why: string;
}

/** How a run is spoken to: the part of `workflows` that others may import, as clients and activities must. */
const messages = /^src\/workflows\/lib\/(messages|attributes|failure)\.ts$/;

/** The programs: they put everything together. */
const programs = ['src/cli.ts', 'src/worker.ts', 'src/logger.ts', 'src/temporal-logger.ts'];

/** Packages that are one house's own. What is not here (zod, Node) everybody may use. */
const packages: Readonly<Record<string, RegExp>> = {
  '@modelcontextprotocol/node': /^src\/mcp\//,
  // doctor asks as a client would.
  '@modelcontextprotocol/sdk': /^src\/cli\/mcp-client\.ts$/,
  '@modelcontextprotocol/server': /^src\/mcp\//,
  '@node-rs/argon2': /^src\/people\//,
  '@noble/hashes': /^src\/operations\//,
  '@opentelemetry/api': /^src\/tracing\//,
  '@opentelemetry/otlp-transformer': /^src\/tracing\//,
  '@opentelemetry/resources': /^src\/tracing\//,
  '@opentelemetry/sdk-trace': /^src\/tracing\//,
  '@temporalio/activity': /^src\/activities\//,
  '@temporalio/client':
    /^src\/(move|runs|activities|metrics|worker)\/|^src\/service\/temporal-namespace\.ts$|^src\/mcp\/(process|find-problems)\.ts$/,
  '@temporalio/proto': /^src\/runs\//,
  '@temporalio/worker':
    /^src\/(worker\/[a-z-]+|temporal-logger|activities\/(approved|failures|traced)|metrics\/host-calls)\.ts$/,
  '@temporalio/workflow': /^src\/workflows\//,
  commander: /^src\/cli\//,
  eta: /^src\/(reports|console)\//,
  'node-sqlite3-wasm': /^src\/ledger\/segment\.ts$/,
  nodemailer: /^src\/mail\//,
  'node:child_process':
    /^src\/(backups\/copies\/programs|hosts\/local\/(exec|ssh-keygen)|service\/[a-z-]+|backups\/service\/(archive|database))\.ts$/,
  otpauth: /^src\/people\//,
  pino: /^src\/(log|logger)\.ts$/,
  'prom-client': /^src\/(metrics\/[a-z-]+|mcp\/metrics|worker\/ledger)\.ts$/,
  'proxmox-api': /^src\/proxmox\//,
  'rate-limiter-flexible': /^src\/mcp\/http\//,
  ssh2: /^src\/hosts\/ssh\//,
  undici: /^src\/proxmox\//,
  uqr: /^src\/cli\//,
  yaml: /^src\/(config|policy)\//,
};

const sources = readSources('src');

function houseOf(path: string): string {
  if (messages.test(path)) return 'messages';
  return /^src\/([a-z-]+)\//.exec(path)?.[1] ?? (programs.includes(path) ? 'programs' : 'neutral');
}

function mayImport(from: string, to: string, typesOnly: boolean): boolean {
  const [own, other] = [houseOf(from), houseOf(to)];
  if (own === other || own === 'programs' || other === 'neutral') return true;
  if (own === 'neutral') return false;
  if (to === 'src/temporal-logger.ts') return own === 'worker';
  // Those who start a process make its logger.
  if (to === 'src/logger.ts') return own === 'cli' || /^src\/(mcp\/process|worker\/run-worker)\.ts$/.test(from);
  // The messages are a part of the workflows.
  if (own === 'messages') return mayImport('src/workflows/', to, typesOnly);
  if (own === 'workflows' && other === 'messages') return true;
  const house = houses[own];
  return house?.may.includes(other) === true || (typesOnly && house?.types?.includes(other) === true);
}

describe('every folder', () => {
  it('is in the table, with folders that are there', () => {
    expect(sources.length).toBeGreaterThan(200);
    const folders = [...new Set(sources.map(({ path }) => houseOf(path)))];
    expect(folders.filter((name) => !['neutral', 'programs', 'messages'].includes(name)).sort()).toEqual(
      Object.keys(houses).sort(),
    );
    const named = Object.values(houses).flatMap(({ may, types = [] }) => [...may, ...types]);
    expect(named.filter((name) => !folders.includes(name))).toEqual([]);
    for (const path of programs) expect(sources.map((source) => source.path)).toContain(path);
  });

  it.each([
    ['src/mcp/process.ts', 'src/runs/runs.ts', false, true],
    ['src/mcp/process.ts', 'src/hosts/host.ts', true, false],
    ['src/workflows/back-up.ts', 'src/activities/lock/lock.ts', true, true],
    ['src/workflows/back-up.ts', 'src/activities/lock/lock.ts', false, false],
    ['src/workflows/back-up.ts', 'src/workflows/lib/messages.ts', false, true],
    ['src/workflows/lib/messages.ts', 'src/hosts/host.ts', true, false],
    ['src/runs/runs.ts', 'src/workflows/lib/messages.ts', false, true],
    ['src/runs/runs.ts', 'src/workflows/back-up.ts', true, false],
    ['src/operations/run.ts', 'src/errors.ts', false, true],
    ['src/errors.ts', 'src/operations/run.ts', true, false],
    ['src/hosts/host.ts', 'src/logger.ts', false, false],
    ['src/worker.ts', 'src/hosts/host.ts', false, true],
    ['src/hosts/host.ts', 'src/worker.ts', true, false],
  ] as const)('%s importing %s, types only: %s; may it: %s', (from, to, typesOnly, may) => {
    expect(mayImport(from, to, typesOnly)).toBe(may);
  });

  it('imports only whom it may', () => {
    const broken = sources.flatMap((source) =>
      source.imports
        .filter(({ of }) => of.startsWith('src/'))
        .filter(({ of, typesOnly }) => !mayImport(source.path, of, typesOnly))
        .map(({ of, typesOnly }) => `${source.path} imports ${typesOnly ? 'types of ' : ''}${of}`),
    );
    expect(broken).toEqual([]);
  });

  it('is all of the program: tests, lab and bench are no part of it', () => {
    const outside = sources.flatMap(({ path, imports }) =>
      imports.filter(({ of }) => /^(test|lab|bench|scripts)\//.test(of)).map((one) => ({ path, ...one })),
    );
    // The demo, which nobody needs with a host of their own.
    expect(outside).toEqual([
      { path: 'src/service/demo.ts', of: 'lab/proxmox/simulator.ts', typesOnly: false, dynamic: true },
    ]);
  });

  it('has the packages to itself that are its own', () => {
    const broken = sources.flatMap(({ path, imports }) =>
      imports.filter(({ of }) => packages[of]?.test(path) === false).map(({ of }) => `${path} imports ${of}`),
    );
    expect(broken).toEqual([]);
    const used = new Set(sources.flatMap(({ imports }) => imports.map(({ of }) => of)));
    expect(Object.keys(packages).filter((name) => !used.has(name))).toEqual([]);
  });
});

it('no file needs itself, by way of others', () => {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const circles = new Set<string>();
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at >= 0) circles.add([...way.slice(at), path].join(' → '));
    if (at >= 0 || done.has(path)) return;
    for (const { of } of byPath.get(path)?.imports ?? []) visit(of, [...way, path]);
    done.add(path);
  };
  for (const { path } of sources) visit(path, []);
  expect([...circles]).toEqual([]);
});

it('nothing of Node gets into the workflows’ bundle', () => {
  const bundle = closureOf(sources, 'src/workflows/index.generated.ts', 'src/workflows/preloaded.ts');
  const files = [...bundle].filter((name) => name.startsWith('src/'));
  expect(files.length).toBeGreaterThan(15);
  expect(files.filter((path) => !/^src\/(workflows|operations|reports)\//.test(path))).toEqual([]);
  const allowed = ['@noble/hashes', '@temporalio/workflow', '@temporalio/common', 'zod'];
  expect([...bundle].filter((name) => !name.startsWith('src/') && !allowed.includes(name))).toEqual([]);
});

it('nothing of OpenTelemetry is loaded where tracing is off', () => {
  const loadedAlways = sources.map((source) => ({
    ...source,
    imports: source.imports.filter(({ dynamic }) => !dynamic),
  }));
  const others = sources.map(({ path }) => path).filter((path) => !path.startsWith('src/tracing/'));
  const loaded = [...closureOf(loadedAlways, ...others)];
  expect(loaded).toContain('src/tracing/start.ts');
  expect(loaded.filter((name) => name.startsWith('@opentelemetry/'))).toEqual([]);
});

it('the page shows this table', async () => {
  const page = join(import.meta.dirname, '../../docs/architecture.md');
  const text = readFileSync(page, 'utf8');
  const table = /^\| folder \|.*\n(?:\|.*\n)+/m;
  expect(text).toMatch(table);
  await expect(text.replace(table, () => render())).toMatchFileSnapshot(page);
});

/** A row for each folder. */
function render(): string {
  const code = (name: string) => (name === 'messages' ? 'the messages of `workflows`' : `\`${name}\``);
  const rows = Object.entries(houses).map(([name, { holds, may, types = [], why }]) => {
    const whom = [...may.map(code), ...types.map((type) => `types of \`${type}\``)].join(', ') || '–';
    return `| \`src/${name}\` | ${holds} | ${whom} | ${why} |`;
  });
  return ['| folder | holds | may import | because it |', '|---|---|---|---|', ...rows, ''].join('\n');
}
