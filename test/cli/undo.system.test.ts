import { afterAll, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own: what an agent did is found and taken back on the command line.
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

const status = () => simulator.state.guests.get(101)?.status;
const listed = async (...args: string[]) => (await service.cli('runs', 'list', '--undoable', ...args)).stdout;

it('"undo what claude did": the list names it, a dry run shows the plan, and undo does it once', async () => {
  const { id } = await service.runs.start(
    'control-guest',
    { host: 'pve1', vmid: 101, action: 'shutdown' },
    { kind: 'mcp', name: 'claude' },
  );
  await service.runs.wait(id, { timeoutMs: 60_000 });
  await expect.poll(() => listed('--by', 'claude'), { timeout: 30_000 }).toContain(id);
  const list = await listed('--by', 'claude');
  expect(list).toMatch(new RegExp(`mcp:claude\\s+until \\d{4}-\\d\\d-\\d\\d\\s+${id}$`, 'm'));
  expect(list).toContain(`npx proxmox-mcp runs undo ${id}`);
  expect(list).toContain('as long as nobody has started or stopped the guest since');
  expect(await listed('--by', 'bert')).toBe('');

  const plan = await service.cli('runs', 'undo', id, '--dry-run');
  expect(plan.stdout).toContain(`Would undo ${id}: start the container 101`);
  expect(status()).toBe('stopped');

  const undone = await service.cli('runs', 'undo', id);
  expect(undone.stdout).toContain(`Took back ${id}`);
  expect(undone.stdout).toContain(`It takes back ${id}`);
  expect(status()).toBe('running');
  const again = await service.cli('runs', 'undo', id, '--no-wait');
  expect(again.stderr).toContain('Found run');
  expect(undone.stdout).toContain(`Run ${again.stdout.trim()}`);
  expect((await service.cli('runs', 'get', id)).stdout).toContain(
    `Undo: It was taken back already, by ${again.stdout.trim()}.`,
  );
  await expect(service.cli('runs', 'undo', again.stdout.trim(), '--json', '--dry-run')).resolves.toMatchObject({
    stdout: expect.stringContaining('"planned"'),
  });
}, 180_000);

it('says why it can not, and starts nothing', async () => {
  const { id } = await service.runs.start(
    'control-guest',
    { host: 'pve1', vmid: 100, action: 'start' },
    { kind: 'mcp', name: 'claude' },
  );
  await service.runs.wait(id, { timeoutMs: 60_000 });
  await expect(service.cli('runs', 'undo', id)).rejects.toMatchObject({
    stderr: expect.stringContaining('It was running already, and nothing was done.'),
  });
}, 120_000);
