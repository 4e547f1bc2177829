import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { useBuild } from '../support/built.ts';
import { sample } from '../support/exhaustive.ts';
import { fill, open, openForTest, someRecord, temporaryFolder } from './lib.ts';

const build = useBuild();
const writer = join(import.meta.dirname, 'append-until-killed.mjs');

/** Appends in a process of its own, which is killed after so long; the keys that it was told are written. */
async function appendAndDie(folder: string, name: string, forMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [writer, build.path('.'), folder, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'close');
  while (!said.startsWith('open\n') && child.exitCode === null) await sleep(5);
  await sleep(forMs);
  child.kill('SIGKILL');
  await ended;
  return said.split('\n').slice(1, -1);
}

describe('a process that is killed while it appends', () => {
  it('loses nothing that was acknowledged, and leaves a chain that is intact', async () => {
    const folder = temporaryFolder();
    const acknowledged: string[] = [];
    for (let round = 0; round < 12; round += 1) {
      const keys = await appendAndDie(folder, `round${round}`, 20 + 37 * round);
      acknowledged.push(...keys);
      const ledger = open(folder, { segmentRecords: 40 });
      const appended = await ledger.append(keys.map((key) => ({ key, kind: 'step', text: 'again' })));
      expect(appended.filter(({ existing }) => !existing)).toEqual([]);
      expect(await ledger.verify()).toMatchObject({ verdict: 'intact', problems: [] });
      await ledger.close();
    }
    expect(acknowledged.length).toBeGreaterThan(200);
    const ledger = openForTest(folder);
    const { records } = await ledger.verify();
    expect(records).toBeGreaterThanOrEqual(acknowledged.length);
    expect(readdirSync(folder).length).toBeGreaterThan(5);
  });
});

it('a process that is killed between its first record and the head of it leaves a chain that is intact', async () => {
  const folder = temporaryFolder();
  const ledger = open(folder);
  const first = readFileSync(join(folder, 'head'));
  await ledger.append([someRecord(1)]);
  await ledger.close();
  writeFileSync(join(folder, 'head'), first);
  const again = openForTest(folder);
  expect(again.head()?.seq).toBe(1);
  expect(await again.verify()).toMatchObject({ verdict: 'intact', problems: [], records: 1 });
});

describe('a power cut', () => {
  it('at any byte of what was being written leaves what was there before', async () => {
    const folder = temporaryFolder();
    const ledger = openForTest(folder);
    await fill(ledger, 20);
    const log = join(folder, '0001.sqlite-wal');
    const before = statSync(log).size;
    await ledger.append([someRecord(100)]);
    const after = statSync(log).size;
    const cuts = Array.from({ length: 60 }, (_, at) => before + Math.floor(((after - before) * at) / 60));
    const found: (string | undefined)[] = [];
    for (const cut of [before, ...sample(cuts, 20), after]) {
      const copy = temporaryFolder();
      for (const name of readdirSync(folder)) {
        if (!name.endsWith('.lock') && name !== 'head') copyFileSync(join(folder, name), join(copy, name));
      }
      truncateSync(join(copy, '0001.sqlite-wal'), cut);
      const left = open(copy);
      expect([cut, left.get(20)?.key]).toEqual([cut, someRecord(20).key]);
      // The new record is whole, or it isn't there: then it is said that the head is away, which the copy leaves out.
      found.push(left.get(21)?.key.replace(/away.*/, 'away'));
      expect((await left.verify()).problems).toHaveLength(1);
      await left.close();
    }
    expect([found[0], found.at(-1)]).toEqual(['ledger/away', someRecord(100).key]);
    expect([...new Set(found)].sort()).toEqual(['ledger/away', someRecord(100).key]);
  });

  it('between the end of a segment and the beginning of the next is nothing to worry about', async () => {
    const folder = temporaryFolder();
    const ledger = open(folder, { segmentRecords: 10 });
    await fill(ledger, 10);
    await ledger.append([someRecord(50)]);
    await ledger.close();
    expect(existsSync(join(folder, '0002.sqlite'))).toBe(true);
    // As if it had died after the seal, while the next one was being made.
    const copy = temporaryFolder();
    for (const name of ['0001.sqlite', 'ledger.key']) copyFileSync(join(folder, name), join(copy, name));
    mkdirSync(join(copy, '0001.sqlite.lock'));
    copyFileSync(join(folder, '0001.sqlite'), join(copy, '0002.sqlite.new'));
    const again = openForTest(copy, { segmentRecords: 10 });
    expect(readdirSync(copy).filter((name) => name.includes('.new'))).toEqual([]);
    expect(await again.append([someRecord(3)])).toEqual([{ seq: 3, existing: true, conflict: false }]);
    await again.append([someRecord(60)]);
    const { problems } = await again.verify();
    // Only the head that was left out of the copy.
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain('that holds its head was away');
    rmSync(copy, { recursive: true });
  });
});
