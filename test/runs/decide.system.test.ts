import { afterAll, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own: a run whose undo is refused, until a person has put that right and says so.
const by = { kind: 'cli', name: 'test' } as const;
const vmid = 301;
let simulator: ProxmoxSimulator;
let service: TestService;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

const guest = () => simulator.state.guests.get(vmid);
const phase = async (id: string) => (await service.runs.get(id)).progress?.phase;

/** A start that is cancelled in the middle, and whose undo Proxmox refuses: the API token has lost its rights. */
async function startStuck(): Promise<{ readonly id: string; readonly giveBack: () => void }> {
  simulator.state.tasks.clear();
  simulator.state.guests.set(vmid, {
    vmid,
    type: 'lxc',
    name: 'stuck',
    node: 'pve1',
    status: 'stopped',
    cpus: 1,
    memory: 1,
    disk: 1,
    template: false,
    behaviour: { startMs: 5_000 },
  });
  const { id } = await service.runs.start('control-guest', { host: 'pve1', vmid, action: 'start' }, by);
  await expect
    .poll(() => [...simulator.state.tasks.values()].some((task) => task.id === String(vmid)), { timeout: 30_000 })
    .toBe(true);
  const rights = simulator.state.acl.splice(0);
  await service.runs.cancel(id, 'test', by);
  await expect.poll(() => phase(id), { timeout: 60_000 }).toBe('paused');
  return { id, giveBack: () => simulator.state.acl.push(...rights) };
}

const ended = (id: string): Promise<RunDetails> => service.runs.wait(id, { timeoutMs: 60_000 });

it('is shown as paused with its choices, refuses what is none, and goes on when it is told to', async () => {
  const { id, giveBack } = await startStuck();
  const { stdout } = await service.cli('runs', 'get', id);
  expect(stdout).toContain('Could not undo "Act"');
  expect(stdout).toContain(`npx proxmox-mcp runs decide ${id} retry`);
  // It waits for a person: others may work on the guest's host meanwhile.
  await expect(service.client.workflow.getHandle(`lock/guest/homelab/${vmid}`).describe()).resolves.toMatchObject({
    status: { name: 'COMPLETED' },
  });
  await expect(service.cli('runs', 'decide', id, 'rety')).rejects.toMatchObject({
    stderr: expect.stringContaining('It is none of the choices: retry, leave.'),
  });
  giveBack();
  expect((await service.cli('runs', 'decide', id, 'retry', '--reason', 'it has its rights again')).stderr).toContain(
    'Answered "retry"',
  );
  expect(await ended(id)).toMatchObject({ state: 'cancelled' });
  expect(guest()?.status).toBe('stopped');
  await expect(service.runs.decide(id, { choice: 'retry' }, by)).rejects.toMatchObject({ code: 'conflict' });
  expect((await service.runs.log(id)).map(({ text }) => text)).toContain(
    'Answered "retry" by root (cli): it has its rights again',
  );
}, 180_000);

it('ends as it is when a person says so, and says what was left', async () => {
  const { id, giveBack } = await startStuck();
  giveBack();
  await service.runs.decide(id, { choice: 'leave' }, by);
  const run = await ended(id);
  expect(run).toMatchObject({ state: 'failed' });
  expect(run.failure?.message).toContain('Not undone: Act');
}, 180_000);
