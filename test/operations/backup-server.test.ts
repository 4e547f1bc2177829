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
import { backupServerChecks } from '../../src/cli/doctor/backup-server.ts';
import { runChecks } from '../../src/cli/doctor/check.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { Secret } from '../../src/secret.ts';

// Its simulation is not recorded: see lab/backup-server.
let server: BackupServerSimulator;
let apis: ProxmoxApis;

const day = 86_400;
const now = Math.floor(Date.now() / 1000);
/** This morning at two, or yesterday's. */
const today = now - (now % day) - (now % day < 7_200 ? day : 0) + 7_200;
const idOf = (days: number, group = 'vm/100') =>
  `${group}/${new Date((today - days * day) * 1000).toISOString().replace('.000', '')}`;
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
const mainStore = () => server.state.stores.get('main') ?? { total: 0, used: 0, garbage: {} };
const left = () => (server.state.snapshots.get('main') ?? []).map(({ time }) => (today - time) / day);

describe('check-backup-server', () => {
  const check = 'check-backup-server';

  it('says how full it is, what its jobs did, and lists its snapshots without Proxmox VE', async () => {
    server.state.jobs.push(
      { kind: 'prune', id: 'p-1', store: 'main', 'last-run-state': 'OK', 'next-run': now + 60 },
      { kind: 'verify', id: 'v-1', store: 'main', 'last-run-state': 'OK' },
    );
    Object.assign(mainStore().garbage, { schedule: 'daily', 'last-run-state': 'OK', 'next-run': now + 60 });
    const { output, findings, look } = await carryOut(check, { group: 'vm/100', limit: 2 });
    expect(look.steps).toEqual([]);
    expect(server.writes).toEqual([]);
    expect(output).toMatchObject({
      version: '4.0',
      datastores: [{ name: 'main', usedShare: 0.5 }],
      total: 4,
      snapshots: [
        { id: idOf(0), verified: 'none' },
        { id: idOf(1), verified: 'ok' },
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
      'a group of a namespace was never verified',
      () => server.state.snapshots.get('main')?.push(snapshot(1, { ns: 'site' })),
      'Verified in main',
      'warning',
    ],
    [
      'a job that pushes failed',
      () =>
        server.state.jobs.push({
          ...{ kind: 'sync', id: 'off-site', store: 'main', 'sync-direction': 'push', 'last-run-state': 'timeout' },
        }),
      'Sync job off-site of main',
      'failed',
    ],
    [
      'a job is overdue',
      () =>
        server.state.jobs.push({
          ...{ kind: 'prune', id: 'p-1', store: 'main', 'last-run-state': 'OK', 'next-run': now - 3 * day },
        }),
      'Prune job p-1 of main',
      'warning',
    ],
    [
      'garbage collection failed',
      () => Object.assign(mainStore().garbage, { schedule: 'daily', 'last-run-state': 'unable to lock' }),
      'Garbage collection of main',
      'failed',
    ],
    ['garbage is never collected', () => undefined, 'Garbage collection of main', 'warning'],
    [
      'the tasks of others are not seen',
      () => {
        server.state.mayAudit = false;
      },
      'Tasks',
      'unknown',
    ],
    ['no datastore is seen', () => server.state.stores.clear(), 'Datastores', 'unknown'],
    ['no job verifies or prunes', () => undefined, 'Jobs of main', 'warning'],
  ])('says where %s', async (_, prepare, name, verdict) => {
    prepare();
    const { findings } = await carryOut(check, {});
    expect(findings).toContainEqual(expect.objectContaining({ check: name, verdict }));
  });
});

it('check-backup-server counts no task that runs or is old, names those that failed, and knows older servers', async () => {
  server.state.knowsPush = false;
  const task = { type: 'backup', id: 'main:vm/100', log: [], upid: 'UPID:pbs:::::backup:::' };
  server.state.tasks.push(
    { ...task, starttime: now - 60 },
    { ...task, starttime: now - 30 * day, endtime: now - 30 * day, status: 'connection lost' },
  );
  const tasksIn = (findings: readonly Finding[]) => findings.find(({ check }) => check === 'Tasks');
  expect(tasksIn((await carryOut('check-backup-server', {})).findings)).toMatchObject({ verdict: 'ok' });
  server.state.tasks.push({ ...task, starttime: now - 90, endtime: now - 60, status: 'connection lost' });
  expect(tasksIn((await carryOut('check-backup-server', {})).findings)).toMatchObject({
    verdict: 'warning',
    evidence: expect.stringMatching(/^\d{4}-.*Z backup main:vm\/100: connection lost$/),
  });
  await expect(carryOut('check-backup-server', { datastore: 'typo' })).rejects.toMatchObject({ code: 'not-found' });
});

/** So many that all of them in a run's history would be more than Temporal takes. */
it('a server with very many snapshots is looked at all the same, and what is kept of them is small', async () => {
  const many = Array.from({ length: 9_000 }, (_, at) =>
    snapshot(at % 30, { id: String(100 + (at % 300)), time: today - at * 60 }),
  );
  server.state.snapshots.set('main', many);
  const { look, output } = await carryOut('check-backup-server', {});
  expect(output.total).toBe(9_000);
  expect(JSON.stringify(look).length).toBeLessThan(200_000);
  const verify = await carryOut(maintain, { action: 'verify', datastore: 'main' });
  expect(JSON.stringify(verify.look).length).toBeLessThan(1_500_000);
});

describe('maintain-backup-server', () => {
  it('verifies once, though the step is begun twice, and says what is damaged', async () => {
    server.state.snapshots.get('main')?.push(snapshot(4, { id: '200' }));
    server.state.faults.set('verify', { damages: ['200'] });
    const { output, findings } = await carryOut(maintain, { action: 'verify', datastore: 'main' }, 2);
    expect(server.writes).toEqual(['POST /admin/datastore/main/verify']);
    expect(output.damaged).toEqual([idOf(4, 'vm/200')]);
    expect(findings).toContainEqual(expect.objectContaining({ check: 'Damaged', verdict: 'failed' }));
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'Log', verdict: 'failed', summary: expect.stringContaining('vm/200') }),
    );
  });

  it('verifies all namespaces, and finds what is damaged in them; one that is named alone', async () => {
    server.state.snapshots.get('main')?.push(snapshot(1, { ns: 'site' }), snapshot(1, { id: '200', ns: 'site/pve1' }));
    server.state.faults.set('verify', { damages: ['200'] });
    const alone = await carryOut(maintain, { action: 'verify', datastore: 'main', namespace: 'site' });
    expect(alone.output.damaged).toEqual([]);
    const { output } = await carryOut(maintain, { action: 'verify', datastore: 'main' });
    expect(output.damaged).toEqual([`site/pve1: ${idOf(1, 'vm/200')}`]);
  });

  it.each(['disk-1', 'main'])(
    'follows the task of a job on the datastore %s, whose names are escaped',
    async (store) => {
      server.state.stores.set('disk-1', { total: 10, used: 1, garbage: {} });
      server.state.snapshots.set('disk-1', [snapshot(0)]);
      server.state.jobs.push({ kind: 'verify', id: 'v-1a2b', store });
      const { findings } = await carryOut(maintain, { action: 'verify', datastore: store, job: 'v-1a2b' }, 2);
      expect(server.writes).toEqual(['POST /admin/verify/v-1a2b/run']);
      expect(findings).toContainEqual(expect.objectContaining({ check: 'Damaged', verdict: 'ok' }));
      const upid = server.state.tasks.at(-1)?.upid;
      expect(upid).toContain('\\x2d1a2b');
      const { backupServer } = apis;
      expect(await backupServer('pbs1').taskStatus(upid ?? '')).toMatchObject({ status: 'stopped' });
    },
  );

  it('a prune job in a namespace works there, one over several is refused with all of them', async () => {
    server.state.snapshots.get('main')?.push(...[1, 2, 3].map((days) => snapshot(days, { ns: 'site' })));
    server.state.jobs.push({ kind: 'prune', id: 'p-1', store: 'main', ns: 'site', 'keep-last': 2 });
    const { output } = await carryOut(maintain, { action: 'prune', datastore: 'main', job: 'p-1' });
    expect(output.removed).toEqual([`site: ${idOf(3)}`]);
    server.state.snapshots.get('main')?.push(snapshot(1, { ns: 'site/pve1' }));
    await expect(carryOut(maintain, { action: 'prune', datastore: 'main', job: 'p-1' })).rejects.toMatchObject({
      remedy: expect.stringContaining('site, site/pve1'),
    });
    await expect(
      carryOut(maintain, { action: 'prune', datastore: 'main', job: 'p-1', namespace: 'other' }),
    ).rejects.toMatchObject({ details: { field: 'namespace' } });
  });

  it('prunes what its plan has named, keeps what is protected, and says that no space is freed', async () => {
    const asked = { action: 'prune', datastore: 'main', keepLast: 2 };
    const { look, output } = await carryOut(maintain, asked);
    expect(look.plan.affected).toEqual([`The snapshot ${idOf(2)} goes`]);
    expect(look.plan.risks.join()).toContain('Pruning frees no space');
    expect(output.removed).toEqual([idOf(2)]);
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

  it('a sync whose warnings are far up in a long log has groups that were not synced', async () => {
    server.state.jobs.push({ kind: 'sync', id: 's-1', store: 'main', 'sync-direction': 'push' });
    const log = [
      'sync group vm/7 failed - owner check failed',
      ...Array.from({ length: 700 }, (_, at) => `chunk ${at}`),
    ];
    server.state.faults.set('syncjob', { ends: 'WARNINGS: 1', log });
    const { findings } = await carryOut(maintain, { action: 'sync', datastore: 'main', job: 's-1' });
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
    ['a verification that has verified nothing', 'verify', { action: 'verify' }, 'is verified by it'],
    ['a sync that has not run', 'syncjob', { action: 'sync', job: 's-1' }, 'is still the one before'],
    ['a prune that has removed nothing', 'prune', { action: 'prune', keepLast: 2 }, 'is still there'],
  ])('%s is found, though its task is OK', async (_, type, asked, message) => {
    server.state.jobs.push({ kind: 'sync', id: 's-1', store: 'main' });
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
  for (const [change, code, helps] of [
    [
      {
        trust: {
          kind: 'fingerprint',
          sha256: backupServer.trust.kind === 'fingerprint' ? `00${backupServer.trust.sha256.slice(2)}` : '',
        },
      },
      'proxmox-certificate',
      'proxmox-backup-manager cert info',
    ],
    [
      { tokenValue: new Secret('00000000-0000-4000-8000-000000000000') },
      'proxmox-authentication',
      'user list-tokens mcp@pbs',
    ],
  ] as const) {
    const wrong = other(change);
    await expect(wrong.backupServer('pbs1').version()).rejects.toMatchObject({
      code,
      remedy: expect.stringContaining(helps),
    });
    await wrong.close();
  }
});

it('doctor looks at it: its certificate, its token, and what that lacks', async () => {
  const [host] = apis.hosts;
  if (host?.backupServer === undefined) throw new Error('it needs its configuration');
  const looked = async (config = host) =>
    runChecks(
      backupServerChecks(
        'pbs1',
        config.backupServer as NonNullable<typeof host.backupServer>,
        { hosts: [config] },
        pino({ level: 'silent' }),
      ),
      20_000,
    );
  expect(await looked()).toMatchObject([{ check: 'pbs1: backup server', verdict: 'ok' }]);
  server.state.mayAudit = false;
  expect(await looked()).toMatchObject([{ verdict: 'warning', summary: expect.stringContaining('Sys.Audit') }]);
  const tokenValue = new Secret('00000000-0000-4000-8000-000000000000');
  expect(await looked({ ...host, backupServer: { ...host.backupServer, tokenValue } })).toMatchObject([
    { verdict: 'failed', remedy: expect.stringContaining('list-tokens') },
  ]);
});
