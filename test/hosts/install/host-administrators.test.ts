import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HostConfig, HostLayout } from '../../../src/config.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import {
  addToHost,
  administratorsOf,
  allowChangesOn,
  readPublicKey,
  removeFromHost,
} from '../../../src/hosts/install/host-administrators.ts';

let folder: string;
let layout: HostLayout;
let host: HostConfig;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pmx administrators-'));
  layout = { ...defaultLayout, state: join(folder, 'the state') };
  host = { name: 'pve1', local: { sudo: false }, layout, timeZone: 'UTC' };
  for (const type of ['ed25519', 'ecdsa', 'rsa']) {
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', `${type} key`, '-f', join(folder, type)]);
  }
});
beforeEach(() => rmSync(layout.state, { recursive: true, force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const list = () => join(layout.state, 'administrators');
const key = (type: string) => readPublicKey(join(folder, `${type}.pub`));
const access = { login: undefined, log: pino({ level: 'silent' }) };
const yes = { ...access, agree: async () => true };
const fingerprintOf = (type: string) =>
  execFileSync('ssh-keygen', ['-l', '-f', join(folder, `${type}.pub`)], { encoding: 'utf8' }).split(' ')[1];

describe('a host’s list of administrators', () => {
  it('gets each with one key, shows them, and loses them again', async () => {
    expect(await administratorsOf(host, access)).toEqual([]);
    for (const type of ['ed25519', 'ecdsa', 'rsa']) {
      expect(await addToHost(host, { name: `of-${type}`, key: key(type) }, yes)).toBe('added');
    }
    expect(await administratorsOf(host, access)).toEqual([
      { name: 'of-ed25519', type: 'ssh-ed25519', fingerprint: fingerprintOf('ed25519') },
      { name: 'of-ecdsa', type: 'ecdsa-sha2-nistp256', fingerprint: fingerprintOf('ecdsa') },
      { name: 'of-rsa', type: 'ssh-rsa', fingerprint: fingerprintOf('rsa') },
    ]);
    expect(statSync(list()).mode & 0o777).toBe(0o600);
    expect(readFileSync(list(), 'utf8')).toMatch(/^(\S+ namespaces="proxmox-mcp-approval" \S+ AAAA\S+\n){3}$/);
    expect(await removeFromHost(host, 'of-ecdsa', yes)).toBe('removed');
    expect((await administratorsOf(host, access)).map(({ name }) => name)).toEqual(['of-ed25519', 'of-rsa']);
    await expect(removeFromHost(host, 'of-ecdsa', yes)).rejects.toMatchObject({ code: 'not-found' });
    // `.` is only a dot.
    await expect(removeFromHost(host, 'of.rsa', yes)).rejects.toMatchObject({ code: 'not-found' });
  });

  it('says before it is asked to what is agreed, and changes nothing without a yes', async () => {
    const plans: (readonly string[])[] = [];
    const no = {
      ...access,
      agree: async (plan: readonly string[]) => {
        plans.push(plan);
        return false;
      },
    };
    expect(await addToHost(host, { name: 'anna', key: key('ed25519') }, no)).toBe('declined');
    expect(plans.flat().join('\n')).toContain(`${fingerprintOf('ed25519')} for those of anna`);
    expect(existsSync(list())).toBe(false);
    await addToHost(host, { name: 'anna', key: key('ed25519') }, yes);
    expect(await removeFromHost(host, 'anna', no)).toBe('declined');
    expect(plans.at(-1)?.join('\n')).toContain('nobody is left then');
    expect(await administratorsOf(host, access)).toHaveLength(1);
  });

  it('has each name and each key once, and keeps what was there', async () => {
    await addToHost(host, { name: 'anna', key: key('ed25519') }, yes);
    const before = readFileSync(list(), 'utf8');
    await expect(addToHost(host, { name: 'anna', key: key('rsa') }, yes)).rejects.toMatchObject({
      code: 'already-exists',
    });
    await expect(addToHost(host, { name: 'berta', key: key('ed25519') }, yes)).rejects.toMatchObject({
      code: 'already-exists',
    });
    expect(readFileSync(list(), 'utf8')).toBe(before);
  });

  it.each(['', '-anna', 'an na', 'anna\nberta', '../x', '*', 'x'.repeat(65)])(
    'takes no administrator named %j',
    async (name) => {
      await expect(addToHost(host, { name, key: key('ed25519') }, yes)).rejects.toMatchObject({
        code: 'invalid-input',
      });
      expect(existsSync(list())).toBe(false);
    },
  );

  it('takes no key of the service’s own', async () => {
    const own = {
      ...host,
      ssh: { host: 'x', port: 22, user: 'x', keyPath: join(folder, 'ed25519'), knownHostsPath: '/x' },
    };
    await expect(addToHost(own, { name: 'anna', key: key('ed25519') }, yes)).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  it('takes nothing but the file of a public key', async () => {
    writeFileSync(join(folder, 'other'), 'hello world\n');
    writeFileSync(join(folder, 'dss'), 'ssh-dss AAAAB3NzaC1kc3MAAACBAPY8 x\n');
    for (const file of ['other', 'dss', 'missing', 'ed25519']) {
      expect(() => readPublicKey(join(folder, file)), file).toThrow(/is no public key/);
    }
    const damaged = { ...key('ed25519'), base64: key('ed25519').base64.slice(0, -8) };
    await expect(addToHost(host, { name: 'anna', key: damaged }, yes)).rejects.toMatchObject({ code: 'invalid-input' });
  });
});

describe('letting changes go on by hand', () => {
  const record = () => join(layout.state, 'changes-stopped');

  it('shows who stopped them and why, asks, and lifts it', async () => {
    expect(await allowChangesOn(host, yes)).toBe('not-stopped');
    mkdirSync(layout.state);
    writeFileSync(record(), `stopped 1795000000000 mcp:claude a_disk_fails\nnonce ${'0'.repeat(32)}\n`);
    const stops: unknown[] = [];
    const asked = (answer: boolean) => ({
      ...access,
      agree: async (stop: unknown) => {
        stops.push(stop);
        return answer;
      },
    });
    expect(await allowChangesOn(host, asked(false))).toBe('declined');
    expect(stops).toEqual([{ since: '2026-11-18T11:06:40.000Z', by: 'mcp:claude', why: 'a disk fails' }]);
    expect(existsSync(record())).toBe(true);
    expect(await allowChangesOn(host, asked(true))).toBe('allowed');
    expect(existsSync(record())).toBe(false);
  });

  it('lifts one whose record is damaged', async () => {
    mkdirSync(layout.state);
    writeFileSync(record(), '\u0000');
    expect(await allowChangesOn(host, yes)).toBe('allowed');
    expect(existsSync(record())).toBe(false);
  });
});
