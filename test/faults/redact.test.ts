import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { ServiceError } from '../../src/errors.ts';
import { createRedact, Secret } from '../../src/secret.ts';
import { newToken } from '../../src/tokens/token.ts';
import { findCanaries, formsOf } from './canaries.ts';

const secret = 'p+äÖ/"\\=?& 1234';
const redact = createRedact([new Secret(secret), new Secret('short')]);

it('shows nothing of a secret that is printed, put together or serialized', () => {
  const value = new Secret(secret);
  const shown = [String(value), `${value}`, ['a', value].join(' '), JSON.stringify({ value }), inspect({ value })];
  expect(shown.filter((text) => text.includes('[secret]'))).toHaveLength(shown.length);
  expect(findCanaries(shown.join('\n'), { secret })).toEqual([]);
  expect(Object.values(value)).toEqual([]);
});

it('takes a known secret out of a text in the forms that programs print', () => {
  const printed = formsOf(secret).filter((form) => !/^[0-9a-f]+$/i.test(form));
  for (const form of [...printed, Buffer.from(`x${secret}y`).toString('base64')]) {
    expect(findCanaries(redact(`before ${form} after`), { secret }), form).toEqual([]);
    expect(redact(`before ${form} after`)).toMatch(/^before .*\[secret\].* after$/);
  }
  // Too short to be told from a word.
  expect(redact('a short way')).toBe('a short way');
});

it('takes out private keys and tokens, whole or cut, and not a line behind them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-redact-'));
  try {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')]);
    const key = readFileSync(join(folder, 'key'), 'utf8');
    const lines = Object.fromEntries(
      key
        .split('\n')
        .slice(1, 6)
        .map((line, index) => [String(index), line]),
    );
    for (const text of [key, key.replaceAll('\n', '\\n'), key.replaceAll('\n', ' '), key.slice(0, 250)]) {
      expect(findCanaries(redact(`a\n${text}\nauth 2026-11-23 Failed password`), lines)).toEqual([]);
    }
    expect(redact('sudo -----BEGIN PRIVATE KEY-----\nauth Failed password')).toBe(
      'sudo [secret]\nauth Failed password',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
  expect(redact(`Bearer ${newToken().token}.`)).toBe('Bearer [secret].');
});

it('tells the log, and not the history, where something unexpected came from', async () => {
  const told: unknown[] = [];
  const redact = (text: string) => text.replaceAll('hunter2', '[secret]');
  const info = { activityType: 'packBackup', workflowExecution: { workflowId: 'back-up/pve1/1' } };
  const make = failureInterceptor(redact, { error: (...line: unknown[]) => void told.push(line) });
  const { inbound } = make({ info } as unknown as Parameters<typeof make>[0]);
  const broken = () => Promise.reject(new TypeError('no hunter2 in undefined'));
  const failure = await inbound?.execute?.({} as never, broken).catch((error: unknown) => error);
  expect(failure).toMatchObject({ type: 'internal', message: expect.stringContaining('no [secret] in undefined') });
  expect(told).toEqual([
    [
      {
        activity: 'packBackup',
        run: 'back-up/pve1/1',
        stack: expect.stringMatching(/TypeError: no \[secret\] in undefined\n +at .*redact\.test/),
      },
      expect.stringContaining('Something unexpected'),
    ],
  ]);
});

it('what fails while the worker runs with an old configuration says that first', async () => {
  let changed: readonly string[] = [];
  const make = failureInterceptor(
    (text) => text,
    { error: () => {} },
    () => changed,
  );
  const { inbound } = make({ info: {} } as unknown as Parameters<typeof make>[0]);
  const gone = new ServiceError({ code: 'not-found', message: 'There is no installation at /opt/a', remedy: 'Set it' });
  const failure = () => inbound?.execute?.({} as never, () => Promise.reject(gone)).catch((error: unknown) => error);
  expect(await failure()).toMatchObject({ message: 'There is no installation at /opt/a. Set it.' });
  changed = ['INSTALLATION_DIR'];
  expect(await failure()).toMatchObject({
    type: 'not-found',
    message: expect.stringContaining(
      'has changed since the service read it (INSTALLATION_DIR): run npx proxmox-mcp reload first. Set it',
    ),
    details: [{ remedy: expect.stringMatching(/^The configuration has changed/) }],
  });
});
