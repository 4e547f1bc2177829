import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { bringTo, sizesIn } from '../../../src/backups/copies/remotes.ts';
import type { Copy } from '../../../src/backups/copies/store.ts';

// The real programs, with places on this machine.

const folder = mkdtempSync(join(tmpdir(), 'pmx-remotes-'));
const at = (name: string) => join(folder, name);
const backup = 'daily-backup-20261122-020000';
const content = randomBytes(500_000);
const copy = {
  host: 'pve1',
  backup,
  path: at(`${backup}.age`),
  bytes: content.length,
  sha256: createHash('sha256').update(content).digest('hex'),
} as Copy;

beforeAll(() => {
  writeFileSync(copy.path, content);
  writeFileSync(at('rclone.conf'), `[disk]\ntype = alias\nremote = ${at('disk')}\n`, { mode: 0o600 });
  writeFileSync(at('password'), 'of the repository\n', { mode: 0o600 });
  mkdirSync(at('disk'));
  vi.stubEnv('RCLONE_CONFIG', at('rclone.conf'));
  vi.stubEnv('RESTIC_PASSWORD_FILE', at('password'));
  vi.stubEnv('RESTIC_CACHE_DIR', at('cache'));
  execFileSync('restic', ['--quiet', '--repo', at('repository'), 'init']);
});
afterEach(() => writeFileSync(copy.path, content));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

it.each(['rclone:disk:copies', 'rclone:disk:', `restic:${at('repository')}`])(
  'a copy lies in %s, twice is once',
  async (place) => {
    await bringTo(place, copy);
    await bringTo(place, copy);
  },
);

it('rclone has it under its host and its name', async () => {
  await bringTo('rclone:disk:copies', copy);
  expect(readFileSync(at(`disk/copies/pve1/${backup}.age`)).equals(content)).toBe(true);
});

const other = { ...copy, backup: 'daily-backup-20261121-020000', path: at('daily-backup-20261121-020000.age') };

it.each(['rclone:disk:sizes', 'rclone:disk:with/', `restic:${at('repository')}`])(
  '%s says what it holds, and how long that is',
  async (place) => {
    expect([...(await sizesIn(place, [other]))]).toEqual([]);
    await bringTo(place, copy);
    expect([...(await sizesIn(place, [copy, other]))]).toEqual([[backup, content.length]]);
  },
);

it('what was cut or removed in a place of rclone is seen', async () => {
  await bringTo('rclone:disk:cut', copy);
  const there = at(`disk/cut/pve1/${backup}.age`);
  writeFileSync(there, 'less');
  expect((await sizesIn('rclone:disk:cut', [copy])).get(backup)).toBe(4);
  rmSync(there);
  expect((await sizesIn('rclone:disk:cut', [copy])).size).toBe(0);
});

it('what was damaged there without a trace is brought again', async () => {
  await bringTo('rclone:disk:copies', copy);
  const there = at(`disk/copies/pve1/${backup}.age`);
  const { atime, mtime } = statSync(there);
  const bytes = Buffer.from(content);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  writeFileSync(there, bytes);
  utimesSync(there, atime, mtime);
  await bringTo('rclone:disk:copies', copy);
  expect(readFileSync(there).equals(content)).toBe(true);
});

it.each(['rclone:disk:copies', `restic:${at('repository')}`])(
  'what is another in %s than was written is found',
  async (place) => {
    writeFileSync(copy.path, randomBytes(500_000));
    await expect(bringTo(place, copy)).rejects.toMatchObject({ code: 'verification-failed' });
  },
);

it.each(['rclone:nowhere:copies', `restic:${at('no-repository')}`])('%s, which isn’t there, says so', async (place) => {
  await expect(bringTo(place, copy)).rejects.toMatchObject({ code: 'command-failed' });
  await expect(sizesIn(place, [copy])).rejects.toMatchObject({ code: 'command-failed' });
});

it('a program that ends with 0 and has done nothing is found', async () => {
  mkdirSync(at('bin'), { recursive: true });
  writeFileSync(at('bin/rclone'), '#!/bin/sh\nexit 0\n');
  chmodSync(at('bin/rclone'), 0o755);
  vi.stubEnv('PATH', `${at('bin')}:${process.env.PATH}`);
  await expect(bringTo('rclone:disk:copies', copy)).rejects.toMatchObject({ code: 'verification-failed' });
  await expect(sizesIn('rclone:disk:copies', [copy])).rejects.toMatchObject({ code: 'unexpected-answer' });
});
