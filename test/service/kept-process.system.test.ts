import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { ServiceError } from '../../src/errors.ts';
import { endLeftover, type KeptProcessDefinition, keepRunning } from '../../src/service/kept-process.ts';
import { boundLogFile } from '../../src/service/log-file.ts';
import { identify, isAlive } from '../../src/service/process-identity.ts';
import { freePort } from '../support/free-ports.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

/** A small server; `/die` ends it with an exit code. */
const server = `
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/die') process.exit(7);
    response.end('here');
  });
  console.log('listening');
  process.on('SIGTERM', () => { if (!process.env.STUBBORN) process.exit(0); });
  server.listen(Number(process.env.PORT), '127.0.0.1');`;

async function definition(script: string, more: Partial<KeptProcessDefinition> = {}, env: NodeJS.ProcessEnv = {}) {
  const folder = temporaryFolder();
  const port = await freePort();
  const said: string[] = [];
  const errors: ServiceError[] = [];
  const url = `http://127.0.0.1:${port}`;
  const defined: KeptProcessDefinition = {
    name: 'tester',
    program: process.execPath,
    args: ['-e', script],
    env: { ...process.env, ...env, PORT: String(port) },
    logFile: join(folder, 'logs', 'tester.log'),
    recordFile: join(folder, 'run', 'tester.json'),
    ready: async (signal) => void (await fetch(url, { signal })),
    readyWithinMs: 20_000,
    graceMs: 5_000,
    remedy: 'Look',
    say: (line) => said.push(line),
    onGivenUp: (error) => errors.push(error),
    ...more,
  };
  return { defined, url, said, errors };
}

async function keep(made: Awaited<ReturnType<typeof definition>>) {
  const kept = await keepRunning(made.defined);
  afterwards(kept.stop);
  return kept;
}

it('starts it again when it dies, and says so', async () => {
  const made = await definition(server);
  const kept = await keep(made);
  const first = kept.pid();
  await fetch(`${made.url}/die`).catch(() => {});
  await vi.waitFor(() => expect(made.said).toContain('The tester is back.'), { timeout: 20_000 });
  expect(made.said[0]).toBe('The tester died (exit code 7); starting it again.');
  expect(kept.pid()).not.toBe(first);
  expect(await (await fetch(made.url)).text()).toBe('here');
});

it('gives up on one that keeps dying, with the end of its log', async () => {
  // Gets ready the first time only: afterwards it finds its mark and dies at once.
  const mark = join(temporaryFolder(), 'mark');
  const script = `const fs = require('node:fs');
    if (fs.existsSync(${JSON.stringify(mark)})) { console.log('no database'); process.exit(3); }
    fs.writeFileSync(${JSON.stringify(mark)}, '');
    ${server}`;
  const made = await definition(script);
  await keep(made);
  await fetch(`${made.url}/die`).catch(() => {});
  await vi.waitFor(() => expect(made.errors).toHaveLength(1), { timeout: 60_000, interval: 200 });
  expect(made.errors[0]?.message).toMatch(/The tester died 6 times in ten minutes.* ends with: .*no database/);
  expect(made.said.filter((line) => line.includes('starting it again'))).toHaveLength(5);
});

it.runIf(process.getuid?.() === 0)('keeps it running, and its log bounded, when the disk is full', async () => {
  const folder = temporaryFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=13m', 'none', folder]);
  afterwards(() => void execFileSync('umount', ['-l', folder]));
  const logFile = join(folder, 'tester.log');
  const made = await definition(server, { logFile, recordFile: join(folder, 'run', 'tester.json') });
  const kept = await keep(made);
  writeFileSync(logFile, Buffer.alloc(11 * 1024 * 1024));
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${folder}/x bs=4k status=none || :`], { stdio: 'ignore' });
  const pid = kept.pid();
  await fetch(`${made.url}/die`).catch(() => {});
  await vi.waitFor(() => expect(made.said).toContain('The tester is back.'), { timeout: 20_000 });
  expect(kept.pid()).not.toBe(pid);
  expect(readdirSync(folder)).not.toContain('tester.log.1');
  // When there is room again.
  rmSync(join(folder, 'x'));
  execFileSync('mount', ['-o', 'remount,size=30m', folder]);
  boundLogFile(logFile);
  expect(readdirSync(folder)).toContain('tester.log.1');
  expect(statSync(logFile).size).toBe(0);
});

it('gives it its whole time when the clock is set meanwhile, as it is when a machine starts', async () => {
  let asked = 0;
  const made = await definition(server, {
    ready: async () => {
      if (++asked > 2) return;
      vi.setSystemTime(Date.now() + 3_600_000);
      throw new Error('not yet');
    },
  });
  vi.useFakeTimers({ toFake: ['Date'] });
  afterwards(() => void vi.useRealTimers());
  await keep(made);
  expect(asked).toBe(3);
});

it.runIf(process.getuid?.() === 0)('goes on when nothing of its log can be changed any more', () => {
  const folder = temporaryFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=30m', 'none', folder]);
  afterwards(() => void execFileSync('umount', ['-l', folder]));
  const logFile = join(folder, 'tester.log');
  writeFileSync(logFile, Buffer.alloc(11 * 1024 * 1024));
  writeFileSync(`${logFile}.1`, 'older');
  execFileSync('mount', ['-o', 'remount,ro', folder]);
  boundLogFile(logFile);
  expect(readFileSync(`${logFile}.1`, 'utf8')).toBe('older');
});

it('says with its own words why it did not start', async () => {
  const made = await definition('console.error("the key is unreadable"); process.exit(2)');
  await expect(keepRunning(made.defined)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/ended before it was ready \(exit code 2\); .* the key is unreadable/),
  });
  expect(existsSync(made.defined.recordFile)).toBe(false);
});

it('says so when the program is not there', async () => {
  const made = await definition('', { program: '/nowhere/program' });
  await expect(keepRunning(made.defined)).rejects.toThrow(/ENOENT/);
});

it('kills one that does not end within its grace', async () => {
  const made = await definition(server, { graceMs: 300 }, { STUBBORN: '1' });
  const kept = await keep(made);
  const identity = identify(kept.pid() ?? 0);
  await kept.stop();
  expect(identity && isAlive(identity)).toBe(false);
});

it('ends only the very process that was recorded', async () => {
  const made = await definition(server);
  const kept = await keep(made);
  const pid = kept.pid() ?? 0;
  const recorded = readFileSync(made.defined.recordFile, 'utf8');

  // The same id with another start time: a later process that got the id.
  writeFileSync(made.defined.recordFile, JSON.stringify({ pid, started: '1' }));
  await endLeftover(made.defined);
  expect(kept.pid()).toBe(pid);
  expect(await (await fetch(made.url)).text()).toBe('here');

  writeFileSync(made.defined.recordFile, recorded);
  await endLeftover(made.defined);
  expect(made.said.at(-1) ?? '').toMatch(/died|Ending the tester/);
  await vi.waitFor(() => expect(kept.pid()).not.toBe(pid), { timeout: 10_000 });
});
