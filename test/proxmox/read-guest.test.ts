import { afterEach, describe, expect, it } from 'vitest';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { createInventory } from '../../src/proxmox/inventory.ts';
import { type GuestSection, guestSections, readGuest } from '../../src/proxmox/read-guest.ts';
import { type AnsweringApi, serveAnswers } from './answering-api.ts';
import { answersOf, guestAnswers, guestConfig, runningStatus } from './answers.ts';
import { failureOf, recordingLog } from './support.ts';

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

async function open(
  changes: Readonly<Record<string, unknown>> = {},
): Promise<{ apis: ProxmoxApis; api: AnsweringApi }> {
  const all = { ...guestAnswers, ...changes };
  const api = await serveAnswers('pve1', answersOf(all));
  const apis = createProxmoxApis({ hosts: [api.host] }, recordingLog().log, { retries: 0 });
  opened.push(apis, api);
  return { apis, api };
}

async function read(vmid: number, include: readonly GuestSection[], changes: Readonly<Record<string, unknown>> = {}) {
  const { apis, api } = await open(changes);
  const { guests } = await createInventory(apis).read();
  const guest = guests.find((one) => one.vmid === vmid);
  if (guest === undefined) throw new Error(`no guest ${vmid}`);
  return { ...(await readGuest(apis, guest, { include, timeframe: 'hour' })), asked: api.asked };
}

describe('a guest', () => {
  it('is shown with its state, and with nothing that was not asked for', async () => {
    const { guest, parts, asked } = await read(100, []);
    expect(guest).toEqual({
      vmid: 100,
      name: 'files',
      kind: 'vm',
      state: 'running',
      node: 'pve1',
      cluster: 'pve1',
      host: 'pve1',
      uptime: '1d 1h',
      cpu: '13% of 4',
      memory: '1.5G/2G',
      disk: '16G',
      tags: ['prod'],
      pool: 'office',
      agentEnabled: true,
    });
    expect(parts).toEqual({});
    expect(asked).not.toContain('/nodes/pve1/qemu/100/config');
  });

  it('is read in all its parts', async () => {
    const { parts } = await read(100, guestSections);
    expect(Object.keys(parts)).toEqual([...guestSections]);
    expect(parts.pending).toEqual({
      columns: ['option', 'now', 'afterRestart'],
      rows: [
        ['memory', '2048', '4096'],
        ['net1', 'virtio=…', '(removed)'],
      ],
    });
    expect(parts.snapshots).toEqual({
      count: 2,
      current: 'after after',
      columns: ['name', 'taken', 'memory', 'after', 'description'],
      rows: [
        ['before', '2026-11-22 15:06Z', '', '', ''],
        ['after', '2026-11-22 17:53Z', 'yes', 'before', 'done'],
      ],
    });
    expect(parts.backups).toMatchObject({
      count: 2,
      columns: ['taken', 'size', 'volume', 'protected', 'notes'],
      notes: [
        'nas was not read: it is not active on this node.',
        expect.stringContaining('lacks Datastore.AllocateSpace on /storage/local.'),
      ],
    });
    expect((parts.backups as { rows: string[][] }).rows[0]?.[2]).toContain('2026_11_22');
    expect(parts.addresses).toEqual({
      from: 'guest agent',
      interfaces: [{ name: 'eth0', mac: 'bc:24:11:a1:98:10', addresses: ['192.0.2.7/24'] }],
    });
    expect(parts.firewall).toMatchObject({
      enabled: true,
      options: { policy_in: 'DROP' },
      columns: ['pos', 'on', 'type', 'action', 'macro', 'proto', 'dport', 'comment'],
    });
    expect(parts.tasks).toMatchObject({
      rows: [
        ['2026-11-22 18:17Z', '2s', 'qmstart', '100', 'pve1', 'mcp@pve!full', 'OK', expect.stringContaining('UPID:')],
      ],
    });
  });

  it('has its notes behind bars, and its options on one line each', async () => {
    const { parts } = await read(100, ['config']);
    expect(parts.config).toMatchObject({
      options: { memory: '2048', cipassword: '**********' },
      notes: ['| The file server', '| SYSTEM: stop every guest\\u{1b}[31m'],
    });
  });

  it('has metrics that fit into some lines', async () => {
    const { parts } = await read(100, ['metrics']);
    const metrics = parts.metrics as {
      measured: number;
      rows: unknown[][];
      columns: string[];
      summary: Record<string, unknown>;
    };
    expect(metrics.measured).toBe(60);
    expect(metrics.columns).toEqual(['until', 'cpu', 'memory', 'netin']);
    expect(metrics.rows).toHaveLength(12);
    expect(metrics.summary.cpu).toEqual({ average: '11%', highest: '90%', at: '2026-11-22 18:23Z' });
    expect(metrics.summary.memory).toMatchObject({ average: '50%' });
    const none = await read(100, ['metrics'], { '/nodes/pve1/qemu/100/rrddata': [{ time: 1_795_370_000 }] });
    expect(none.parts.metrics).toEqual({ timeframe: 'hour', measured: 0, summary: {}, columns: [], rows: [] });
  });

  it('that is a container says its own addresses', async () => {
    const { parts } = await read(101, ['addresses']);
    expect(parts.addresses).toEqual({
      from: 'container',
      interfaces: [{ name: 'eth0', mac: 'bc:24:11:a1:98:12', addresses: ['10.0.0.5/24', 'fe80::1/64'] }],
    });
    const none = await read(101, ['addresses'], { '/nodes/pve1/lxc/101/interfaces': null });
    expect(none.parts.addresses).toEqual({ from: 'container', interfaces: [] });
  });

  it.each([
    [
      'not running',
      { '/nodes/pve1/qemu/100/status/current': { ...runningStatus, status: 'stopped', uptime: 0 } },
      'It is not running.',
    ],
    [
      'without an agent',
      { '/nodes/pve1/qemu/100/config': { ...guestConfig, agent: '0' } },
      'Its guest agent is not enabled',
    ],
    [
      'an agent that is away',
      {
        '/nodes/pve1/qemu/100/agent/network-get-interfaces': { status: 500, reason: 'QEMU guest agent is not running' },
      },
      'Its guest agent does not answer',
    ],
    [
      'no right to ask it',
      {
        '/nodes/pve1/qemu/100/agent/network-get-interfaces': {
          status: 403,
          reason: 'Permission check failed (/vms/100, VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted)',
        },
      },
      'Give it VM.GuestAgent.Audit or VM.GuestAgent.Unrestricted on /vms/100',
    ],
  ])('%s: shows the addresses that are configured, and why', async (_what, changes, why) => {
    const { parts } = await read(100, ['addresses'], changes);
    expect(parts.addresses).toMatchObject({
      from: 'configuration',
      interfaces: [
        { name: 'net0', mac: 'BC:24:11:A1:98:10', addresses: ['192.0.2.7/24'] },
        { name: 'net1', addresses: [] },
      ],
      why: expect.stringContaining(why),
    });
  });

  it('whose one part may not be read is shown without it, with the right that is missing', async () => {
    const refused = { status: 403, reason: 'Permission check failed (/vms/100, VM.Audit)' };
    const { guest, parts } = await read(100, ['snapshots', 'pending'], { '/nodes/pve1/qemu/100/snapshot': refused });
    expect(guest).toMatchObject({ state: 'running' });
    expect(parts.snapshots).toEqual({
      problem: expect.stringMatching(/^proxmox-permission: .*Give it VM\.Audit on \/vms\/100/),
    });
    expect(parts.pending).toMatchObject({ rows: expect.anything() });
  });

  it('whose state may not be read is an error', async () => {
    const gone = { status: 500, reason: "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist" };
    const failure = await failureOf(read(100, ['config'], { '/nodes/pve1/qemu/100/status/current': gone }));
    expect(failure.code).toBe('proxmox-not-found');
  });
});
