import { describe, expect, it } from 'vitest';
import { judgeGuests, type NodeGuest } from '../../../src/activities/check-health/guests.ts';
import { judgeQuorum, judgeServices } from '../../../src/activities/check-health/proxmox.ts';
import { judgeStorages } from '../../../src/activities/check-health/storages.ts';
import { readAnswer } from '../../../src/proxmox/reader.ts';

const verdicts = (findings: readonly { check: string; verdict: string }[]) =>
  Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]));

const names = ['pve-cluster', 'pvedaemon', 'pveproxy', 'pvestatd', 'pvescheduler'];
const services = (changes: Record<string, string | undefined> = {}) =>
  readAnswer(
    'services',
    'pve1',
    [...names, ...Object.keys(changes).filter((name) => !names.includes(name))].map((name) => {
      const active = changes[name] ?? 'active';
      return {
        service: name,
        state: active === 'active' ? 'running' : 'dead',
        'active-state': active === 'gone' ? 'inactive' : active,
        'unit-state': active === 'gone' ? 'not-found' : 'enabled',
      };
    }),
  );

describe('the services of Proxmox VE', () => {
  it.each([
    [{}, { Services: 'ok' }],
    [{ pvestatd: 'failed' }, { pvestatd: 'failed' }],
    [
      { pveproxy: 'inactive', pvedaemon: 'activating' },
      { pveproxy: 'failed', pvedaemon: 'warning' },
    ],
    // Version 6 had none.
    [{ pvescheduler: 'gone' }, { Services: 'ok' }],
    [{ 'pve-cluster': 'gone' }, { 'pve-cluster': 'failed' }],
    // Only where there is a cluster is corosync missed.
    [{ corosync: 'inactive' }, { Services: 'ok' }],
    [{ corosync: 'failed' }, { corosync: 'failed' }],
  ])('%j is %j', (changes, expected) => expect(verdicts(judgeServices(services(changes)))).toEqual(expected));

  it('say what is missing without them, and what to do', () => {
    const [found] = judgeServices(services({ pveproxy: 'failed' }));
    expect(found).toMatchObject({
      summary: 'pveproxy has failed: without it the web interface and the API is missing.',
      remedy: expect.stringContaining('systemctl restart pveproxy'),
    });
  });

  it('of a version that tells no ActiveState are read by the other', () => {
    const list = readAnswer(
      'services',
      'pve1',
      names.map((service) => ({ service, state: service === 'pveproxy' ? 'dead' : 'running' })),
    );
    expect(verdicts(judgeServices(list))).toEqual({ pveproxy: 'failed' });
  });
});

describe('quorum', () => {
  const cluster = (quorate: number, online: number[] = [1, 1]) =>
    readAnswer('cluster', 'pve1', [
      { type: 'cluster', name: 'homelab', nodes: online.length, quorate, version: 2 },
      ...online.map((on, index) => ({ type: 'node', name: `pve${index + 1}`, online: on, local: index === 0 ? 1 : 0 })),
    ]);
  it('is had, lost, or nothing to have', () => {
    expect(verdicts(judgeQuorum(cluster(1), services({ corosync: 'active' })))).toEqual({ Quorum: 'ok' });
    expect(verdicts(judgeQuorum(cluster(1, [1, 0]), services()))).toEqual({ Quorum: 'ok', Nodes: 'warning' });
    expect(verdicts(judgeQuorum(cluster(0, [1, 0]), services()))).toEqual({ Quorum: 'failed', Nodes: 'warning' });
    expect(verdicts(judgeQuorum(cluster(1).slice(1), services({ corosync: 'inactive' })))).toEqual({
      Cluster: 'skipped',
    });
  });
  it('without corosync this node has left its cluster', () => {
    expect(verdicts(judgeQuorum(cluster(0), services({ corosync: 'inactive' })))).toMatchObject({ corosync: 'failed' });
  });
});

describe('storages', () => {
  const storage = (changes: object) => ({
    storage: 'local',
    type: 'dir',
    content: 'iso',
    enabled: 1,
    active: 1,
    shared: 0,
    total: 100,
    used: 10,
    ...changes,
  });
  const judged = (...changes: object[]) => judgeStorages(readAnswer('storages', 'pve1', changes.map(storage)));
  it.each([
    [{}, 'ok'],
    [{ used: 85 }, 'warning'],
    [{ used: '95' }, 'failed'],
    [{ active: 0, total: 0, used: 0 }, 'failed'],
    [{ enabled: 0, active: 0 }, 'skipped'],
    [{ total: 0, used: 0 }, 'ok'],
  ])('%j is %s', (changes, verdict) => expect(judged(changes)[0]?.verdict).toBe(verdict));
  it('none at all is not known to be well', () => expect(judged()[0]?.verdict).toBe('unknown'));
  it('a name with what hides text is cleaned', () => {
    expect(judged({ storage: 'na\u202es' })[0]?.check).not.toContain('\u202e');
  });
});

describe('guests', () => {
  const guest = (vmid: number, changes: Partial<NodeGuest> = {}): NodeGuest => ({
    type: 'qemu',
    vmid,
    label: `VM ${vmid}`,
    isRunning: true,
    isTemplate: false,
    ...changes,
  });
  const off = { isRunning: false };
  it('that should run and do not have failed; those that are off on purpose have not', () => {
    const guests = [guest(100), guest(101, off), guest(102, off), guest(103, { ...off, isTemplate: true })];
    const settings = new Map([
      [101, { onboot: true }],
      [102, { onboot: false }],
      [103, { onboot: true }],
    ]);
    const found = judgeGuests({ host: 'pve1', way: 'commands' }, guests, settings);
    expect(verdicts(found)).toEqual({ 'VM 101': 'failed' });
    expect(found[0]?.remedy).toContain('npx proxmox-mcp control-guest --host pve1 --vmid 101 --action start');
    expect(judgeGuests({ host: 'pve1', way: 'commands' }, guests.slice(0, 1), new Map())).toMatchObject([
      { check: 'Guests', verdict: 'ok', summary: '1 of 1 guests run.' },
    ]);
    expect(judgeGuests({ host: 'pve1', way: 'commands' }, [], new Map())).toMatchObject([{ verdict: 'skipped' }]);
  });
  it('that are locked are told, by the list or by their settings', () => {
    const found = judgeGuests(
      { host: 'pve1', way: 'commands' },
      [guest(100, { lock: 'backup' }), guest(101, { ...off, type: 'lxc' })],
      new Map([[101, { onboot: false, lock: 'snapshot' }]]),
    );
    expect(verdicts(found)).toEqual({ 'VM 100': 'warning', 'VM 101': 'warning', Guests: 'ok' });
    expect(found[1]?.remedy).toContain('pct unlock 101');
  });
});
