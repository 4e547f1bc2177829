import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { inspectConfig } from '../../src/config/load.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** The configuration of these keys, with a client certificate's key and an API key beside it. */
function inspect(keys: Readonly<Record<string, string>>, keyMode = 0o600) {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-config-'));
  folders.push(folder);
  writeFileSync(join(folder, 'client.key'), 'a key');
  chmodSync(join(folder, 'client.key'), keyMode);
  writeFileSync(join(folder, 'api-key'), 'an-api-key-of-some-length\n', { mode: 0o600 });
  const { config, problems, warnings } = inspectConfig({
    cwd: folder,
    env: { ENABLE_LOCAL_EXECUTION: 'true', ...keys },
  });
  const said = problems.map(({ key, summary }) => `${key}: ${summary}`);
  return { folder, temporal: config.temporal, said, warned: warnings.map(({ summary }) => summary) };
}

const address = { TEMPORAL_ADDRESS: 'temporal.example.org:7233' };
const pair = { TEMPORAL_TLS_CERT_FILE: 'client.pem', TEMPORAL_TLS_KEY_FILE: 'client.key' };
const cloud = { TEMPORAL_ADDRESS: 'us-east-1.aws.api.temporal.io:7233', TEMPORAL_NAMESPACE: 'proxmox.a1b2c' };
const apiKey = { TEMPORAL_API_KEY_FILE: 'api-key' };

describe('TLS to Temporal', () => {
  it('is off without a key that needs it', () => {
    expect(inspect(address).temporal.tls).toBeUndefined();
    expect(inspect({}).temporal).toMatchObject({ namespace: 'default' });
  });

  it('is on where it is set, and where another key needs it; files are named in full', () => {
    expect(inspect({ ...address, TEMPORAL_TLS: 'true' }).temporal.tls).toEqual({});
    const { folder, temporal, said } = inspect({ ...address, ...pair, TEMPORAL_TLS_SERVER_NAME: 'temporal.test' });
    expect(said).toEqual([]);
    expect(temporal.tls).toEqual({
      client: { certFile: join(folder, 'client.pem'), keyFile: join(folder, 'client.key') },
      serverName: 'temporal.test',
    });
  });

  it('comes with an API key, whose file is remembered', () => {
    const { folder, temporal } = inspect({ ...address, ...apiKey });
    expect(temporal).toMatchObject({ tls: {}, apiKeyFile: join(folder, 'api-key') });
    expect(temporal.apiKey?.reveal()).toBe('an-api-key-of-some-length');
    expect(inspect(cloud).temporal.tls).toEqual({});
  });

  it.each([
    ['keys of it without a server', { TEMPORAL_TLS: 'true' }, ['TEMPORAL_TLS: expected TEMPORAL_ADDRESS beside it']],
    [
      'an API key without it',
      { ...address, ...apiKey, TEMPORAL_TLS: 'false' },
      ['TEMPORAL_TLS: expected true, because TEMPORAL_API_KEY would cross the network readable'],
    ],
    [
      'a certificate without it',
      { ...address, ...pair, TEMPORAL_TLS: 'false' },
      ['TEMPORAL_TLS: expected true, because TEMPORAL_TLS_CERT_FILE is set'],
    ],
    [
      'a certificate without a key',
      { ...address, TEMPORAL_TLS_CERT_FILE: 'client.pem' },
      ['TEMPORAL_TLS_KEY_FILE: expected a value, because TEMPORAL_TLS_CERT_FILE is set'],
    ],
    [
      'a key without a certificate',
      { ...address, TEMPORAL_TLS_KEY_FILE: 'client.key' },
      ['TEMPORAL_TLS_CERT_FILE: expected a value, because TEMPORAL_TLS_KEY_FILE is set'],
    ],
    ['Temporal Cloud without credentials', cloud, ['TEMPORAL_API_KEY: expected TEMPORAL_API_KEY, or']],
    [
      "a namespace that isn't one of Temporal Cloud's",
      { ...cloud, ...apiKey, TEMPORAL_NAMESPACE: 'proxmox' },
      ['TEMPORAL_NAMESPACE: expected NAME.ACCOUNT'],
    ],
    [
      'Temporal Cloud without TLS',
      { ...cloud, TEMPORAL_TLS: 'false' },
      ['TEMPORAL_TLS: expected true, because Temporal Cloud', 'TEMPORAL_API_KEY: expected'],
    ],
  ])('refuses %s', (_, keys, expected) => {
    const { said } = inspect(keys);
    expect(said.map((one, index) => one.slice(0, expected[index]?.length))).toEqual(expected);
  });

  it('refuses a private key that others may read', () => {
    expect(inspect({ ...address, ...pair }, 0o644).said).toEqual([
      expect.stringMatching(/^TEMPORAL_TLS_KEY_FILE: expected a file with mode 0600; .*client\.key has 0644/),
    ]);
  });

  it("warns of another namespace's address", () => {
    const keys = { ...apiKey, TEMPORAL_ADDRESS: 'other.a1b2c.tmprl.cloud:7233', TEMPORAL_NAMESPACE: 'proxmox.a1b2c' };
    expect(inspect(keys).warned).toEqual([
      'it is the address of the namespace other.a1b2c, and TEMPORAL_NAMESPACE is proxmox.a1b2c.',
    ]);
  });
});
