import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { z } from 'zod';
import type { HostConfig, HostLayout } from '../../../src/config.ts';
import { said } from '../../../src/hosts/commands/answer.ts';
import {
  type ChoiceParameter,
  type Command,
  defineCommand,
  named,
  type PatternParameter,
  vmid,
} from '../../../src/hosts/commands/command.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { CommandResult, Executor } from '../../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import type { Host } from '../../../src/hosts/host.ts';
import type { JobResult } from '../../../src/hosts/jobs/follow.ts';
import { createLocalExecutor } from '../../../src/hosts/local/executor.ts';

const word = {
  name: 'word',
  pattern: '[a-z][a-z0-9-]{0,7}',
  maxLength: 8,
  examples: ['a', 'abc-9'],
  description: 'A short word',
} as const satisfies PatternParameter;

const container = {
  name: 'container',
  choices: [{ layout: 'containers' }],
  description: "One of the installation's containers",
} as const satisfies ChoiceParameter;

/** What a job's client got, as it is. */
const all = z.custom<JobResult>();
const script = (name: string) => new URL(`./sample/${name}.sh`, import.meta.url);

/** Commands that try every form of the mechanism with programs that any machine has. Their answer is all that was said. */
export const commands = {
  hello: defineCommand({
    name: 'hello',
    summary: 'Says hello',
    doing: 'Greeting',
    as: 'root',
    risk: 'read',
    job: false,
    becomesRoot: 'no',
    parameters: [],
    argv: ['/bin/echo', 'hello'],
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  show: defineCommand({
    name: 'show',
    summary: 'Prints its arguments, one on each line',
    doing: 'Showing',
    as: 'root',
    risk: 'read',
    job: false,
    becomesRoot: 'no',
    parameters: [vmid, word, named('other', word), container],
    argv: [
      '/usr/bin/printf',
      '%s\\n',
      vmid,
      word,
      named('other', word),
      vmid,
      { layout: 'installation' },
      { layout: 'volumes' },
      container,
    ],
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  nap: defineCommand({
    name: 'nap',
    summary: 'Takes too long',
    doing: 'Sleeping',
    as: 'root',
    risk: 'read',
    job: false,
    becomesRoot: 'no',
    parameters: [],
    argv: ['/bin/sleep', '30'],
    timeoutMs: 1_000,
    answer: said,
    answersAnyExit: true,
  }),
  environment: defineCommand({
    name: 'environment',
    summary: 'Its environment',
    doing: 'Printing the environment',
    as: 'root',
    risk: 'read',
    job: false,
    becomesRoot: 'no',
    parameters: [],
    argv: ['/usr/bin/env'],
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  whoAmI: defineCommand({
    name: 'who-am-i',
    summary: 'Who',
    doing: 'Asking who it is',
    as: 'user',
    risk: 'read',
    job: false,
    parameters: [],
    argv: ['/usr/bin/id', '-u'],
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  mark: defineCommand({
    name: 'mark',
    summary: 'Adds a line to a file',
    doing: 'Adding a line',
    as: 'root',
    risk: 'change',
    lock: 'host',
    job: false,
    becomesRoot: 'no',
    parameters: [word],
    script: script('mark'),
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  unmark: defineCommand({
    name: 'unmark',
    summary: 'Takes a line back: adds one that says so',
    doing: 'Taking a line back',
    as: 'root',
    risk: 'change',
    lock: 'host',
    undo: true,
    job: false,
    becomesRoot: 'no',
    parameters: [word],
    script: script('mark'),
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  seize: defineCommand({
    name: 'seize',
    summary: 'Stands for a command by which its caller becomes root',
    doing: 'Becoming root',
    as: 'root',
    risk: 'dangerous',
    lock: 'host',
    job: true,
    becomesRoot: { unless: 'signed', because: 'stands for one that unpacks what it is given' },
    parameters: [word],
    script: script('count'),
    timeoutMs: 30_000,
    answer: all,
    answersAnyExit: true,
  }),
  markGuest: defineCommand({
    name: 'mark-guest',
    summary: 'Adds a line about a guest to a file',
    doing: 'Adding a line about a guest',
    as: 'root',
    risk: 'change',
    lock: 'guest',
    job: false,
    becomesRoot: 'no',
    parameters: [word],
    script: script('mark-guest'),
    timeoutMs: 5_000,
    answer: said,
    answersAnyExit: true,
  }),
  count: defineCommand({
    name: 'count',
    summary: 'Counts to five, slowly, and notes that it was executed',
    doing: 'Counting',
    as: 'root',
    risk: 'change',
    lock: 'host',
    job: true,
    becomesRoot: 'no',
    parameters: [word],
    script: script('count'),
    timeoutMs: 30_000,
    answer: all,
    answersAnyExit: true,
  }),
  countGuest: defineCommand({
    name: 'count-guest',
    summary: 'Counts to five for a guest',
    doing: 'Counting for a guest',
    as: 'root',
    risk: 'change',
    lock: 'guest',
    job: true,
    becomesRoot: 'no',
    parameters: [],
    script: script('count'),
    timeoutMs: 30_000,
    answer: all,
    answersAnyExit: true,
  }),
  linger: defineCommand({
    name: 'linger',
    summary: 'A job with a child that resists',
    doing: 'Lingering',
    as: 'root',
    risk: 'read',
    job: true,
    becomesRoot: 'no',
    parameters: [],
    script: script('linger'),
    timeoutMs: 60_000,
    answer: all,
    answersAnyExit: true,
  }),
  overrun: defineCommand({
    name: 'overrun',
    summary: 'A job longer than its deadline',
    doing: 'Overrunning',
    as: 'root',
    risk: 'read',
    job: true,
    becomesRoot: 'no',
    parameters: [],
    argv: ['/bin/sleep', '100'],
    timeoutMs: 1_000,
    answer: all,
    answersAnyExit: true,
  }),
  flood: defineCommand({
    name: 'flood',
    summary: 'More output than is kept',
    doing: 'Flooding',
    as: 'root',
    risk: 'read',
    job: true,
    becomesRoot: 'no',
    parameters: [],
    argv: ['/usr/bin/seq', '1000000', '2600000'],
    timeoutMs: 60_000,
    maxOutputBytes: 200_000,
    answer: all,
    answersAnyExit: true,
  }),
};

export const sampleCommands: readonly Command[] = Object.values(commands);

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
  writeFileSync(layout.helper, generateHelper(layout, { commands: sampleCommands }));
  chmodSync(layout.helper, 0o755);
  const config: HostConfig = { name: 'here', local: { sudo: false }, layout, timeZone: 'UTC' };
  return { folder, layout, config, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export function sampleClient(config: HostConfig, executor: Executor = localExecutor()): Host {
  return createHosts({ hosts: [config], executorFor: () => executor }).get(config.name);
}

/** Runs programs here, as the service does. */
export const localExecutor = () => createLocalExecutor({ name: 'here', log: pino({ level: 'silent' }) });

/** Calls the helper as it is, for what the typed client can't even ask. */
export async function callHelper(layout: HostLayout, ...args: string[]): Promise<CommandResult> {
  return await localExecutor().exec([layout.helper, ...args], { timeoutMs: 60_000 });
}
