import { cpus, loadavg, totalmem } from 'node:os';
import { cleanUpWhenInterrupted, isInterrupted } from './lib/clean-up.ts';
import { type BenchResult, reached } from './lib/ratio.ts';

// npm run bench [NAME …] (`scale`: all that begin with it): ratios measured in one run, ours and a peer's or a floor's in alternating blocks.
const suites: Readonly<Record<string, () => Promise<BenchResult[]>>> = {
  start: async () => (await import('./start.ts')).benchStart(),
  read: async () => (await import('./mcp-read.ts')).benchMcpRead(),
  inventory: async () => (await import('./inventory.ts')).benchInventory(),
  page: async () => (await import('./console.ts')).benchConsole(),
  run: async () => (await import('./run.ts')).benchRun(),
  follow: async () => (await import('./follow.ts')).benchFollow(),
  ssh: async () => (await import('./ssh.ts')).benchSsh(),
  archive: async () => (await import('./archive.ts')).benchArchive(),
  copies: async () => (await import('./copies.ts')).benchCopies(),
  fleet: async () => (await import('./fleet.ts')).benchFleet(),
  bulk: async () => (await import('./bulk.ts')).benchBulk(),
  'scale-histories': async () => (await import('./scale.ts')).benchScaleHistories(),
  'scale-runs': async () => (await import('./scale.ts')).benchScaleRuns(),
  'scale-schedules': async () => (await import('./scale.ts')).benchScaleSchedules(),
  'scale-hosts': async () => (await import('./scale.ts')).benchScaleHosts(),
  ledger: async () => (await import('./ledger.ts')).benchLedger(),
  image: async () => (await import('./image.ts')).benchImage(),
};

const asked = process.argv.slice(2);
const isAsked = (suite: string) => asked.some((name) => suite === name || suite.startsWith(`${name}-`));
const unknown = asked.filter(
  (name) => !Object.keys(suites).some((suite) => suite === name || suite.startsWith(`${name}-`)),
);
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}.`);
  process.exit(2);
}
cleanUpWhenInterrupted();
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, ${process.platform}, load ${loadavg()[0]?.toFixed(1)} before\n`,
);
try {
  for (const [name, suite] of Object.entries(suites)) {
    if (asked.length > 0 && !isAsked(name)) continue;
    for (const result of await suite()) print(result);
  }
} catch (error) {
  // The same signal ends a suite's programs. Who got it here ends the process, when everything is cleaned up.
  if (!isInterrupted()) throw error;
}

function print(result: BenchResult): void {
  const { aim, ratio, spread } = result;
  const aimed = aim === undefined ? '' : 'atMost' in aim ? `, aim ≤ ${aim.atMost}` : `, aim ≥ ${aim.atLeast}`;
  const state = { true: 'reached', false: 'MISSED', undefined: '' }[String(reached(result))];
  const figure = ratio === undefined ? 'not measured' : ratio.toFixed(2);
  const range = spread === undefined ? '' : ` (${spread.map((value) => value.toFixed(2)).join(' to ')})`;
  console.log(`${figure}${range}  ${result.name}${aimed} ${state ?? ''}`.trimEnd());
  for (const note of [result.counts, ...result.notes]) console.log(`      ${note}`);
}
