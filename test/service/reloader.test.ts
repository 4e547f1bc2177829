import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { changedKeys } from '../../src/config/in-use.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { ServiceError } from '../../src/errors.ts';
import { createReloader, type ReloadAnswer, reloadedLines } from '../../src/service/reload.ts';
import { configurationFolder } from '../config/folder.ts';

const text = (slots: number) =>
  `SSH_HOST=192.0.2.1\nHOST_NAME=pve1\nDATA_DIR=./data\nWORKER_ACTIVITIES_PER_HOST=${slots}\n`;

/** A process that reads its configuration again when `ask` is called, with requests that came before it was ready. */
function reloading({ early = 0 } = {}) {
  const folder = configurationFolder({ '.env': text(1) });
  const options = { cwd: folder, env: {}, reader: 'worker' } as const;
  const loaded = loadConfig(options);
  const lines: string[] = [];
  let handler: (() => void) | undefined;
  const reloader = createReloader({
    reader: 'worker',
    loaded,
    options,
    files: [],
    requests: {
      listen(added) {
        handler = added;
        for (let count = 0; count < early; count += 1) added();
      },
    },
    log: pino({}, { write: (line: string) => void lines.push(line) }),
  });
  onTestFinished(() => reloader.close());
  const run = join(loaded.config.dataDir, 'run');
  const answers = () =>
    readdirSync(run)
      .filter((name) => name.endsWith('.reload'))
      .map((name) => (JSON.parse(readFileSync(join(run, name), 'utf8')) as { answer?: ReloadAnswer }).answer);
  return {
    reloader,
    lines,
    answers,
    ask: () => handler?.(),
    write: (slots: number | string) =>
      writeFileSync(join(folder, '.env'), typeof slots === 'number' ? text(slots) : slots, { mode: 0o600 }),
  };
}

const slotsOf = ({ config }: LoadedConfig) => config.worker.maxConcurrentActivitiesPerHost;

it('takes requests that come while one goes on as one more after it, which reads what was written last', async () => {
  const { reloader, ask, write } = reloading();
  const seen: number[] = [];
  let letGo: () => void = () => undefined;
  reloader.serve(async (next) => {
    seen.push(slotsOf(next));
    if (seen.length === 1) await new Promise<void>((resolve) => (letGo = resolve));
  });
  write(2);
  ask();
  await expect.poll(() => seen).toEqual([2]);
  for (const slots of [3, 4, 5]) {
    write(slots);
    ask();
  }
  expect(seen).toEqual([2]);
  letGo();
  await expect.poll(() => seen).toEqual([2, 5]);
  await expect.poll(() => changedKeys(reloader.inUse())).toEqual([]);
});

it('does what was asked for while the process started, once it can', async () => {
  const { reloader, write, answers } = reloading({ early: 1 });
  write(7);
  const seen: number[] = [];
  reloader.serve(async (next) => void seen.push(slotsOf(next)));
  await expect.poll(() => answers()[0]).toMatchObject({ outcome: 'taken', changed: ['WORKER_ACTIVITIES_PER_HOST'] });
  expect(seen.at(-1)).toBe(7);
});

it('what is wrong, or can’t be put to use, leaves the old one and is said', async () => {
  const { reloader, ask, write, answers, lines } = reloading();
  let isAway = false;
  const seen: number[] = [];
  reloader.serve(async (next) => {
    if (isAway) throw new ServiceError({ code: 'unavailable', message: 'Temporal is away', remedy: 'Wait' });
    seen.push(slotsOf(next));
  });
  write(`${text(2)}SSH_PRT=22\nLOG_LEVEL=loud\n`);
  ask();
  await expect
    .poll(() => answers()[0])
    .toMatchObject({ outcome: 'refused', problems: [/SSH_PRT/, /LOG_LEVEL/].map((key) => expect.stringMatching(key)) });
  expect(lines.filter((line) => line.includes('nothing of it counts'))).toHaveLength(2);
  isAway = true;
  write(3);
  ask();
  await expect
    .poll(() => answers()[0])
    .toMatchObject({ outcome: 'failed', problems: [expect.stringContaining('Temporal is away')] });
  expect(seen).toEqual([]);
  // It still runs with the first one, and says so.
  expect(changedKeys(reloader.inUse())).toEqual(['WORKER_ACTIVITIES_PER_HOST']);
  await reloader.close();
  expect(answers()).toEqual([]);
});

it('says to people what each process did', () => {
  const answer = {
    outcome: 'taken',
    begunAt: '1',
    changed: ['SSH_HOST'],
    needRestart: ['MCP_PORT'],
    problems: [],
  } as const;
  expect(
    reloadedLines([
      { reader: 'worker', pid: 7, answer },
      { reader: 'ledger', pid: 8, answer: { ...answer, outcome: 'refused', problems: ['one', 'two'] } },
      { reader: 'mcp-server', pid: 9, answer: undefined },
    ]),
  ).toEqual([
    'The worker (process 7) has read the configuration again: SSH_HOST changed; MCP_PORT counts only after a restart.',
    'The ledger (process 8) has found problems, and nothing has changed:',
    '  1. one',
    '  2. two',
    'The MCP server (process 9) did not answer; its log says what it does.',
  ]);
});
