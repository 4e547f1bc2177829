import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type BackupServerSimulator,
  createBackupServerSimulator,
  type StoredSnapshot,
} from '../../lab/backup-server/simulator.ts';
import { createApiChangeActivities } from '../../src/activities/api-change/api-change.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { Secret } from '../../src/secret.ts';

// Its simulation is not recorded: see lab/backup-server.
let server: BackupServerSimulator;
let apis: ProxmoxApis;

const day = 86_400;
const today = Math.floor(Date.UTC(2026, 10, 22, 2) / 1000);
const snapshot = (days: number, more: Partial<StoredSnapshot> = {}): StoredSnapshot => ({
  type: 'vm',
  id: '100',
  time: today - days * day,
  ...more,
});

beforeEach(async () => {
  server = await createBackupServerSimulator();
  const { host, port, token, fingerprint } = server;
  apis = createProxmoxApis(
    {
      hosts: [
        {
          name: 'pbs1',
          layout: defaultLayout,
          timeZone: 'UTC',
          backupServer: {
            product: 'backup-server',
            host,
            port,
            user: token.user,
            tokenName: token.name,
            tokenValue: new Secret(token.secret),
            trust: { kind: 'fingerprint', sha256: fingerprint },
          },
        },
      ],
    },
    pino({ level: 'silent' }),
  );
  server.state.snapshots.set('main', [
    snapshot(0),
    snapshot(1, { verification: 'ok' }),
    snapshot(2, { verification: 'ok' }),
    snapshot(3, { protected: true }),
  ]);
});
afterEach(async () => {
  await apis.close();
  await server.close();
});

async function asActivity<T>(activity: () => Promise<T>, attempt = 1): Promise<T> {
  const environment = new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') });
  let answer: { readonly value: T } | undefined;
  await environment.run(async () => {
    answer = { value: await activity() };
  });
  return JSON.parse(JSON.stringify((answer as { readonly value: T }).value ?? null)) as T;
}

/** As its workflow does it: looks, and carries out each step, begun as often as is said. */
async function carryOut(operation: OperationName, given: Readonly<Record<string, unknown>>, times = 1) {
  const activities = createApiChangeActivities({ proxmox: apis, secondMs: 40 });
  const input = catalogue[operation].input.strict().parse({ host: 'pbs1', ...given });
  const what = { operation, input, host: 'pbs1', place: { kind: 'host', host: 'pbs1' }, run: 'run/1' } as const;
  const look = await asActivity(() => activities.lookForChange(what));
  const findings: Finding[] = [...look.findings];
  let output = look.output;
  for (const { title, line, tasks } of look.steps) {
    const of = { ...what, node: look.node, seen: look.seen, step: { title, line } };
    let upid: string | undefined;
    for (let attempt = 1; attempt <= times; attempt += 1) {
      ({ upid } = await asActivity(() => activities.startChange({ ...of, known: tasks }), attempt));
    }
    if (upid !== undefined) {
      const started = upid;
      findings.push(...((await asActivity(() => activities.followChange({ ...of, upid: started }))).findings ?? []));
    }
    const { findings: found = [], ...facts } = await asActivity(() => activities.verifyChange(of));
    findings.push(...(found as Finding[]));
    output = { ...output, ...facts };
  }
  return { look, output, findings };
}

const maintain = 'maintain-backup-server';
const left = () => (server.state.snapshots.get('main') ?? []).map(({ time }) => (today - time) / day);

describe('check-backup-server', () => {
  const check = 'check-backup-server';

  it('says how full it is, what its jobs did, and lists its snapshots without Proxmox VE', async () => {
    server.state.jobs.push(
      { kind: 'prune', id: 'p-1', store: 'main', 'last-run-state': 'OK', 'next-run': today + day },
      { kind: 'verify', id: 'v-1', store: 'main', 'last-run-state': 'OK' },
    );
    const { output, findings, look } = await carryOut(check, { group: 'vm/100', limit: 2 });
    expect(look.steps).toEqual([]);
    expect(server.writes).toEqual([]);
    expect(output).toMatchObject({
      version: '4.0',
      datastores: [{ name: 'main', usedShare: 0.5 }],
      total: 4,
      snapshots: [
        { id: 'vm/100/2026-11-22T02:00:00Z', verified: 'none' },
        { id: 'vm/100/2026-11-21T02:00:00Z', verified: 'ok' },
      ],
    });
    expect(findings.filter(({ verdict }) => verdict !== 'ok')).toEqual([]);
  });

  it.each<readonly [string, () => void, string, string]>([
    [
      'it is nearly full',
      () => Object.assign(server.state.stores.get('main') ?? {}, { used: 2 ** 40 - 1 }),
      'Datastore main',
      'failed',
    ],
    [
      'it will be full soon',
      () => Object.assign(server.state.stores.get('main') ?? {}, { fullAt: Math.floor(Date.now() / 1000) + 5 * day }),
      'Datastore main',
      'warning',
    ],
    [
      'a sync only warned',
      () => server.state.jobs.push({ kind: 'sync', id: 's-1', store: 'main', 'last-run-state': 'WARNINGS: 2' }),
      'Sync job s-1 of main',
      'failed',
    ],
    [
      'a snapshot is damaged',
      () => server.state.snapshots.get('main')?.push(snapshot(9, { verification: 'failed' })),
      'Damaged in main',
      'failed',
    ],
    [
      'a group was never verified',
      () => server.state.snapshots.get('main')?.push(snapshot(9, { id: '7' })),
      'Verified in main',
      'warning',
    ],
    ['no job verifies or prunes', () => undefined, 'Jobs of main', 'warning'],
  ])('says where %s', async (_, prepare, name, verdict) => {
    prepare();
    const { findings } = await carryOut(check, {});
    expect(findings).toContainEqual(expect.objectContaining({ check: name, verdict }));
  });
});

describe('maintain-backup-server', () => {
  it('verifies once, though the step is begun twice, and says what is damaged', async () => {
    server.state.snapshots.get('main')?.push(snapshot(4, { id: '200' }));
    server.state.faults.set('verify', { damages: ['200'] });
    const { output, findings } = await carryOut(maintain, { action: 'verify', datastore: 'main' }, 2);
    expect(server.writes).toEqual(['POST /admin/datastore/main/verify']);
    expect(output.damaged).toEqual(['vm/200/2026-11-18T02:00:00Z']);
    expect(findings).toContainEqual(expect.objectContaining({ check: 'Damaged', verdict: 'failed' }));
  });

  it('prunes what its plan has named, keeps what is protected, and says that no space is freed', async () => {
    const asked = { action: 'prune', datastore: 'main', keepLast: 2 };
    const { look, output } = await carryOut(maintain, asked);
    expect(look.plan.affected).toEqual(['The snapshot vm/100/2026-11-20T02:00:00Z goes']);
    expect(look.plan.risks.join()).toContain('Pruning frees no space');
    expect(output.removed).toEqual(['vm/100/2026-11-20T02:00:00Z']);
    expect(left()).toEqual([0, 1, 3]);
    const again = await carryOut(maintain, asked);
    expect(again.look.steps).toEqual([]);
  });

  it('refuses a prune that would take the last verified snapshot of a group', async () => {
    await expect(carryOut(maintain, { action: 'prune', datastore: 'main', keepLast: 1 })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('Of vm/100 the last verified snapshot would go'),
    });
    expect(server.writes).toEqual([]);
    expect(left()).toEqual([0, 1, 2, 3]);
  });

  it('collects garbage once, and says what it freed and what waits', async () => {
    const { look, output } = await carryOut(maintain, { action: 'garbage-collect', datastore: 'main' }, 2);
    expect(look.plan.risks[0]).toContain('24 hours and 5 minutes; 1 GiB waited');
    expect(output).toMatchObject({ freedBytes: 2 ** 30, pendingBytes: 0 });
    expect(server.writes).toEqual(['POST /admin/datastore/main/gc']);
  });

  it('runs a configured job, and a sync that warned has groups that were not synced', async () => {
    server.state.jobs.push({ kind: 'sync', id: 's-1', store: 'main' });
    server.state.faults.set('syncjob', { ends: 'WARNINGS: 1', log: ['sync group vm/7 failed - owner check failed'] });
    const { findings } = await carryOut(maintain, { action: 'sync', datastore: 'main', job: 's-1' }, 2);
    expect(server.writes).toEqual(['POST /admin/sync/s-1/run']);
    expect(findings).toContainEqual(expect.objectContaining({ check: 'Groups not synced', verdict: 'failed' }));
  });

  it('finds the task of which nobody heard', async () => {
    server.state.lostAnswers.set('/admin/datastore/main/gc', 1);
    server.state.taskMs = 200;
    await carryOut(maintain, { action: 'garbage-collect', datastore: 'main' });
    expect(server.writes).toHaveLength(1);
  });

  it.each<readonly [string, string, Readonly<Record<string, unknown>>, string]>([
    [
      'a garbage collection that has not run',
      'garbage_collection',
      { action: 'garbage-collect' },
      'is still the one before',
    ],
    ['a prune that has removed nothing', 'prune', { action: 'prune', keepLast: 2 }, 'is still there'],
  ])('%s is found, though its task is OK', async (_, type, asked, message) => {
    server.state.faults.set(type, { silent: true });
    await expect(carryOut(maintain, { datastore: 'main', ...asked })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    [{ action: 'sync' }, /job/],
    [{ action: 'prune' }, /keepLast/],
    [{ action: 'prune', keepLast: 1, job: 'p-1' }, /keepLast/],
    [{ action: 'garbage-collect', job: 'x1' }, /job/],
  ])('refuses the input %j', async (wrong, message) => {
    await expect(carryOut(maintain, { datastore: 'main', ...wrong })).rejects.toThrow(message);
  });

  it('names the datastores and jobs that there are', async () => {
    await expect(carryOut(maintain, { action: 'verify', datastore: 'other' })).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(carryOut(maintain, { action: 'verify', datastore: 'main', job: 'v-9' })).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});

it('another certificate or another token is refused, and says so', async () => {
  const [{ backupServer } = {}] = apis.hosts;
  if (backupServer === undefined) throw new Error('it needs its configuration');
  const other = (change: object) =>
    createProxmoxApis(
      {
        hosts: [{ name: 'pbs1', layout: defaultLayout, timeZone: 'UTC', backupServer: { ...backupServer, ...change } }],
      },
      pino({ level: 'silent' }),
    );
  for (const [change, code] of [
    [
      {
        trust: {
          kind: 'fingerprint',
          sha256: backupServer.trust.kind === 'fingerprint' ? `00${backupServer.trust.sha256.slice(2)}` : '',
        },
      },
      'proxmox-certificate',
    ],
    [{ tokenValue: new Secret('00000000-0000-4000-8000-000000000000') }, 'proxmox-authentication'],
  ] as const) {
    const wrong = other(change);
    await expect(wrong.backupServer('pbs1').version()).rejects.toMatchObject({ code });
    await wrong.close();
  }
});
