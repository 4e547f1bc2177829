import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allowChanges, byWord, stopChanges, switchState, whyWord } from '../../../src/hosts/commands/approve/switch.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { allowChangesText } from '../../../src/hosts/signed-plan.ts';
import { commands, localExecutor, sampleClient, sampleHost } from './sample.ts';
import { type Key, listLine, newKey, sign, signingCommands } from './signing.ts';

const sample = sampleHost();
const { layout } = sample;
writeFileSync(layout.helper, generateHelper(layout, { commands: signingCommands }));
const host = sampleClient({ ...sample.config, timeZone: 'Europe/Vienna' });
afterAll(sample.remove);

const inState = (name: string) => join(layout.state, name);
const record = inState('changes-stopped');

let anna: Key;
let berta: Key;
beforeAll(() => {
  anna = newKey(sample.folder, 'anna');
  berta = newKey(sample.folder, 'berta');
});
beforeEach(() => {
  rmSync(layout.state, { recursive: true, force: true });
  mkdirSync(layout.state, { mode: 0o700 });
  writeFileSync(inState('administrators'), listLine('anna', anna), { mode: 0o600 });
});

const stop = (by = 'person:anna', why = 'a_disk_fails') => host.run(stopChanges, { by, why });
const lookAt = () => host.run(switchState, {});
async function call(...args: string[]) {
  const { exitCode, stdout, stderr } = await localExecutor().exec([layout.helper, ...args], { timeoutMs: 60_000 });
  return { exitCode, stdout, stderr };
}
const stopped = { exitCode: 77, stdout: '', stderr: expect.stringMatching(/^proxmox-mcp-helper: stopped: [ -~]+\n$/) };
const marks = () => (existsSync(inState('marks')) ? readFileSync(inState('marks'), 'utf8').trim().split('\n') : []);
async function textToLift() {
  const { host: name = '', nonce = '' } = await lookAt();
  return allowChangesText({ host: name, nonce });
}
const lift = (input: string) => host.run(allowChanges, {}, { input });

describe('while changes are stopped on a host', () => {
  it('nothing that changes something is begun, by no form of the helper, and looks go on', async () => {
    const before = Date.now();
    const set = await stop();
    expect(set).toMatchObject({ on: true, by: 'person:anna', why: 'a disk fails', open: [], nonce: /^[0-9a-f]{32}$/ });
    expect(Date.parse(set.since ?? '')).toBeGreaterThanOrEqual(before - 1);
    expect(await lookAt()).toEqual(set);
    for (const args of [
      ['mark', '1', 'abc'],
      ['now', 'mark', '1', 'abc'],
      ['mark-guest', '1', '1', '100', 'abc'],
      ['unmark', '1', '-', 'abc'],
      ['unmark', '1', 'somebody', 'abc'],
      ['now', 'unmark', '1', 'open', 'abc'],
      ['job-start', 'a', 'test/here', 'count', '1', 'abc'],
      ['job-start', 'a', '-', 'count-guest', '1', '1', '100'],
      ['job-start', 'a', '-', 'seize', '1', 'abc'],
    ]) {
      expect(await call(...args), args.join(' ')).toEqual(stopped);
    }
    await call('job-run', 'b', 'test/here', 'count', '1', 'abc');
    expect((await host.jobs()).jobs.map(({ state }) => state)).toEqual([]);
    expect([marks(), existsSync(inState('counted'))]).toEqual([[], false]);
    expect(await call('hello')).toMatchObject({ exitCode: 0 });
    expect(await call('job-list')).toMatchObject({ exitCode: 0 });
    const refused = await host
      .run(commands.mark, { word: 'abc' }, { fence: { host: 1 } })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'changes-stopped',
      retryable: false,
      message: expect.stringMatching(
        /^here did not execute mark: .* since 20\d\d-\d\d-\d\d [\d:]+ CES?T, by person:anna \(a disk fails\)$/,
      ),
      remedy: expect.stringContaining('host allow-changes here'),
    });
  });

  it('the first one who stopped them stays the one who did, and the nonce with it', async () => {
    const first = await stop();
    expect(await stop('mcp:other', 'another_reason')).toEqual(first);
    const twelve = await Promise.all(Array.from({ length: 12 }, () => stop('mcp:other', 'x')));
    expect(new Set(twelve.map(({ nonce }) => nonce))).toEqual(new Set([first.nonce]));
  });

  it('what was at work goes on to its end, and its run may take back what it worked on, and nothing else', async () => {
    const job = host.job(commands.count, { word: 'abc' }, { id: 'at-work', run: 'test/open', fence: { host: 1 } });
    while (!existsSync(inState('counted'))) await sleep(20);
    await call('mark-guest', '1', '1', '100', 'x');
    expect((await stop()).open).toEqual([{ run: 'test/open', call: 'count abc' }]);
    expect(await job).toMatchObject({ exitCode: 7, stdout: expect.stringContaining('abc 5\n') });
    // The same job is found, a second one isn't begun.
    expect(await call('job-start', 'at-work', 'test/open', 'count', '1', 'abc')).toMatchObject({ stdout: 'found\n' });
    expect(await call('job-start', 'second', 'test/open', 'count', '1', 'abc')).toEqual(stopped);
    for (const [run, word] of [
      ['test/other', 'abc'],
      ['test.open', 'abc'],
      ['test/ope', 'abc'],
      ['-', 'abc'],
      ['test/open', 'abd'],
      ['test/open', 'count'],
    ] as const) {
      expect(await call('unmark', '2', run, word), `${run} ${word}`).toEqual(stopped);
    }
    const undo = { fence: { host: 2 }, run: 'test/open' };
    expect(await host.run(commands.unmark, { word: 'abc' }, undo)).toMatchObject({ exitCode: 0 });
    expect(await host.run(commands.mark, { word: 'abc' }, undo).catch((error: Error) => error)).toMatchObject({
      code: 'changes-stopped',
    });
    expect(marks()).toEqual(['guest 100 x', 'abc']);
  });

  it('a run that changed something lately may take it back; one that only looked, or long ago, may not', async () => {
    await host.job(commands.count, { word: 'lately' }, { id: 'lately', run: 'test/lately', fence: { host: 1 } });
    await host.job(commands.count, { word: 'old' }, { id: 'old', run: 'test/old', fence: { host: 1 } });
    await host.job(commands.flood, {}, { id: 'look', run: 'test/look' });
    const meta = inState('jobs/old/meta');
    writeFileSync(meta, readFileSync(meta, 'utf8').replace(/\d+\n$/, `${Date.now() - 8 * 86_400_000}\n`));
    expect((await stop()).open).toEqual([{ run: 'test/lately', call: 'count lately' }]);
    expect(await call('unmark', '2', 'test/lately', 'lately')).toMatchObject({ exitCode: 0 });
    expect(await call('unmark', '2', 'test/old', 'old')).toEqual(stopped);
  });

  it('a record that is damaged stops all the same', async () => {
    for (const text of ['', 'open test/open count abc', '\0\0', 'stopped']) {
      writeFileSync(record, text, { mode: 0o600 });
      expect(await call('mark', '1', 'abc')).toEqual(stopped);
      await expect(host.run(commands.mark, { word: 'abc' }, { fence: { host: 1 } })).rejects.toMatchObject({
        code: 'changes-stopped',
      });
      expect(await lookAt()).toMatchObject({ on: true });
      await expect(lift(sign(anna, 'x'))).rejects.toMatchObject({
        code: 'not-signed',
        message: expect.stringContaining('only root'),
      });
    }
    rmSync(record);
    mkdirSync(record);
    expect(await call('mark', '1', 'abc')).toEqual(stopped);
  });
});

describe('changes go on', () => {
  it('with an administrator’s signature for this host and this very stop', async () => {
    await stop();
    const text = await textToLift();
    const other = text.replace(/nonce: ..../, 'nonce: 0000');
    const elsewhere = text.replace(/host: \S+/, 'host: elsewhere');
    for (const input of [
      '',
      'yes',
      text,
      sign(berta, text),
      sign(anna, other),
      sign(anna, elsewhere),
      sign(anna, text, 'file'),
    ]) {
      await expect(lift(input)).rejects.toMatchObject({ code: 'not-signed' });
    }
    await expect(lift('x'.repeat(70_000))).rejects.toMatchObject({ code: 'invalid-input' });
    expect(await call('mark', '1', 'abc')).toEqual(stopped);
    const signature = sign(anna, text);
    expect(await lift(signature)).toEqual({ signer: 'anna' });
    expect(await lookAt()).toMatchObject({ on: false, open: [] });
    expect(await call('mark', '1', 'abc')).toMatchObject({ exitCode: 0 });
    // Nothing to lift is no error; and the old signature lifts no later stop.
    expect(await lift(signature)).toEqual({});
    await stop();
    await expect(lift(signature)).rejects.toMatchObject({ code: 'not-signed' });
    expect(await call('mark', '1', 'abc')).toEqual(stopped);
  });

  it('not by who is no administrator any more', async () => {
    await stop();
    const signature = sign(anna, await textToLift());
    writeFileSync(inState('administrators'), listLine('berta', berta), { mode: 0o600 });
    await expect(lift(signature)).rejects.toMatchObject({ code: 'not-signed' });
  });
});

it('a principal and a reason become words that the host takes', async () => {
  expect(byWord('schedule:back-up/daily/pve1')).toBe('schedule:back-up:daily:pve1');
  expect(byWord('person:Jörg')).toBe('person:Jorg');
  expect(whyWord('  Die Platte von pve1 läuft voll; $(id)\n')).toBe('Die_Platte_von_pve1_lauft_voll_id_');
  expect(whyWord('…')).toBe('unnamed');
  expect(await stop(byWord('-x'), whyWord('x'.repeat(300)))).toMatchObject({ on: true, by: 'x' });
});
