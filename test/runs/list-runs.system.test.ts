import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own: what lists say of runs that are done, are plans, failed, or were ended.
const by = { kind: 'cli', name: 'test' } as const;
let simulator: ProxmoxSimulator;
let service: TestService;
const ids: Record<'done' | 'planned' | 'failed' | 'terminated', string> = {
  done: '',
  planned: '',
  failed: '',
  terminated: '',
};

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  await service.startWorker();
  const run = async (input: object) => {
    const { id } = await service.runs.start('control-guest', { host: 'pve1', ...input }, by);
    await service.runs.wait(id, { timeoutMs: 60_000 });
    return id;
  };
  ids.done = await run({ vmid: 100, action: 'start' });
  ids.planned = await run({ vmid: 100, action: 'reboot', dryRun: true });
  ids.failed = await run({ vmid: 999, action: 'start' });
  const { id } = await service.runs.start('control-guest', { host: 'pve1', vmid: 100, action: 'shutdown' }, by);
  await service.client.workflow.getHandle(id).terminate('test');
  ids.terminated = id;
  // Temporal's index follows a moment later.
  while ((await listed({ state: 'terminated' })).length === 0) await sleep(100);
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

type Filter = Omit<Parameters<TestService['runs']['list']>[0], 'limit'>;
const listed = async (filter: Filter = {}) => (await service.runs.list({ limit: 50, ...filter })).runs;
const idsOf = async (filter: Filter) => (await listed(filter)).map(({ id }) => id);

describe('a list of runs', () => {
  it('says how each run ended and what its report found, and leaves plans and locks out', async () => {
    const runs = await listed();
    expect(new Map(runs.map(({ id, state, verdict, dryRun }) => [id, { state, verdict, dryRun }]))).toEqual(
      new Map([
        [ids.terminated, { state: 'terminated', verdict: undefined, dryRun: false }],
        [ids.failed, { state: 'failed', verdict: undefined, dryRun: false }],
        [ids.done, { state: 'done', verdict: 'ok', dryRun: false }],
      ]),
    );
    expect((await listed({ dryRuns: true })).find(({ id }) => id === ids.planned)).toMatchObject({
      state: 'planned',
      dryRun: true,
    });
  });

  it('is filtered by state, verdict, host and time', async () => {
    expect(await idsOf({ state: 'done' })).toEqual([ids.done]);
    expect(await idsOf({ state: 'planned' })).toEqual([ids.planned]);
    expect(await idsOf({ state: 'failed' })).toEqual([ids.failed]);
    expect(await idsOf({ state: 'running' })).toEqual([]);
    expect(await idsOf({ verdict: 'ok' })).toEqual([ids.done]);
    expect(await idsOf({ verdict: 'failed' })).toEqual([]);
    expect(await idsOf({ host: 'pve1' })).toHaveLength(3);
    expect(await idsOf({ host: 'pve' })).toEqual([]);
    expect(await idsOf({ state: 'terminated' })).toEqual([ids.terminated]);
    expect(await idsOf({ since: '1h' })).toHaveLength(3);
    expect(await idsOf({ until: '1h' })).toEqual([]);
    await expect(listed({ since: 'last week' })).rejects.toMatchObject({ code: 'invalid-input' });
  });
});

describe('a run', () => {
  it('is found by a part of its id that only it has', async () => {
    const last = ids.done.split('/').at(-1) ?? '';
    expect(last).toMatch(/^[0-9a-z]{10}$/);
    for (const part of [ids.done.slice(0, -3), last, last.slice(0, 6)]) {
      expect(await service.runs.get(part)).toMatchObject({ id: ids.done, state: 'done', verdict: 'ok' });
    }
    await expect(service.runs.get('control-guest/pve1')).rejects.toMatchObject({ code: 'conflict' });
    for (const nothing of ['control-guest/pve3', 'zzzzzz', '', 'lock/guest/homelab/100']) {
      await expect(service.runs.get(nothing), nothing).rejects.toMatchObject({ code: 'not-found' });
    }
  });

  it('tells what happened in words', async () => {
    const { stdout } = await service.cli('runs', 'log', ids.done);
    expect(stdout).toMatch(/Started, asked for by test \(cli\)/);
    expect(stdout).toMatch(/Look: done in \d+\.\d s/);
    expect(stdout).not.toMatch(/[a-z][A-Z]/);
  });

  it('stands in the table with its verdict', async () => {
    const { stdout } = await service.cli('runs', 'list', '--state', 'done');
    expect(stdout).toMatch(/^STARTED\s+STATE\s+VERDICT\s+ASKED BY\s+UNDO\s+RUN$/m);
    expect(stdout).toMatch(new RegExp(`ago\\s+done\\s+ok\\s+cli:test\\s+${ids.done}$`, 'm'));
  });
});
