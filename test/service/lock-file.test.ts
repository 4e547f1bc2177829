import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { acquireLock } from '../../src/service/lock-file.ts';
import { identify } from '../../src/service/process-identity.ts';
import { temporaryFolder } from './temporary.ts';

it('is held once, names its holder, and can be taken after its release', () => {
  const path = join(temporaryFolder(), 'run', 'lock');
  const first = acquireLock(path);
  if (!first.held) throw new Error('not held');
  expect(acquireLock(path)).toEqual({ held: false, holder: identify(process.pid) });
  first.release();
  expect(acquireLock(path).held).toBe(true);
});

it.each([
  ['a process that is gone', () => ({ pid: Number(execFileSync('sh', ['-c', 'echo $$'])), started: '1' })],
  ['an earlier process with the id of a living one', () => ({ pid: process.pid, started: '1' })],
  ['nobody', () => 'torn'],
])('is taken over from %s, leaving nothing else', (_, content) => {
  const folder = temporaryFolder();
  const path = join(folder, 'lock');
  writeFileSync(path, JSON.stringify(content()));
  expect(acquireLock(path).held).toBe(true);
  expect(readdirSync(folder)).toEqual(['lock']);
});
