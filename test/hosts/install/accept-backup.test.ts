import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostConfig, HostLayout } from '../../../src/config.ts';
import { acceptBackup } from '../../../src/hosts/commands/back-up/archives.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateBrought } from '../../../src/hosts/helper/generate-helper.ts';
import { acceptDoubted, type Doubtful, findDoubted } from '../../../src/hosts/install/accept-backup.ts';
import { lacks, lacksRecorded, publishHere } from './published.ts';

const older = 'daily-backup-20261121-020000';
const newer = 'daily-backup-20261122-020000';

let folder: string;
let layout: HostLayout;
let host: HostConfig;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pmx accept-'));
  layout = { ...defaultLayout, state: join(folder, 'the state'), backups: join(folder, 'the backups') };
  host = { name: 'pve1', local: { sudo: false }, layout, timeZone: 'UTC' };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const record = (id: string) => join(layout.state, 'backups', id);

const publish = (id: string, hoursAgo: number, doubts: readonly string[] = []) =>
  publishHere(layout, id, hoursAgo, doubts);

const access = { login: undefined, log: pino({ level: 'silent' }) };
const accept = (backup: string, agree: (found: Doubtful) => boolean = () => true) =>
  acceptDoubted(host, backup, { ...access, agree: async (found) => agree(found) });

describe('what a host doubts', () => {
  it('is listed with what it lacks, and with the last good one', async () => {
    publish(older, 30);
    publish(newer, 2, lacksRecorded);
    expect(await findDoubted(host, access)).toMatchObject({
      doubted: [{ id: newer, state: 'doubted', doubts: lacks }],
      lastGood: { id: older, state: 'verified' },
    });
  });

  it('is nothing where all is well', async () => {
    publish(older, 30);
    expect(await findDoubted(host, access)).toMatchObject({ doubted: [], lastGood: { id: older } });
  });
});

describe('accepting', () => {
  it('shows what is missing, asks, and lets the archive count for good', async () => {
    publish(older, 30);
    publish(newer, 2, lacksRecorded);
    const shown: Doubtful[] = [];
    const before = Date.now();
    expect(await accept(newer, (found) => shown.push(found) > 0)).toBe('accepted');
    expect(shown).toMatchObject([{ doubted: [{ id: newer, doubts: lacks }], lastGood: { id: older } }]);
    const file = join(record(newer), 'accepted');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const at = Number(readFileSync(file, 'utf8'));
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now());
    expect(await findDoubted(host, access)).toMatchObject({ doubted: [], lastGood: { id: newer } });
    expect(await accept(newer)).toBe('counts-already');
  });

  it('changes nothing without a yes', async () => {
    publish(newer, 2, lacksRecorded);
    expect(await accept(newer, () => false)).toBe('declined');
    await expect(accept(newer, () => expect.fail('interrupted'))).rejects.toThrow('interrupted');
    expect(existsSync(join(record(newer), 'accepted'))).toBe(false);
  });

  it.each(['', 'daily', `${newer}.tar.gz`, '../../../etc', `${newer}\n`, `-${newer}`])(
    'refuses %j, which is no id',
    async (id) => {
      await expect(accept(id)).rejects.toMatchObject({ code: 'invalid-input', details: { field: 'backup' } });
    },
  );

  it('refuses what is not there, was changed since, or has no proof', async () => {
    await expect(accept(newer)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining(layout.backups),
    });
    publish(newer, 2, lacksRecorded);
    writeFileSync(join(layout.backups, `${newer}.tar.gz`), 'cut');
    await expect(accept(newer)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(newer) });
    publish(older, 30, lacksRecorded);
    rmSync(join(record(older), 'proof'));
    await expect(accept(older)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('proof') });
  });
});

describe('its script', () => {
  /** As an administrator's login gets it: by standard input. */
  function brought(...args: string[]) {
    const { status, stdout, stderr } = spawnSync('/bin/sh', ['-s', '--', ...args], {
      input: generateBrought(layout, acceptBackup),
      encoding: 'utf8',
    });
    return { status, stdout, stderr: stderr.trim() };
  }

  it('refuses by name what has no proof or no doubts', () => {
    const noProof = { status: 9, stdout: '', stderr: expect.stringMatching(`^${newer} has no proof`) };
    expect(brought('accept-backup', newer)).toEqual(noProof);
    publish(newer, 2, lacksRecorded);
    rmSync(join(record(newer), 'proof'));
    expect(brought('accept-backup', newer)).toEqual(noProof);
    publish(older, 30);
    expect(brought('accept-backup', older)).toMatchObject({
      status: 9,
      stderr: expect.stringMatching(`^${older} is not`),
    });
    expect(execFileSync('find', [layout.state, '-name', 'accepted*'], { encoding: 'utf8' })).toBe('');
  });

  it('keeps when it was accepted first', () => {
    publish(newer, 2, lacksRecorded);
    expect(brought('accept-backup', newer)).toEqual({ status: 0, stdout: '', stderr: '' });
    const first = readFileSync(join(record(newer), 'accepted'), 'utf8');
    expect(brought('accept-backup', newer).status).toBe(0);
    expect(readFileSync(join(record(newer), 'accepted'), 'utf8')).toBe(first);
  });

  it.each([
    ['another command', ['list-backups']],
    ['no argument', ['accept-backup']],
    ['a fence', ['accept-backup', '1', newer]],
    ['a path', ['accept-backup', `../backups/${newer}`]],
    ['two archives', ['accept-backup', newer, older]],
  ])('refuses %s', (_what, args) => {
    publish(newer, 2, lacksRecorded);
    expect(brought(...args)).toMatchObject({ status: 64, stderr: expect.stringContaining('refused: ') });
    expect(existsSync(join(record(newer), 'accepted'))).toBe(false);
  });
});
