import { existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { findTemporal, type TemporalProvider } from '../../src/service/temporal-binary.ts';
import { temporaryFolder } from './temporary.ts';

const good = '#!/bin/sh\necho "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)"\n';
const old = '#!/bin/sh\necho "temporal version 1.0.0 (Server 1.24.2, UI 2.28.0)"\n';
const say = () => {};

function fake(folder: string, script = good): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'temporal');
  writeFileSync(path, script, { mode: 0o755 });
  return path;
}

function provider(script = good): { provide: TemporalProvider; calls: () => number } {
  let calls = 0;
  return {
    provide: async (to) => {
      calls += 1;
      writeFileSync(to, script, { mode: 0o755 });
    },
    calls: () => calls,
  };
}

const closed: TemporalProvider = async () => {
  throw new ServiceError({ code: 'unavailable', message: 'temporal.download is closed', remedy: 'Open it' });
};

it('takes the explicit path before PATH, PATH before the cache, the cache before the ways to get one', async () => {
  const folder = temporaryFolder();
  const explicit = fake(join(folder, 'explicit'));
  const onPath = fake(join(folder, 'path'));
  const cacheDir = join(folder, 'cache');
  const { provide, calls } = provider();
  const all = { cacheDir, say, providers: [{ source: 'download', provide }] as const };

  const got = await findTemporal({ ...all, searchPath: join(folder, 'nothing') });
  expect(got).toMatchObject({ source: 'download', version: '1.9.1 (Server 1.32.0, UI 2.54.1)' });
  expect(await findTemporal({ ...all, searchPath: '' })).toMatchObject({ source: 'cache', path: got.path });
  expect(await findTemporal({ ...all, searchPath: join(folder, 'path') })).toMatchObject({
    source: 'path',
    path: onPath,
  });
  expect(await findTemporal({ ...all, searchPath: join(folder, 'path'), binary: explicit })).toMatchObject({
    source: 'configured',
    path: explicit,
  });
  expect(calls()).toBe(1);
});

it('refuses an explicit path that is no Temporal CLI instead of passing over it', async () => {
  const folder = temporaryFolder();
  const options = { cacheDir: join(folder, 'cache'), say, searchPath: '', providers: [] };
  await expect(findTemporal({ ...options, binary: join(folder, 'none') })).rejects.toMatchObject({
    code: 'configuration',
    message: expect.stringContaining('is not an executable file'),
  });
  const other = fake(join(folder, 'other'), '#!/bin/sh\necho hello\n');
  await expect(findTemporal({ ...options, binary: other })).rejects.toThrow(/does not answer as the Temporal CLI/);
});

it('passes over a server on PATH that is too old, and says so', async () => {
  const folder = temporaryFolder();
  fake(join(folder, 'old'), old);
  const said: string[] = [];
  const found = await findTemporal({
    cacheDir: join(folder, 'cache'),
    searchPath: join(folder, 'old'),
    say: (line) => said.push(line),
    providers: [{ source: 'download', provide: provider().provide }],
  });
  expect(found.source).toBe('download');
  expect(said.join()).toContain('has server 1.24.2; 1.29.0 or newer is needed');
});

it('falls back to the build when the download is closed, and leaves nothing but the binary and its record', async () => {
  const folder = temporaryFolder();
  const cacheDir = join(folder, 'cache');
  const providers = [
    { source: 'download', provide: closed },
    { source: 'build', provide: provider().provide },
  ] as const;
  expect(await findTemporal({ cacheDir, say, searchPath: '', providers })).toMatchObject({ source: 'build' });
  expect(readdirSync(join(cacheDir, 'temporal')).sort()).toEqual(['temporal', 'temporal.json']);
});

it('names every way that was closed when there is none left', async () => {
  const cacheDir = temporaryFolder();
  const providers = [
    { source: 'download', provide: closed },
    { source: 'build', provide: provider('#!/bin/sh\nexit 1\n').provide },
  ] as const;
  await expect(findTemporal({ cacheDir, say, searchPath: '', providers })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/download: temporal\.download is closed; build: the file does not run/),
  });
  expect(existsSync(join(cacheDir, 'temporal', 'temporal'))).toBe(false);
});

it('replaces a cached binary that is cut, changed, or of another version', async () => {
  const cacheDir = temporaryFolder();
  const { provide, calls } = provider();
  const options = { cacheDir, say, searchPath: '', providers: [{ source: 'download', provide }] as const };
  const { path } = await findTemporal(options);
  const record = join(cacheDir, 'temporal', 'temporal.json');

  truncateSync(path, 20);
  expect(await findTemporal(options)).toMatchObject({ source: 'download' });
  writeFileSync(record, '{"pinned": "1.8.0"}');
  expect(await findTemporal(options)).toMatchObject({ source: 'download' });
  writeFileSync(record, 'not');
  expect(await findTemporal(options)).toMatchObject({ source: 'download' });
  expect(await findTemporal(options)).toMatchObject({ source: 'cache' });
  expect(calls()).toBe(4);
});
