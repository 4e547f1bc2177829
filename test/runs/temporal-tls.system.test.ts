import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { connectTemporal } from '../../src/runs/temporal-client.ts';
import { temporalEndpoint } from '../../src/runs/temporal-endpoint.ts';
import { checkTemporalServer } from '../../src/service/temporal-namespace.ts';
import { type Authority, makeAuthority } from '../support/certificates.ts';
import { freePort } from '../support/free-ports.ts';
import { useTemporal } from '../support/temporal.ts';
import { refusals, startTemporalFront, type TemporalFront } from '../support/temporal-front.ts';

const temporal = useTemporal({ withLedger: false });
const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-tls-'));
const key = 'the-key-of-this-test-0123456789';
let authority: Authority;
let other: Authority;
let mutual: TemporalFront;
let keyed: TemporalFront;
const fronts: TemporalFront[] = [];

beforeAll(async () => {
  [authority, other] = await Promise.all([makeAuthority('Ours'), makeAuthority('Other')]);
  const server = await authority.issue('temporal.test');
  const target = temporal.server.address;
  mutual = await startTemporalFront({ target, server, clientCa: authority.ca });
  keyed = await startTemporalFront({ target, server, apiKey: key });
  fronts.push(mutual, keyed);
  const [client, stranger, expired] = await Promise.all([
    authority.issue('worker'),
    other.issue('worker'),
    authority.issue('worker', -1),
  ]);
  const files = {
    'ca.pem': authority.ca,
    'other-ca.pem': other.ca,
    'client.pem': client.certificate,
    'client.key': client.key,
    'stranger.pem': stranger.certificate,
    'stranger.key': stranger.key,
    'expired.pem': expired.certificate,
    'expired.key': expired.key,
    'api-key': `${key}\n`,
    'wrong-key': 'another-key-0123456789\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
});

afterAll(async () => {
  for (const front of fronts) await front.close();
  rmSync(folder, { recursive: true, force: true });
});

type Keys = Readonly<Record<string, string>>;
const trusted = { TEMPORAL_TLS_CA_FILE: 'ca.pem', TEMPORAL_TLS_SERVER_NAME: 'temporal.test' };
const certified = { ...trusted, TEMPORAL_TLS_CERT_FILE: 'client.pem', TEMPORAL_TLS_KEY_FILE: 'client.key' };
const withKey = { ...trusted, TEMPORAL_API_KEY_FILE: 'api-key' };

function configured(port: number, keys: Keys) {
  const env = { TEMPORAL_ADDRESS: `127.0.0.1:${port}`, DATA_DIR: folder, ENABLE_LOCAL_EXECUTION: 'true', ...keys };
  return loadConfig({ cwd: folder, env }).config;
}

async function connected(port: number, keys: Keys, withinMs = 1_000): Promise<string> {
  const client = await connectTemporal(configured(port, keys), withinMs);
  try {
    const { namespaceInfo } = await client.workflowService.describeNamespace({ namespace: 'default' });
    return namespaceInfo?.name ?? '';
  } finally {
    await client.connection.close();
  }
}

describe('with what it asks for', () => {
  it('a server is reached: a client certificate', async () => {
    expect(await connected(mutual.port, certified, 10_000)).toBe('default');
  });

  it('a server is reached: an API key', async () => {
    expect(await connected(keyed.port, withKey, 10_000)).toBe('default');
  });
});

describe('without it, the error says what is wrong:', () => {
  it.each([
    ['no TLS', () => mutual, {}, 'configuration', /speaks TLS, and TEMPORAL_TLS isn't set/],
    [
      'no CA',
      () => mutual,
      { ...certified, TEMPORAL_TLS_CA_FILE: '' },
      'configuration',
      /isn't trusted: .*certificate/,
    ],
    [
      'the CA of somebody else',
      () => mutual,
      { ...certified, TEMPORAL_TLS_CA_FILE: 'other-ca.pem' },
      'configuration',
      /isn't trusted: /,
    ],
    [
      'another name than the certificate is for',
      () => mutual,
      { ...certified, TEMPORAL_TLS_SERVER_NAME: '' },
      'configuration',
      /isn't trusted: .*127\.0\.0\.1/,
    ],
    ['no client certificate', () => mutual, trusted, 'configuration', /wants a client certificate/],
    [
      'a client certificate of another CA',
      () => mutual,
      { ...trusted, TEMPORAL_TLS_CERT_FILE: 'stranger.pem', TEMPORAL_TLS_KEY_FILE: 'stranger.key' },
      'configuration',
      /refuses the client certificate .*stranger\.pem/,
    ],
    [
      'a client certificate that has expired',
      () => mutual,
      { ...trusted, TEMPORAL_TLS_CERT_FILE: 'expired.pem', TEMPORAL_TLS_KEY_FILE: 'expired.key' },
      'configuration',
      /refuses the client certificate .*expired\.pem/,
    ],
    ['no API key', () => keyed, trusted, 'unauthenticated', /refuses a client without API key or certificate/],
    [
      'a wrong API key',
      () => keyed,
      { ...trusted, TEMPORAL_API_KEY_FILE: 'wrong-key' },
      'unauthenticated',
      /refuses the API key \(invalid API key\)/,
    ],
    [
      'a file that is none',
      () => mutual,
      { ...certified, TEMPORAL_TLS_CA_FILE: 'api-key' },
      'configuration',
      /TEMPORAL_TLS_CA_FILE: .* holds no certificate in PEM form/,
    ],
    [
      'a file that is not there',
      () => mutual,
      { ...certified, TEMPORAL_TLS_CERT_FILE: 'none.pem' },
      'configuration',
      /TEMPORAL_TLS_CERT_FILE: .*none\.pem isn't there/,
    ],
  ] as const)('%s', async (_, front, keys, code, message) => {
    await expect(connected(front().port, keys)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('TLS where there is none', async () => {
    const port = Number(temporal.server.address.split(':')[1]);
    await expect(connected(port, certified)).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('speaks no TLS'),
    });
  });

  it('nobody is there', async () => {
    await expect(connected(await freePort(), certified)).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
  });
});

describe('a namespace that nobody may prepare from here, as in Temporal Cloud,', () => {
  const operator = (path: string) =>
    /OperatorService|(Register|Update)Namespace$/.test(path)
      ? { code: refusals.permissionDenied, message: 'Request unauthorized.' }
      : undefined;
  async function cloud(refuse: typeof operator) {
    const server = await authority.issue('temporal.test');
    const front = await startTemporalFront({ target: temporal.server.address, server, apiKey: key, refuse });
    fronts.push(front);
    return { ...temporalEndpoint(configured(front.port, withKey)), isCloud: true };
  }

  it('is worked with when it is ready', async () => {
    const said: string[] = [];
    await checkTemporalServer(await cloud(operator), { say: (line) => said.push(line) });
    expect(said).toEqual([]);
  });

  it('and is not there, is told with the command that makes it', async () => {
    await expect(checkTemporalServer({ ...(await cloud(operator)), namespace: 'ours.a1b2c' })).rejects.toMatchObject({
      code: 'configuration',
      message: 'There is no namespace ours.a1b2c',
      remedy: expect.stringContaining('tcld namespace create --namespace ours --region REGION --retention-days 30'),
    });
  });

  it('and lacks search attributes or days, is told with the commands that add them', async () => {
    await temporal.client.workflowService.registerNamespace({
      namespace: 'bare',
      workflowExecutionRetentionPeriod: { seconds: (3 * 86_400) as never },
    });
    const endpoint = { ...(await cloud(operator)), namespace: 'bare' };
    const said: string[] = [];
    await expect(checkTemporalServer(endpoint, { say: (line) => said.push(line) })).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringMatching(
        /has no search attributes OpsOperation, .*refused to add them \(Request unauthorized/,
      ),
      remedy: expect.stringContaining(
        'tcld namespace search-attributes add --namespace bare --sa "OpsOperation=Keyword" --sa',
      ),
    });
    expect(said).toEqual([
      expect.stringMatching(/for 3 days only.* tcld namespace retention set --namespace bare --retention-days 30$/),
    ]);
  });

  it('and lets this key do nothing there, is told so', async () => {
    const nothing = (path: string) =>
      path.endsWith('DescribeNamespace')
        ? { code: refusals.permissionDenied, message: 'Request unauthorized.' }
        : undefined;
    await expect(checkTemporalServer(await cloud(nothing))).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining("doesn't let the API key work in the namespace default"),
    });
  });
});
