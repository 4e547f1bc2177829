import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { admitPlan, approvalState } from '../../../src/hosts/commands/approve/plans.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { signatureIn } from '../../../src/ssh-signature.ts';
import { commands, localExecutor, sampleClient, sampleHost } from './sample.ts';
import { type Key, listLine, newKey, newNonce, planFor, sign, signingCommands } from './signing.ts';

const sample = sampleHost();
const { layout } = sample;
writeFileSync(layout.helper, generateHelper(layout, { commands: signingCommands }));
const host = sampleClient(sample.config);
afterAll(sample.remove);

const inState = (name: string) => join(layout.state, name);
const administrators = inState('administrators');
const signedCommands = inState('signed-commands');

let anna: Key;
let berta: Key;
let identity: string;
beforeAll(async () => {
  anna = newKey(sample.folder, 'anna');
  berta = newKey(sample.folder, 'berta');
  identity = (await host.run(approvalState, {})).host ?? '';
  expect(identity).toMatch(/^\S+ [0-9a-f]{32}$/);
});
let fence = 0;
beforeEach(() => {
  rmSync(layout.state, { recursive: true, force: true });
  mkdirSync(layout.state, { mode: 0o700 });
  writeFileSync(administrators, listLine('anna', anna), { mode: 0o600 });
  fence = 0;
});

/** As anybody does who may call the helper at all. */
async function call(args: readonly string[], stdin = '') {
  const { exitCode, stdout, stderr } = await localExecutor().exec([layout.helper, ...args], {
    timeoutMs: 60_000,
    stdin,
  });
  return { exitCode, stdout, stderr };
}
const admit = (nonce: string, input: string) => call(['admit-plan', nonce], input);
async function admitted(calls: readonly string[], more: Parameters<typeof planFor>[2] = {}, key = anna) {
  const plan = planFor(identity, calls, more);
  expect(await host.admit(plan.text, sign(key, plan.text))).toEqual({ signer: key === anna ? 'anna' : 'berta' });
  return plan;
}
const mark = (word: string) => {
  fence += 1;
  return call(['mark', String(fence), word]);
};
const marks = () => (existsSync(inState('marks')) ? readFileSync(inState('marks'), 'utf8').trim().split('\n') : []);
const executions = () =>
  existsSync(inState('counted')) ? readFileSync(inState('counted'), 'utf8').split('\n').length - 1 : 0;
const seize = (word: string, id: string, run = 'test/here') => {
  fence += 1;
  return host.job(commands.seize, { word }, { id, run, fence: { host: fence } });
};
const unsigned = {
  exitCode: 78,
  stdout: '',
  stderr: expect.stringMatching(/^proxmox-mcp-helper: unsigned: [ -~]+\n$/),
};

describe('a command that needs a signature', () => {
  it('is not executed without one, by no form of the helper, and says why', async () => {
    await expect(seize('abc', 'a')).rejects.toMatchObject({
      code: 'not-signed',
      message: /in no plan that was admitted/,
    });
    expect(await call(['job-start', 'a', '-', 'seize', '1', 'abc'])).toEqual(unsigned);
    // The internal form, which a policy of an old sudo admits: it has no answer but the job's record.
    await call(['job-run', 'b', 'test/here', 'seize', '1', 'abc']);
    mkdirSync(inState('jobs/c'), { recursive: true });
    await call(['job-run', 'c', 'test/here', 'seize', '1', 'abc']);
    expect((await host.jobs()).jobs).toMatchObject([{ id: 'c', state: 'not-signed' }]);
    expect(executions()).toBe(0);
  });

  it('is executed as it was signed, once, and a retry of the same job finds it', async () => {
    await admitted(['seize abc']);
    await expect(seize('other', 'a')).rejects.toMatchObject({ code: 'not-signed' });
    await expect(seize('abc', 'a', 'test/other')).rejects.toMatchObject({
      code: 'not-signed',
      message: /not of the run/,
    });
    expect(await seize('abc', 'a')).toMatchObject({ exitCode: 7, found: false });
    expect(await seize('abc', 'a')).toMatchObject({ exitCode: 7, found: true });
    await expect(seize('abc', 'b')).rejects.toMatchObject({ code: 'not-signed', message: /executed already/ });
    // Forgetting the job doesn't bring the signature back.
    expect((await call(['job-clean', '0'])).stdout).toBe('a\n');
    await expect(seize('abc', 'a')).rejects.toMatchObject({ code: 'not-signed' });
    expect(executions()).toBe(1);
  });

  it('is executed once when twelve ask at the same moment under twelve names', async () => {
    await admitted(['seize abc']);
    fence = 7;
    const asked = Array.from({ length: 12 }, (_, id) =>
      host.job(commands.seize, { word: 'abc' }, { id: `race-${id}`, run: 'test/here', fence: { host: 7 } }),
    );
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(executions()).toBe(1);
  });
});

describe('a list of commands that root wants signed', () => {
  it('holds for what is named there, and for nothing else', async () => {
    writeFileSync(signedCommands, 'nothing-known\nmark\n', { mode: 0o600 });
    expect(await mark('abc')).toEqual(unsigned);
    expect(await call(['now', 'mark', '1', 'abc'])).toEqual(unsigned);
    expect(await call(['mark-guest', '2', '2', '100', 'abc'])).toMatchObject({ exitCode: 0 });
    await admitted(['mark abc']);
    expect(await mark('abd')).toEqual(unsigned);
    expect(await mark('abc')).toMatchObject({ exitCode: 0 });
    expect(await mark('abc')).toEqual(unsigned);
    expect(marks()).toEqual(['guest 100 abc', 'abc']);
  });

  it('may ask for everything dangerous in one line, and asks for everything where others could write it', async () => {
    writeFileSync(signedCommands, '  all-dangerous \n', { mode: 0o600 });
    expect(await mark('abc')).toMatchObject({ exitCode: 0 });
    expect((await host.run(approvalState, {})).signed).toEqual(['all-dangerous']);
    rmSync(signedCommands);
    writeFileSync(signedCommands, '', { mode: 0o600 });
    expect(await mark('abc')).toMatchObject({ exitCode: 0 });
    rmSync(signedCommands);
    symlinkSync(inState('no-such-file'), signedCommands);
    expect(await mark('abc')).toEqual(unsigned);
    expect((await host.run(approvalState, {})).signed).toEqual(['everything']);
  });

  it('is kept in the plan’s order: what was passed over is not executed later, and a line given twice is done twice', async () => {
    writeFileSync(signedCommands, 'mark\n', { mode: 0o600 });
    await admitted(['mark a', 'mark b', 'mark a', 'mark c']);
    for (const word of ['a', 'a']) expect(await mark(word)).toMatchObject({ exitCode: 0 });
    expect(await mark('b')).toEqual(unsigned);
    expect(await mark('c')).toMatchObject({ exitCode: 0 });
    expect(marks()).toEqual(['a', 'a', 'c']);
  });

  it('spends nothing where a fence refuses', async () => {
    writeFileSync(signedCommands, 'mark\n', { mode: 0o600 });
    await call(['mark-guest', '5', '5', '100', 'abc']);
    await admitted(['mark abc']);
    expect(await call(['mark', '3', 'abc'])).toMatchObject({ exitCode: 75 });
    expect(await call(['mark', '6', 'abc'])).toMatchObject({ exitCode: 0 });
  });
});

describe('a plan', () => {
  beforeEach(() => writeFileSync(signedCommands, 'mark\n', { mode: 0o600 }));

  const refused = (why: RegExp) => ({ exitCode: 11, stdout: '', stderr: expect.stringMatching(why) });
  const misshapen = (why: RegExp) => ({ exitCode: 10, stdout: '', stderr: expect.stringMatching(why) });

  it('is refused where the text was changed, or the signature is another’s or for something else', async () => {
    const plan = planFor(identity, ['mark abc']);
    const signature = sign(anna, plan.text);
    const cases: [string, RegExp][] = [
      [plan.text.replace('mark abc', 'mark abd') + signature, /not one of this text/],
      [`${plan.text}call: mark abd\n${signature}`, /not one of this text/],
      [plan.text + sign(berta, plan.text), /nobody on the list/],
      [plan.text + sign(anna, plan.text, 'file'), /not one of this text/],
      [plan.text + sign(anna, plan.text, 'proxmox-mcp-approval2'), /not one of this text/],
      [plan.text, /nobody on the list/],
      [`${plan.text}-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n`, /nobody on the list/],
    ];
    for (const [input, why] of cases) expect(await admit(plan.nonce, input)).toEqual(refused(why));
    expect(readdirSync(inState('plans'))).toEqual([]);
    expect(await mark('abc')).toEqual(unsigned);
    await expect(host.admit(plan.text, sign(berta, plan.text))).rejects.toMatchObject({ code: 'not-signed' });
    await expect(host.admit(plan.text, 'no signature')).rejects.toMatchObject({ code: 'invalid-input' });
    expect(await admit(plan.nonce, plan.text + signature)).toMatchObject({ exitCode: 0, stdout: 'admitted anna\n' });
  });

  it('is refused for another host, after it has expired, or for longer than seven days', async () => {
    const days = (count: number) => new Date(Date.now() + count * 86_400_000).toISOString();
    const [name = '', machine = ''] = identity.split(' ');
    const cases: [Partial<Parameters<typeof planFor>[2]> & { host?: string }, RegExp][] = [
      [{ host: `other ${machine}` }, /for another host/],
      [{ host: `${name} ${'0'.repeat(32)}` }, /for another host/],
      [{ expires: days(-0.001) }, /has expired/],
      [{ expires: days(7.1) }, /within seven days/],
    ];
    for (const [more, why] of cases) {
      const plan = planFor(identity, ['mark abc'], more);
      expect(await admit(plan.nonce, plan.text + sign(anna, plan.text))).toEqual(refused(why));
    }
  });

  it('expires though it was admitted', async () => {
    const plan = await admitted(['mark abc'], { expires: new Date(Date.now() + 2_000).toISOString() });
    while (Date.now() < Math.floor(Date.parse(plan.expires) / 1000) * 1000 + 1_100)
      await new Promise((r) => setTimeout(r, 100));
    expect(await mark('abc')).toMatchObject({ exitCode: 78, stderr: expect.stringContaining('has expired') });
    expect(marks()).toEqual([]);
  });

  it('is admitted once: again it is the same as long as nothing of it was executed, and its nonce serves no other', async () => {
    const plan = await admitted(['mark abc', 'mark abd']);
    const input = plan.text + sign(anna, plan.text);
    expect(await admit(plan.nonce, input)).toMatchObject({ exitCode: 0 });
    const other = planFor(identity, ['mark x'], { nonce: plan.nonce });
    expect(await admit(plan.nonce, other.text + sign(anna, other.text))).toEqual(refused(/used already/));
    expect(await mark('abc')).toMatchObject({ exitCode: 0 });
    expect(await admit(plan.nonce, input)).toEqual(refused(/used already/));
    expect(await mark('abc')).toEqual(unsigned);
    expect(await admit(newNonce(), input)).toEqual(misshapen(/nonce/));
    expect(readdirSync(inState('plans'))).toEqual([plan.nonce]);
  });

  it('counts for nothing from the moment that its signer is taken off the list', async () => {
    writeFileSync(administrators, listLine('anna', anna) + listLine('berta', berta), { mode: 0o600 });
    await admitted(['mark abc'], {}, berta);
    writeFileSync(administrators, listLine('anna', anna), { mode: 0o600 });
    expect(await mark('abc')).toMatchObject({ exitCode: 78, stderr: expect.stringContaining('nobody on the list') });
    writeFileSync(administrators, listLine('berta', anna), { mode: 0o600 });
    expect(await mark('abc')).toEqual(unsigned);
    writeFileSync(administrators, listLine('berta', berta), { mode: 0o600 });
    expect(await mark('abc')).toMatchObject({ exitCode: 0 });
  });

  it('is refused where there is no list, or others could write it', async () => {
    const plan = planFor(identity, ['mark abc']);
    const input = plan.text + sign(anna, plan.text);
    rmSync(administrators);
    expect(await admit(plan.nonce, input)).toEqual(refused(/no list of administrators/));
    writeFileSync(join(sample.folder, 'elsewhere'), listLine('anna', anna), { mode: 0o600 });
    symlinkSync(join(sample.folder, 'elsewhere'), administrators);
    expect(await admit(plan.nonce, input)).toEqual(refused(/no list of administrators/));
  });

  const parts = (lines: readonly string[]) => `${lines.join('\n')}\n`;
  it('has exactly its form, however it is signed', async () => {
    const { text, nonce } = planFor(identity, ['mark abc']);
    const lines = text.trimEnd().split('\n');
    const [first = '', ofHost = '', run = '', digest = '', ofNonce = '', expires = '', line = ''] = lines;
    const texts: string[] = [
      parts(lines.slice(0, 6)),
      parts(lines.slice(1)),
      parts([`${first} `, ...lines.slice(1)]),
      parts(['proxmox-mcp plan 2', ...lines.slice(1)]),
      parts([first, run, ofHost, digest, ofNonce, expires, line]),
      parts([first, ofHost, 'run: -', digest, ofNonce, expires, line]),
      parts([first, ofHost, run, 'digest: abc', ofNonce, expires, line]),
      parts([first, ofHost, run, digest, 'nonce: abc', expires, line]),
      parts([first, ofHost, run, digest, ofNonce, 'expires: soon', line]),
      parts([first, ofHost, run, digest, ofNonce, 'expires: 99999999999999999999', line]),
      parts([...lines, 'expires: 1']),
      parts([...lines, '']),
      parts([...lines, 'call: mark  abd']),
      parts([...lines, 'call: Mark abd']),
      parts([...lines, 'call: mark äbd']),
      parts([...lines, 'call: mark abd\t']),
      parts([...lines, 'call: mark abd\r']),
      parts([...lines, 'call: mark abd\0']),
    ];
    for (const wrong of texts) {
      expect(await admit(nonce, wrong + sign(anna, wrong)), JSON.stringify(wrong)).toMatchObject({
        exitCode: 10,
        stdout: '',
      });
    }
    expect(readdirSync(inState('plans'))).toEqual([]);
  });

  it('may not be huge, endless or missing, and nothing of it stays', async () => {
    const { text, nonce } = planFor(identity, ['mark abc']);
    expect(await admit(nonce, '')).toEqual(misshapen(/no plan/));
    expect(await admit(nonce, text.repeat(500))).toEqual(misshapen(/at most 64 KiB/));
    expect(await admit(nonce, `${text}${'x'.repeat(3_000_000)}`)).toEqual(misshapen(/at most 64 KiB/));
    const { exec } = localExecutor();
    // One that never ends what it says is ended itself: a FIFO, and what only zeros come from.
    const zeros = await exec(['/bin/sh', '-c', `exec "$1" admit-plan ${nonce} </dev/zero`, 'sh', layout.helper], {
      timeoutMs: 60_000,
    });
    expect(zeros).toMatchObject({ exitCode: 10 });
    expect(readdirSync(inState('plans'))).toEqual([]);
  });

  it('is read from what the caller gives, and no other command reads anything', async () => {
    expect((await call(['hello'], 'x'.repeat(100_000))).stdout).toBe('hello\n');
    expect(signatureIn(` \r\n${sign(anna, 'x').replaceAll('\n', '\r\n')}`)).toBe(sign(anna, 'x'));
  });

  it('is a defect of ours where it can’t be made', () => {
    for (const wrong of [
      { calls: [] },
      { calls: ['a\nb'] },
      { calls: ['/usr/bin/id'] },
      { nonce: 'x' },
      { run: '-' },
      { expires: 'x' },
    ]) {
      expect(() => planFor(identity, ['mark abc'], wrong)).toThrow(/No text to sign/);
    }
  });
});

it('says who may sign, and what it wants signed', async () => {
  expect(await host.run(approvalState, {})).toEqual({
    host: identity,
    verifies: true,
    administrators: ['anna'],
    signed: [],
  });
  expect(admitPlan.becomesRoot).toBe('no');
});
