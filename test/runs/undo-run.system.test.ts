import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkflowNotFoundError } from '@temporalio/client';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState } from '../../lab/proxmox/state.ts';
import { createControlGuestActivities } from '../../src/activities/control-guest/control-guest.ts';
import type { ServiceAction, ServiceState } from '../../src/activities/control-service/control-service.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { Config } from '../../src/config.ts';
import { ServiceError } from '../../src/errors.ts';
import { openMoveFolder } from '../../src/move/move-folder.ts';
import { runStore } from '../../src/move/runs.ts';
import { findingsOf } from '../../src/operations/report.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import type { Runs } from '../../src/runs/runs.ts';
import { followQueueOf, hostQueue } from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { loadedConfig } from '../support/config.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// A real Temporal server, the workflows, a simulated cluster, and a systemd of one service that a test made up.
const temporal = useTemporal();
const claude = { kind: 'mcp', name: 'claude', for: 'anna' } as const;
const anna = { kind: 'person', name: 'anna' } as const;
let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
let runs: Runs;
let config: Config;
const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-undo-'));
let nginx: ServiceState;

const effects: Readonly<Record<ServiceAction, Partial<ServiceState>>> = {
  start: { active: 'active' },
  stop: { active: 'inactive' },
  restart: { active: 'active' },
  reload: {},
  enable: { startsAtBoot: 'enabled' },
  disable: { startsAtBoot: 'disabled' },
};
const serviceActivities = {
  lookAtService: async () => nginx,
  planService: async ({ action }: { action: ServiceAction }) => [`systemctl ${action} nginx.service`],
  async changeService({ action }: { action: ServiceAction }) {
    nginx = { ...nginx, ...effects[action] };
  },
  async restoreService({ former }: { former: ServiceState }) {
    nginx = former;
  },
};

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  const loaded = loadedConfig();
  const [pve1] = loaded.hosts;
  const host = { ...hostOf('pve1', simulator), ...(pve1?.ssh && { ssh: pve1.ssh }) };
  config = { ...loaded, hosts: [host], accessDir: join(folder, 'access') };
  apis = createProxmoxApis({ hosts: [host] }, pino({ level: 'silent' }));
  const dependencies = { proxmox: apis };
  const activities = {
    ...createGuestActivities(dependencies),
    ...createControlGuestActivities(dependencies),
    ...serviceActivities,
  };
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: { ...createLockActivities({ client: temporal.client }), mailReport: async () => ({ mailed: true }) },
    interceptors,
  });
  for (const taskQueue of [hostQueue('pve1'), followQueueOf('pve1')])
    await temporal.work({ taskQueue, activities, interceptors });
  runs = createRuns({ client: temporal.client, config });
}, 600_000);
afterAll(async () => {
  await apis.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  temporal.ledger.judge = () => ({ verdict: 'allowed' });
  simulator.state.guests.clear();
  simulator.state.tasks.clear();
  for (const guest of createState().guests.values()) simulator.state.guests.set(guest.vmid, guest);
  nginx = {
    active: 'active',
    detail: 'running',
    startsAtBoot: 'disabled',
    since: '',
    restarts: 0,
    description: 'A web server',
    canReload: true,
    endsByItself: false,
  } as ServiceState;
});

const status = (vmid: number) => simulator.state.guests.get(vmid)?.status;
const setStatus = (vmid: number, now: 'running' | 'stopped') =>
  Object.assign(simulator.state.guests.get(vmid) ?? {}, { status: now });
const ended = (id: string) => runs.wait(id, { timeoutMs: 60_000 });

async function done(operation: string, input: object) {
  const { id } = await runs.start(operation, { host: 'pve1', ...input }, claude);
  const run = await ended(id);
  expect(run.failure?.message).toBeUndefined();
  return run;
}

async function refusal(act: Promise<unknown>): Promise<ServiceError> {
  const error: unknown = await act.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ServiceError) return error;
  return expect.unreachable(`refused by ${error}`);
}

describe('a finished change', () => {
  it('says until when it can be undone, is undone by a run of its own, and the two lead to each other', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    expect(status(101)).toBe('stopped');
    const in30Days = new Date(Date.parse(run.closedAt ?? '') + 30 * 24 * 3_600_000).toISOString();
    expect(run.undo).toMatchObject({
      possible: true,
      until: in30Days,
      text: expect.stringContaining('as long as nobody has started or stopped the guest since'),
    });
    const { id, existing, undoes } = await runs.undo(run.id, anna);
    expect({ existing, undoes }).toEqual({ existing: false, undoes: run.id });
    const back = await ended(id);
    expect(back).toMatchObject({ state: 'done', undoes: run.id, requestedBy: 'person:anna', dryRun: false });
    expect(status(101)).toBe('running');
    expect(findingsOf(back.result?.report.sections ?? []).map(({ summary }) => summary)).toContain(
      `Took back ${run.id}`,
    );
    // It can be undone itself, and the first one not again.
    expect(back.undo?.possible).toBe(true);
    expect((await runs.get(run.id)).undo).toEqual({
      possible: false,
      by: id,
      text: `It was taken back already, by ${id}.`,
    });
    expect(temporal.ledger.judged.at(-1)).toMatchObject({ undoes: run.id, input: { action: 'start' } });
    expect(temporal.ledger.recordsOf(id).find(({ kind }) => kind === 'plan')?.text).toMatch(
      `undo ${run.id}: start the`,
    );
    expect(temporal.ledger.recordsOf(run.id).at(-1)).toMatchObject({
      text: `Taken back by ${id}`,
      by: 'person:anna',
      data: { undoneBy: id },
    });
  });

  it('is undone once, however often and by whomever that is asked for', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    const asked = await Promise.all([runs.undo(run.id, anna), runs.undo(run.id, claude), runs.undo(run.id, claude)]);
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect(asked.filter(({ existing }) => !existing)).toHaveLength(1);
    await ended(asked[0].id);
    expect(await runs.undo(run.id, claude)).toMatchObject({ id: asked[0].id, existing: true, state: 'done' });
    expect([...simulator.state.tasks.values()].map(({ type }) => type)).toEqual(['vzshutdown', 'vzstart']);
    expect((await refusal(runs.undo(run.id, claude, { dryRun: true }))).message).toContain(
      `It was taken back already, by ${asked[0].id}.`,
    );
  });

  it('is only planned in a dry run, and undone afterwards', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'stop' });
    const plan = await ended((await runs.undo(run.id, claude, { dryRun: true })).id);
    expect(plan).toMatchObject({ state: 'planned', undoes: run.id });
    expect(plan.result?.report.summary).toMatch(`Would undo ${run.id}: start the`);
    expect(plan.result?.plan?.risks[0]).toBe('What the guest had not written when it was stopped stays lost.');
    expect(status(101)).toBe('stopped');
    expect(await ended((await runs.undo(run.id, claude)).id)).toMatchObject({ state: 'done' });
    expect(status(101)).toBe('running');
  });

  it('stays where somebody has changed it since, and says what; put right, it is undone by another try', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    setStatus(101, 'running');
    const tried = await ended((await runs.undo(run.id, claude)).id);
    expect(tried).toMatchObject({ state: 'failed', failure: { code: 'conflict' } });
    expect(tried.failure?.message).toContain(
      `pve1/101 is not as ${run.id} left it, so nothing was taken back: State was stopped, and is running now.`,
    );
    expect([...simulator.state.tasks.values()].map(({ type }) => type)).toEqual(['vzshutdown']);
    setStatus(101, 'stopped');
    expect((await runs.get(run.id)).undo?.possible).toBe(true);
    const again = await ended((await runs.undo(run.id, claude)).id);
    expect(again.id).not.toBe(tried.id);
    expect(again.state).toBe('done');
    expect(status(101)).toBe('running');
  });

  it.each([
    ['stop', { active: 'inactive' }],
    ['enable', { startsAtBoot: 'enabled' }],
  ] as const)('of a service: %s', async (action, left) => {
    const before = nginx;
    const run = await done('control-service', { unit: 'nginx', action });
    expect(nginx).toMatchObject(left);
    expect(await ended((await runs.undo(run.id, claude)).id)).toMatchObject({ state: 'done' });
    expect(nginx).toEqual(before);
  });

  it('of a service is not undone where that is otherwise by now', async () => {
    const run = await done('control-service', { unit: 'nginx', action: 'enable' });
    nginx = { ...nginx, startsAtBoot: 'masked' };
    const tried = await ended((await runs.undo(run.id, claude)).id);
    expect(tried.failure?.message).toContain('Starts with the host was enabled, and is masked now');
    expect(nginx.startsAtBoot).toBe('masked');
  });
});

describe('a change of a Temporal server from which the service was moved', { timeout: 300_000 }, () => {
  /** Away from this server, as if another one had done it, and brought here. */
  async function move(id: string): Promise<void> {
    const context = { client: temporal.client, config, configFolder: folder, dryRun: false, say: () => {} };
    const files = openMoveFolder(join(folder, 'moved'), { dryRun: false });
    await runStore.export(context, files);
    await temporal.client.workflowService.deleteWorkflowExecution({
      namespace: temporal.client.options.namespace,
      workflowExecution: { workflowId: id },
    });
    const isGone = () =>
      temporal.client.workflow
        .getHandle(id)
        .describe()
        .then(
          () => false,
          (error: unknown) => error instanceof WorkflowNotFoundError,
        );
    // The server does it when it has time.
    await expect.poll(isGone, { timeout: 200_000, interval: 250 }).toBe(true);
    await runStore.import(context, files);
  }

  it('is undone here, once, and says by which run', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    await move(run.id);
    expect(await runs.get(run.id)).toMatchObject({ state: 'done', undo: { possible: true } });
    const { id, undoes } = await runs.undo(run.id, anna);
    expect(undoes).toBe(run.id);
    expect(await ended(id)).toMatchObject({ state: 'done' });
    expect(status(101)).toBe('running');
    expect(await runs.undo(run.id, claude)).toMatchObject({ id, existing: true });
    expect((await runs.get(run.id)).undo).toMatchObject({ possible: false, by: id });
  });

  it.skipIf(!exhaustive)('that was taken back there is not taken back again', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    const { id } = await runs.undo(run.id, anna);
    await ended(id);
    await move(id);
    await move(run.id);
    setStatus(101, 'stopped');
    expect((await runs.get(run.id)).undo).toMatchObject({ possible: false, by: id });
    expect(await runs.undo(run.id, claude)).toMatchObject({ id, existing: true });
    expect(status(101)).toBe('stopped');
  });

  it.skipIf(!exhaustive)('stays where somebody has changed it since', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    await move(run.id);
    setStatus(101, 'running');
    const tried = await ended((await runs.undo(run.id, claude)).id);
    expect(tried).toMatchObject({ state: 'failed', failure: { code: 'conflict' } });
    expect(tried.failure?.message).toContain('State was stopped, and is running now.');
  });
});

describe('an undo that needs an approval', () => {
  const terms = {
    count: 1,
    approvers: ['anna'],
    answerWithinMs: 60_000,
    executeWithinMs: 60_000,
    remindEveryMs: 60_000,
    signed: false,
  };
  const ask = () => {
    temporal.ledger.judge = () => ({ verdict: 'ask', terms, why: 'The policy asks.' });
  };
  const question = async (id: string) => {
    await expect.poll(async () => (await runs.get(id)).question?.kind, { timeout: 20_000 }).toBe('approval');
    return (await runs.get(id)).question;
  };

  it('asks for exactly that, and its report says who approved it and why', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    ask();
    const { id } = await runs.undo(run.id, claude);
    const asked = await question(id);
    expect((await refusal(runs.undo(id, claude))).message).toContain(
      'It has not ended: cancelling it takes back what it did.',
    );
    expect(asked?.text).toMatch(`It is to undo ${run.id}: start the`);
    expect((await runs.get(id)).page).toMatch(/^http.*\/runs\/control-guest/);
    expect((await runs.get(run.id)).undo).toMatchObject({
      possible: false,
      by: id,
      text: `${id} is to take it back (paused).`,
    });
    const digest = asked?.approval?.digest ?? '';
    expect((await refusal(runs.decide(id, { choice: 'approve', digest }, claude))).code).toBe('forbidden');
    await runs.decide(id, { choice: 'approve', digest, reason: 'it was a mistake' }, anna);
    const back = await ended(id);
    expect(back.result?.approvedBy).toEqual([{ name: 'anna', reason: 'it was a mistake' }]);
    expect(findingsOf(back.result?.report.sections ?? [])).toContainEqual({
      check: 'Approval',
      verdict: 'ok',
      summary: 'Approved by anna: it was a mistake',
    });
    expect(status(101)).toBe('running');
  });

  it('does nothing where somebody changes it while it waits', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    ask();
    const { id } = await runs.undo(run.id, claude);
    const digest = (await question(id))?.approval?.digest ?? '';
    setStatus(101, 'running');
    await runs.decide(id, { choice: 'approve', digest }, anna);
    expect((await ended(id)).failure?.message).toContain('State was stopped, and is running now');
    expect([...simulator.state.tasks.values()].map(({ type }) => type)).toEqual(['vzshutdown']);
  });

  it('that is refused leaves it to be asked for again', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    ask();
    const { id } = await runs.undo(run.id, claude);
    const digest = (await question(id))?.approval?.digest ?? '';
    await runs.decide(id, { choice: 'refuse', digest, reason: 'not tonight' }, anna);
    expect((await ended(id)).failure?.message).toContain('anna said no: not tonight');
    temporal.ledger.judge = () => ({ verdict: 'allowed' });
    expect(await ended((await runs.undo(run.id, claude)).id)).toMatchObject({ state: 'done' });
  });
});

describe('what can not be undone says why', () => {
  it('a run that did nothing, a plan, one that failed, one that goes on, and one that nobody knows', async () => {
    const nothing = await done('control-guest', { vmid: 100, action: 'start' });
    expect(nothing.undo).toEqual({ possible: false, text: 'It was running already, and nothing was done.' });
    expect((await refusal(runs.undo(nothing.id, claude))).message).toContain('nothing was done');
    const reboot = await done('control-guest', { vmid: 100, action: 'reboot' });
    expect((await refusal(runs.undo(reboot.id, claude))).message).toContain('there is nothing to put back');
    const plan = await done('control-guest', { vmid: 100, action: 'stop', dryRun: true });
    expect(plan.undo).toBeUndefined();
    expect((await refusal(runs.undo(plan.id, claude))).message).toContain('It only planned');
    const look = await done('control-service', { unit: 'nginx', action: 'status' });
    expect((await refusal(runs.undo(look.id, claude))).message).toContain('It recorded no way back: it only looked');
    const { id: failed } = await runs.start('control-guest', { host: 'pve1', vmid: 999, action: 'start' }, claude);
    await ended(failed);
    expect((await refusal(runs.undo(failed, claude))).message).toContain('It is not done (failed)');
    expect((await refusal(runs.undo('control-guest/pve1.1/none', claude))).code).toBe('not-found');
  });

  it('and whoever may not start the reverse starts nothing', async () => {
    const run = await done('control-guest', { vmid: 101, action: 'shutdown' });
    const asked: unknown[] = [];
    const check = (operation: { name: string }, input: object) => {
      asked.push(operation.name, input);
      throw new ServiceError({ code: 'forbidden', message: 'No', remedy: 'Ask' });
    };
    expect((await refusal(runs.undo(run.id, claude, { check }))).code).toBe('forbidden');
    expect(asked).toMatchObject(['control-guest', { host: 'pve1', vmid: 101, action: 'start' }]);
    expect((await runs.get(run.id)).undo?.possible).toBe(true);
  });
});

it('lists show what can be undone, by who asked and when', async () => {
  const bert = { kind: 'mcp', name: 'bert' } as const;
  const since = new Date().toISOString();
  const start = async (by: typeof claude | typeof bert, vmid: number, action: string) => {
    const { id } = await runs.start('control-guest', { host: 'pve1', vmid, action }, by);
    await ended(id);
    return id;
  };
  const first = await start(claude, 101, 'shutdown');
  const second = await start(bert, 120, 'start');
  const nothing = await start(claude, 100, 'start');
  const ids = async (filter: Partial<Parameters<Runs['list']>[0]>) =>
    (await runs.list({ limit: 20, since, ...filter })).runs.map(({ id }) => id);
  await expect.poll(() => ids({ state: 'done' }), { timeout: 20_000 }).toEqual([nothing, second, first]);
  expect(await ids({ undoable: true })).toEqual([second, first]);
  expect(await ids({ undoable: true, requestedBy: 'claude' })).toEqual([first]);
  expect(await ids({ requestedBy: 'mcp:bert' })).toEqual([second]);
  expect(await ids({ requestedBy: 'mcp' })).toEqual([nothing, second, first]);
  expect(await ids({ requestedBy: 'cli' })).toEqual([]);
  expect(await ids({ requestedBy: "o'brien" })).toEqual([]);
  // Looked for beyond the first page.
  expect((await runs.list({ limit: 1, since, undoable: true })).runs.map(({ id }) => id)).toEqual([second]);
  const { id: undo } = await runs.undo(first, claude);
  await ended(undo);
  await expect.poll(() => ids({ undoable: true }), { timeout: 20_000 }).toEqual([undo, second]);
  const [listed] = (await runs.list({ limit: 20, since, requestedBy: 'claude' })).runs;
  expect(listed).toMatchObject({ id: undo, undoes: first, undo: { possible: true } });
});
