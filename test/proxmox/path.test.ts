import fc from 'fast-check';
import { proxmoxApi } from 'proxmox-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { ServiceError } from '../../src/errors.ts';
import { createProxmoxClient, type ProxmoxClient } from '../../src/proxmox/client.ts';
import { encodeParameters } from '../../src/proxmox/parameters.ts';
import { safePath } from '../../src/proxmox/path.ts';
import { configFor, failureOf, recordingLog } from './support.ts';

let simulator: ProxmoxSimulator;
let client: ProxmoxClient;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  client = createProxmoxClient(configFor(simulator), { log: recordingLog().log });
});
afterAll(async () => {
  await client.close();
  await simulator.close();
});

describe('a value stays in its segment', () => {
  it.each([
    '..',
    '.',
    '',
    'pve1/..',
    '../access',
    '/',
    'pve?x=1#',
    'pve#',
    'a%2e%2e',
    '%2e%2e',
    '..\\',
    'a\nb',
    'a\0b',
    '\ud800',
  ])('refuses %j before anything is sent', async (value) => {
    const before = simulator.requests.length;
    expect((await failureOf(client.nodeStatus(value))).code).toBe('invalid-input');
    expect((await failureOf(client.api().nodes.$(value).status.$get())).code).toBe('invalid-input');
    expect(simulator.requests.length).toBe(before);
  });

  it('whatever the value is, the path has the segments that were written, or nothing is sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const sent = sentPath(value);
        if (sent === undefined) return;
        const url = new URL(sent, 'https://pve1:8006');
        expect(url.pathname).toBe(sent);
        expect(url.search + url.hash).toBe('');
        const segments = url.pathname.split('/').slice(1);
        expect(segments.map(decodeURIComponent)).toEqual(['api2', 'json', 'nodes', value, 'status']);
      }),
      { numRuns: 500 },
    );
  });

  it('lets names, UPIDs, users, PCI addresses and volumes through', () => {
    for (const value of ['pve-1', 'UPID:pve1:0000:0000:0000:x:100:a@pve!b:', 'a@pve', '0000:00:02.0', 'ümläut ✓']) {
      expect(decodeURIComponent(sentPath(value) ?? '')).toBe(`/api2/json/nodes/${value}/status`);
    }
    // A Proxmox Backup Server's, of the datastore disk-1 and a job in the namespace a/b.
    const upid = String.raw`UPID:pbs:000002BC:00000384:00000001:6A100000:verificationjob:disk\x2d1\x3aa-b\x40\x2dx:a@pbs!b:`;
    expect(decodeURIComponent(sentPath(upid) ?? '')).toBe(`/api2/json/nodes/${upid}/status`);
    expect(sentPath(`${upid}\\`)).toBeUndefined();
    const volume = '/api2/json/nodes/pve1/storage/local/content/local:backup%2Fvzdump.vma.zst';
    expect(safePath(volume, '/api2/json/nodes/*/storage/*/content/*')).toBe(volume.replace('local:', 'local%3A'));
    const climbing = volume.replace('vzdump', '..%2Fvzdump');
    expect(() => safePath(climbing, '/api2/json/nodes/*/storage/*/content/*')).toThrow(ServiceError);
  });

  it('refuses path names that come from outside as well', async () => {
    const api = client.api() as unknown as Record<string, { $get(): Promise<unknown> }>;
    for (const name of ['..', 'nodes/../access', 'nodes?x=1', 'nodes#', '%2e%2e', '']) {
      expect((await failureOf((api[name] as { $get(): Promise<unknown> }).$get())).code).toBe('invalid-input');
    }
  });
});

describe('parameters', () => {
  it('have Proxmox’s forms', () => {
    expect(encodeParameters({ a: true, b: false, c: 5, d: 'x y&z', e: undefined, f: null, g: ['1', '2'] })).toBe(
      'a=1&b=0&c=5&d=x+y%26z&g=1&g=2',
    );
    expect(encodeParameters(undefined)).toBe('');
  });

  it.each([[{}], [Number.NaN], [Number.POSITIVE_INFINITY], [() => 1], [[[1]]]])('refuses %j', (value) => {
    expect(() => encodeParameters({ field: value })).toThrow(/"field"/);
  });

  it('go into the body of a change, and never into a log or a path', async () => {
    const { log, text } = recordingLog();
    const own = createProxmoxClient(configFor(simulator), { log });
    await failureOf(own.api().access.ticket.$post({ username: 'a@pve', password: 'hunter2' }));
    await own.close();
    expect(simulator.requests.at(-1)?.url).toBe('/api2/json/access/ticket');
    expect(text()).not.toContain('hunter2');
  });
});

/** The path that a node's name leads to, through proxmox-api; undefined when it was refused. */
function sentPath(value: string): string | undefined {
  let sent: string | undefined;
  const api = proxmoxApi({
    doRequest: async (_method, path, template) => {
      try {
        sent = safePath(path, template);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
      }
    },
  });
  void api.nodes.$(value).status.$get();
  return sent;
}
