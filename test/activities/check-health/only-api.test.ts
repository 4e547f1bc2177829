import { Client, Connection } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator, type SimulatorToken } from '../../../lab/proxmox/simulator.ts';
import { createHealthActivities, type HealthActivities } from '../../../src/activities/check-health/check-health.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { Finding } from '../../../src/operations/finding.ts';
import type { FindingsSection } from '../../../src/operations/report.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { hostOf } from '../../proxmox/support.ts';
import { logger } from '../../support/activity-logger.ts';

/** Of a Temporal server that isn't there: none of these looks asks it. */
const client = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) });
let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
});
afterEach(async () => {
  await apis?.close();
  await simulator.close();
});

type Look = 'inspectBackups' | 'inspectProxmox' | 'inspectStorages' | 'inspectGuests' | 'inspectResources';

async function look(what: Look, as?: SimulatorToken): Promise<FindingsSection> {
  const config = hostOf('pve1', simulator, as);
  apis = createProxmoxApis({ hosts: [config] }, pino({ level: 'silent' }), { retries: 0 });
  const hosts = createHosts({
    hosts: [config],
    executorFor: () => {
      throw new Error('it has no commands');
    },
  });
  const health: HealthActivities = createHealthActivities({ hosts, proxmox: apis, client });
  const input = { host: 'pve1', ways: { commands: false, api: true }, hasProxmox: true };
  return (await new MockActivityEnvironment({}, { logger }).run(() => health[what](input))) as FindingsSection;
}

const verdicts = ({ findings }: FindingsSection) =>
  Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]));

async function reached(): Promise<readonly Finding[]> {
  const config = hostOf('pve1', simulator, simulator.tokens.readOnly);
  apis = createProxmoxApis({ hosts: [config] }, pino({ level: 'silent' }), { retries: 0 });
  const hosts = createHosts({
    hosts: [config],
    executorFor: () => {
      throw new Error('it has no commands');
    },
  });
  const health: HealthActivities = createHealthActivities({ hosts, proxmox: apis, client });
  return await new MockActivityEnvironment({}, { logger }).run(async () => {
    return (await health.reachHost({ host: 'pve1' })).findings;
  });
}

it.each([
  [400, undefined],
  [10, /^audit@pve!read expires on 20/],
])('an API token that lasts %d days', async (days, summary) => {
  const token = simulator.state.tokens.get('audit@pve!read');
  if (token) token.expire = Math.floor(Date.now() / 1000) + days * 86_400;
  const found = (await reached()).find(({ check }) => check === 'API token');
  if (summary === undefined) expect(found).toBeUndefined();
  else {
    expect(found).toMatchObject({ verdict: 'warning', summary: expect.stringMatching(summary) });
    expect(found?.remedy).toContain('pveum user token modify audit@pve read --expire');
  }
});

describe('a host with only an API', () => {
  it('that is well is green', async () => {
    expect(verdicts(await look('inspectProxmox'))).toEqual({ Version: 'ok', Services: 'ok', Quorum: 'ok' });
    expect(verdicts(await look('inspectStorages'))).toEqual({ local: 'ok' });
    expect(verdicts(await look('inspectGuests'))).toEqual({ Guests: 'ok' });
    expect(verdicts(await look('inspectResources'))).toEqual({
      Memory: 'ok',
      CPU: 'ok',
      'Root disk': 'ok',
      Load: 'ok',
      Updates: 'ok',
      'Units and restart': 'skipped',
    });
    expect(verdicts(await look('inspectBackups'))).toEqual({
      'Backup of VM 100 (files)': 'ok',
      'Backup of container 102 (proxy)': 'ok',
      'Backup of VM 120 (workstation)': 'ok',
    });
  });

  it('shows what is wrong with it', async () => {
    const { state } = simulator;
    const node = state.nodes.get('pve1');
    const proxy = state.guests.get(102);
    const files = state.guests.get(100);
    const local = state.storages[0];
    if (!node || !proxy || !files || !local) throw new Error('not there');
    node.services.set('pvestatd', 'failed');
    node.updates.push({ package: 'openssl', from: '1', to: '2', origin: 'Debian' });
    node.diskUsed = node.disk * 0.97;
    state.cluster.quorate = false;
    proxy.onboot = true;
    files.lock = 'backup';
    local.used = local.total * 0.9;
    expect(verdicts(await look('inspectProxmox'))).toEqual({ Version: 'ok', pvestatd: 'failed', Quorum: 'failed' });
    expect(verdicts(await look('inspectGuests'))).toEqual({
      'container 102 (proxy)': 'failed',
      'VM 100 (files)': 'warning',
    });
    expect(verdicts(await look('inspectStorages'))).toEqual({ local: 'warning' });
    expect(verdicts(await look('inspectResources'))).toMatchObject({ 'Root disk': 'failed', Updates: 'ok' });
    state.archives.splice(0);
    expect(verdicts(await look('inspectBackups'))).toEqual({ 'Guests without a backup': 'warning' });
  });

  it('with a token that only looks: archives are hidden, and the tasks tell instead', async () => {
    const section = await look('inspectBackups', simulator.tokens.readOnly);
    expect(verdicts(section)).toMatchObject({
      'Backup of VM 100 (files)': 'ok',
      'Backup of container 102 (proxy)': 'ok',
    });
    simulator.state.tasks.clear();
    const without = await look('inspectBackups', simulator.tokens.readOnly);
    expect(without.findings).toMatchObject([
      { check: 'Guests without a backup', verdict: 'unknown', summary: expect.stringContaining('VM.Backup on /vms') },
    ]);
    expect(verdicts(await look('inspectResources', simulator.tokens.readOnly))).toMatchObject({ Updates: 'skipped' });
  });

  it('with a token that may nothing: what is not seen is unknown, and the right is named', async () => {
    const section = await look('inspectProxmox', simulator.tokens.limited);
    expect(verdicts(section)).toEqual({ Version: 'ok', Services: 'unknown', Quorum: 'unknown' });
    expect(JSON.stringify(section)).toContain('Sys.Audit');
    expect(verdicts(await look('inspectStorages', simulator.tokens.limited))).toEqual({ Storages: 'unknown' });
    expect((await look('inspectGuests', simulator.tokens.limited)).findings).toMatchObject([
      { verdict: 'skipped', summary: 'There are no guests on this node that the API token may see.' },
    ]);
  });

  it('whose last backup job failed says so', async () => {
    const caller = { id: 'root@pam', user: 'root@pam' };
    const now = Math.floor(Date.now() / 1000);
    simulator.tasks.record({
      node: 'pve1',
      type: 'vzdump',
      id: '',
      caller,
      starttime: now - 3600,
      endtime: now - 3500,
      exitstatus: 'job errors',
    });
    expect((await look('inspectBackups')).findings).toContainEqual(
      expect.objectContaining({
        check: 'Backup job',
        verdict: 'failed',
        summary: expect.stringContaining('job errors'),
      }),
    );
  });

  it('whose answers are garbage is never well', async () => {
    simulator.inject(
      { kind: 'answer', status: 200, contentType: 'application/json', body: '{"data":[{"a":1}]}' },
      { path: /storage|qemu/ },
    );
    expect(verdicts(await look('inspectStorages'))).toEqual({ Storages: 'unknown' });
    expect(verdicts(await look('inspectGuests'))).toEqual({ Guests: 'unknown' });
    expect(verdicts(await look('inspectBackups'))).toEqual({ 'Backups of guests': 'unknown' });
  });
});
