import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { HostConfig, HostLayout } from '../../../src/config.ts';
import type { CommandEntry, PatternPlaceholder } from '../../../src/hosts/commands/entry.ts';
import { container, named, vmid } from '../../../src/hosts/commands/placeholders.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { CommandResult, Executor } from '../../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import type { Host, JobOptions, JobResult, RunOptions } from '../../../src/hosts/host.ts';
import { createLocalExecutor } from '../../../src/hosts/local/executor.ts';

const word = {
  placeholder: 'word',
  pattern: '[a-z][a-z0-9-]{0,7}',
  maxLength: 8,
  examples: ['a', 'abc-9'],
  description: 'A short word',
} as const satisfies PatternPlaceholder;

/** Entries that try every form of the mechanism with commands that any machine has. */
export const sampleEntries = {
  hello: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: 'Says hello',
    timeoutMs: 5_000,
    argv: ['/bin/echo', 'hello'],
  },
  show: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: 'Prints its arguments, one on each line',
    timeoutMs: 5_000,
    argv: [
      '/usr/bin/printf',
      '%s\\n',
      { join: ['--guest=', vmid] },
      word,
      named('other', word),
      vmid,
      { layout: 'installation', suffix: '/keys' },
      { layout: 'volumes' },
      container,
    ],
  },
  nap: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: 'Takes too long',
    timeoutMs: 1_000,
    argv: ['/bin/sleep', '30'],
  },
  environment: {
    as: 'root',
    risk: 'read',
    job: false,
    summary: 'Its environment',
    timeoutMs: 5_000,
    argv: ['/usr/bin/env'],
  },
  whoAmI: { as: 'user', risk: 'read', job: false, summary: 'Who', timeoutMs: 5_000, argv: ['/usr/bin/id', '-u'] },
  mark: {
    as: 'root',
    risk: 'change',
    job: false,
    summary: 'Adds a line to a file',
    timeoutMs: 5_000,
    script: { parameters: [word], body: 'printf "%s\\n" "$1" >>"$state/marks"' },
  },
  count: {
    as: 'root',
    risk: 'change',
    job: true,
    summary: 'Counts to five, slowly, and notes that it was executed',
    timeoutMs: 30_000,
    script: {
      parameters: [word],
      body: 'echo run >>"$state/counted"\nfor i in 1 2 3 4 5; do echo "$1 $i"; sleep 0.2; done\necho complaint >&2\nexit 7',
    },
  },
  linger: {
    as: 'root',
    risk: 'read',
    job: true,
    summary: 'A job with a child that resists',
    timeoutMs: 60_000,
    script: { parameters: [], body: 'sh -c \'trap "" TERM; while :; do sleep 1; done\' &\necho begun\nsleep 100' },
  },
  overrun: {
    as: 'root',
    risk: 'read',
    job: true,
    summary: 'A job longer than its deadline',
    timeoutMs: 1_000,
    argv: ['/bin/sleep', '100'],
  },
  flood: {
    as: 'root',
    risk: 'read',
    job: true,
    summary: 'More output than is kept',
    timeoutMs: 60_000,
    argv: ['/usr/bin/seq', '1000000', '2600000'],
  },
} as const satisfies Readonly<Record<string, CommandEntry>>;

/** A host on this machine with a helper of its own in a temporary folder, reached without sudo. */
export function sampleHost(extra: Partial<HostLayout> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'pmx privileges-'));
  const layout: HostLayout = {
    ...defaultLayout,
    installation: join(folder, 'installation'),
    helper: join(folder, 'helper'),
    state: join(folder, 'state'),
    ...extra,
  };
  mkdirSync(layout.installation);
  writeFileSync(layout.helper, generateHelper(layout, { entries: sampleEntries }));
  chmodSync(layout.helper, 0o755);
  const config: HostConfig = { name: 'here', local: { sudo: false }, layout, timeZone: 'UTC' };
  return { folder, layout, config, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What tests ask of a `Host`, with the names of the sample table instead of the real one's. */
export interface SampleHost extends Omit<Host, 'run' | 'job'> {
  run(name: keyof typeof sampleEntries, args?: Record<string, string>, options?: RunOptions): Promise<CommandResult>;
  job(name: keyof typeof sampleEntries, args: Record<string, string>, options: JobOptions): Promise<JobResult>;
}

export function sampleClient(config: HostConfig, executor: Executor = localExecutor()): SampleHost {
  const hosts = createHosts({ hosts: [config], executorFor: () => executor, entries: sampleEntries });
  return hosts.get(config.name) as unknown as SampleHost;
}

/** Runs programs here, as the service does. */
export const localExecutor = () => createLocalExecutor({ name: 'here', log: pino({ level: 'silent' }) });

/** Calls the helper as it is, for what the typed client can't even ask. */
export async function callHelper(layout: HostLayout, ...args: string[]): Promise<CommandResult> {
  return await localExecutor().exec([layout.helper, ...args], { timeoutMs: 60_000 });
}
