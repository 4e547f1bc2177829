import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { explain } from '../../src/errors.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { locateGuest } from '../../src/proxmox/locate.ts';
import { failureOf, hostOf, recordingLog } from './support.ts';

let first: ProxmoxSimulator;
let second: ProxmoxSimulator;
let dataDir: string;
const open: ProxmoxApis[] = [];

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'proxmox-nodes-'));
  first = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  // As in a real cluster: each node at an address of its own, all on the same port.
  const memberOf = { simulator: first, node: 'pve2' };
  second = await createProxmoxSimulator({ memberOf, address: '127.0.0.2', port: first.port, unreachableDelayMs: 1 });
  for (const [name, ip] of [
    ['pve1', first.host],
    ['pve2', second.host],
  ] as const) {
    const node = first.state.nodes.get(name);
    if (node) node.ip = ip;
  }
});
afterEach(async () => {
  for (const apis of open.splice(0)) await apis.close();
  await second.close();
  await first.close();
  rmSync(dataDir, { recursive: true });
});

/** A process that has the data folder. Only pve1 is configured. */
function processWith(hosts = [hostOf('attic', first)], retries = 0): ProxmoxApis {
  const apis = createProxmoxApis({ hosts, dataDir }, recordingLog().log, { retries });
  open.push(apis);
  return apis;
}
const kept = () => readFileSync(join(dataDir, 'proxmox-nodes.json'), 'utf8');
/** pve1 is off, as the rest of the cluster sees it too. */
async function switchOffFirst(): Promise<void> {
  await first.stopListening();
  const node = first.state.nodes.get('pve1');
  if (node) node.api = 'unreachable';
}

describe('a cluster is reached through any of its nodes', () => {
  it('the next one when one is down, also for a process that starts only then', async () => {
    const apis = processWith();
    await apis.learn('attic');
    await switchOffFirst();
    expect((await apis.get('attic').guests()).map(({ vmid }) => vmid)).toEqual([100, 101, 102, 120]);
    const fresh = processWith();
    expect((await fresh.get('attic').guests()).map(({ vmid }) => vmid)).toEqual([100, 101, 102, 120]);
    expect(await locateGuest(fresh, { host: 'attic', vmid: 100 }), 'it is still its own node').toMatchObject({
      cluster: 'homelab',
      node: 'pve1',
      host: 'attic',
    });
    expect(await fresh.member('attic')).toEqual({ cluster: 'homelab', node: 'pve1' });
    expect(await fresh.node('attic')).toBe('pve1');
  });

  it('learns them beside the first call, and keeps them in a private file with their fingerprints', async () => {
    const apis = processWith();
    await apis.get('attic').version();
    await expect.poll(() => apis.learnt('attic')?.nodes.length).toBe(2);
    expect(kept()).toContain(second.certificateFingerprint);
    expect(kept()).not.toContain(first.tokens.full.secret);
    expect(statSync(join(dataDir, 'proxmox-nodes.json')).mode & 0o777).toBe(0o600);
    const before = first.requests.length;
    await apis.get('attic').version();
    expect(first.requests.length, 'once in a while, not at each call').toBe(before + 1);
  });

  it('asks the first again when its time is over, and not at once', async () => {
    const apis = processWith();
    await apis.learn('attic');
    await first.stopListening();
    await apis.get('attic').guests();
    await first.startListening();
    const before = first.requests.length;
    await apis.get('attic').guests();
    expect(first.requests.length, 'not within seconds').toBe(before);
    await second.stopListening();
    expect((await apis.get('attic').guests()).length, 'when nobody else answers, at once').toBe(4);
  });

  it('by a configured host of the same cluster, known by its certificate, at the address that is configured', async () => {
    for (const node of first.state.nodes.values()) node.ip = '192.0.2.1';
    const hosts = [hostOf('attic', first), hostOf('cellar', second)];
    const apis = processWith(hosts);
    await apis.learn('attic');
    await first.stopListening();
    expect((await apis.get('attic').guests()).length).toBe(4);
  });

  it('a change goes on only where it certainly wasn’t delivered', async () => {
    const apis = processWith();
    await apis.learn('attic');
    const start = () => apis.get('attic').changeGuest({ node: 'pve2', type: 'lxc', vmid: 101 }, 'stop');
    const asked = () => second.requests.filter(({ method }) => method === 'POST').length;

    const mend = first.inject({ kind: 'disconnect' }, { method: 'POST' });
    expect((await failureOf(start())).code).toBe('outcome-unknown');
    mend();
    expect(asked(), 'nobody else was asked').toBe(0);

    await first.stopListening();
    expect(await start()).toMatch(/^UPID:pve2:/);
    expect(asked()).toBe(1);
  });

  it('a look goes on when its connection was lost, and when the daemon behind the node is down', async () => {
    const apis = processWith();
    await apis.learn('attic');
    const client = apis.get('attic');
    const lost = first.inject({ kind: 'disconnect' });
    expect((await client.guests()).length).toBe(4);
    lost();
    const again = processWith();
    first.inject({ kind: 'answer', status: 595, reason: 'Connection refused' });
    expect((await again.get('attic').resources()).length).toBeGreaterThan(4);
    const { message, details } = await failureOf(again.get('attic').nodeStatus('pve1'));
    expect(message).toContain('The node pve1 is down, or its Proxmox services are');
    expect(details).toMatchObject({ node: 'pve1' });
  });

  it('says of a node that is down itself which one, who said so, and why that one was asked', async () => {
    const apis = processWith();
    await apis.learn('attic');
    await switchOffFirst();
    const error = await failureOf(apis.get('attic').nodeStatus('pve1'));
    expect(error).toMatchObject({ code: 'proxmox-unavailable', retryable: true });
    expect(error.message).toMatch(
      /node pve1 is down.*127\.0\.0\.2:\d+ answered.*595.*Asked there because 127\.0\.0\.1/,
    );
    expect(error.remedy).toContain('whether pve1 is up');
  });

  it('names all that were tried when none answers', async () => {
    const apis = processWith();
    await apis.learn('attic');
    await first.stopListening();
    await second.stopListening();
    const { message } = await failureOf(apis.get('attic').guests());
    expect(message).toMatch(/^127\.0\.0\.1:\d+ can't be reached.*no other node.*127\.0\.0\.2:\d+ \(ECONNREFUSED\)/);
    const again = await failureOf(apis.get('attic').guests());
    expect(again.message, 'the configured one first').toMatch(/^127\.0\.0\.1/);
  });

  it('and the host’s own node alone where that is the question', async () => {
    const apis = processWith();
    await apis.learn('attic');
    await first.stopListening();
    const error = await failureOf(apis.get('attic').version({ ownNodeOnly: true }));
    expect(error.code).toBe('proxmox-unavailable');
    expect(second.requests).toEqual([]);
  });
});

describe('never to a node whose certificate isn’t known', () => {
  it('one that shows another than the cluster had for it isn’t asked', async () => {
    const apis = processWith();
    await apis.learn('attic');
    await second.replaceCertificate();
    await first.stopListening();
    const error = await failureOf(apis.get('attic').guests());
    expect(second.requests).toEqual([]);
    expect(explain(error)).toContain('127.0.0.2');
    await first.startListening();
    await apis.learn('attic');
    await first.stopListening();
    expect((await apis.get('attic').guests()).length, 'once the cluster says so').toBe(4);
  });

  it('another certificate of the host’s own node is said, and nobody else is asked instead', async () => {
    const apis = processWith(undefined, 1);
    await apis.learn('attic');
    await first.replaceCertificate();
    expect((await failureOf(apis.get('attic').guests())).code).toBe('proxmox-certificate');
    expect(second.requests).toEqual([]);
  });

  it('what was learnt counts for the host as it was configured then', async () => {
    await processWith().learn('attic');
    const host = hostOf('attic', first, first.tokens.readOnly);
    const other = processWith([host]);
    expect(other.learnt('attic')).toBeUndefined();
    await first.stopListening();
    expect((await failureOf(other.get('attic').guests())).code).toBe('proxmox-unavailable');
    expect(second.requests).toEqual([]);
  });

  it.each([
    ['no JSON', () => '{"hosts":'],
    ['an address that is none', () => kept().replace('127.0.0.2', 'evil.example.org')],
    ['a fingerprint that is none', () => kept().replace(second.certificateFingerprint, 'AA:BB')],
    ['too much', () => `${kept()}${' '.repeat(2 ** 20)}`],
  ])('a file with %s is as if there were none', async (_, content) => {
    await processWith().learn('attic');
    writeFileSync(join(dataDir, 'proxmox-nodes.json'), content());
    const apis = processWith();
    expect(apis.learnt('attic')).toBeUndefined();
    expect((await apis.get('attic').guests()).length).toBe(4);
  });
});

it('a token that may only see its nodes learns no addresses, and one of nothing keeps working', async () => {
  const apis = processWith([hostOf('attic', first, first.tokens.limited)]);
  await apis.learn('attic');
  expect(apis.learnt('attic')?.nodes.map(({ name, address }) => [name, address])).toEqual([
    ['pve1', undefined],
    ['pve2', undefined],
  ]);
  expect(apis.learnt('attic')?.own).toBe('pve1');
});

it('a node that was renamed is asked for anew, after an error that says so', async () => {
  const apis = processWith();
  const [one, two] = ['pve1', 'pve2'].map((name) => first.state.nodes.get(name));
  if (!one || !two) throw new Error('no nodes');
  // As if the host's own node were called pve2.
  Object.assign(two, { fingerprint: one.fingerprint });
  one.fingerprint = '';
  expect(await apis.node('attic')).toBe('pve2');
  first.state.nodes.delete('pve2');
  one.fingerprint = two.fingerprint;
  const error = await failureOf(apis.get('attic').nodeStatus('pve2'));
  expect(error.code).toBe('proxmox-not-found');
  expect(error.remedy).toContain('renamed');
  expect(await apis.node('attic')).toBe('pve1');
});
