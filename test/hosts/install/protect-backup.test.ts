import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HostConfig, HostLayout } from '../../../src/config.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { findProtected, setProtection } from '../../../src/hosts/install/protect-backup.ts';
import { publishHere } from './published.ts';

const id = 'daily-backup-20261121-020000';

let folder: string;
let layout: HostLayout;
let host: HostConfig;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pmx protect-'));
  layout = { ...defaultLayout, state: join(folder, 'the state'), backups: join(folder, 'the backups') };
  host = { name: 'pve1', local: { sudo: false }, layout, timeZone: 'UTC' };
  publishHere(layout, id, 30);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const access = { login: undefined, log: pino({ level: 'silent' }) };
const set = (protection: 'set' | 'lift', backup = id) => setProtection(host, backup, protection, access);
const isThere = () => existsSync(join(layout.state, 'backups', id, 'protected'));

it('protects an archive, lists it, and lifts that', async () => {
  expect(await findProtected(host, access)).toEqual([]);
  expect(await set('set')).toBe('changed');
  expect(await set('set')).toBe('so-already');
  expect(isThere()).toBe(true);
  expect(await findProtected(host, access)).toEqual([id]);
  expect(await set('lift')).toBe('changed');
  expect(await set('lift')).toBe('so-already');
  expect(isThere()).toBe(false);
});

it('refuses what is no archive, not there, or not the host’s', async () => {
  await expect(set('set', '../etc')).rejects.toMatchObject({ code: 'invalid-input' });
  await expect(set('set', 'daily-backup-20261120-020000')).rejects.toMatchObject({ code: 'not-found' });
  writeFileSync(join(layout.backups, 'daily-backup-20261119-020000.tar.gz'), 'foreign');
  await expect(set('set', 'daily-backup-20261119-020000')).rejects.toMatchObject({ code: 'conflict' });
  expect(await findProtected(host, access)).toEqual([]);
});
