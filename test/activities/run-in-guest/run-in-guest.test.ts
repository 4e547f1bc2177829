import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimulatedAgent } from '../../../lab/proxmox/guests/agent.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { createRunInGuestActivities } from '../../../src/activities/run-in-guest/run-in-guest.ts';
import type { Hosts } from '../../../src/hosts/host.ts';
import { runInGuest } from '../../../src/operations/run-in-guest.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { locateGuest } from '../../../src/proxmox/locate.ts';
import { hostOf } from '../../proxmox/support.ts';

let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
let activities: ReturnType<typeof createRunInGuestActivities>;
let ran: (readonly string[])[];
const logger = new DefaultLogger('ERROR');

beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  const config = hostOf('pve1', simulator);
  apis = createProxmoxApis({ hosts: [config] }, pino({ level: 'silent' }));
  // As a host that is reached by its API alone.
  const hosts = { names: ['pve1'], get: () => ({ name: 'pve1', config }) } as unknown as Hosts;
  activities = createRunInGuestActivities({ proxmox: apis, hosts });
  ran = [];
  agent({});
});
afterEach(async () => {
  await apis.close();
  await simulator.close();
});

/** A VM that runs and has an agent that notes what it is told to run. */
function agent(of: SimulatedAgent): void {
  const guest = simulator.state.guests.get(100);
  if (guest?.config) guest.config.agent = '1';
  const run: SimulatedAgent['run'] = (command, input) => {
    ran.push(command);
    return (of.run ?? (() => ({ output: 'said\n' })))(command, input);
  };
  if (guest) guest.behaviour = { agent: { ...of, run } };
}

async function asActivity<T>(activity: () => Promise<T>, info: { scheduledTimestampMs?: number } = {}): Promise<T> {
  const environment = new MockActivityEnvironment({ scheduledTimestampMs: Date.now(), ...info }, { logger });
  return (await environment.run(activity)) as T;
}

async function input(vmid: number, command: readonly string[] = ['ls', '-l', 'a b'], timeoutSeconds = 5) {
  const place = await locateGuest(apis, { host: 'pve1', vmid });
  return { host: 'pve1', place, command, timeoutSeconds };
}

async function run(command?: readonly string[], timeoutSeconds?: number) {
  const what = await input(100, command, timeoutSeconds);
  const { pid } = await asActivity(() => activities.startInVm(what));
  return asActivity(() => activities.followInVm({ ...what, pid }));
}

describe('in a VM', () => {
  it('looks without running anything, and says the call', async () => {
    const look = await asActivity(async () => activities.lookForCommand(await input(100)));
    expect(look).toMatchObject({
      status: 'running',
      does: ['POST /nodes/pve1/qemu/100/agent/exec command=["ls","-l","a b"]'],
      hostCalls: [],
    });
    expect(ran).toEqual([]);
    expect(simulator.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
  });

  it('the words arrive as they are, and what it said comes back', async () => {
    const words = ['printf', '%s', 'a b', '$(id)', '', ';', 'ü\u202e'];
    expect(await run(words)).toEqual({ exitCode: 0, stdout: 'said\n', stderr: '', truncated: false, late: false });
    expect(ran).toEqual([words]);
  });

  it('its exit code, its errors and a signal are answers', async () => {
    agent({ run: () => ({ errors: 'no\n', exitCode: 3 }) });
    expect(await run()).toMatchObject({ exitCode: 3, stderr: 'no\n' });
    agent({ run: () => ({ signal: 9 }) });
    expect(await run()).toMatchObject({ signal: 9 });
  });

  it('of much output the start is kept', async () => {
    agent({ run: () => ({ output: 'ü'.repeat(100_000), errors: 'x'.repeat(20_000) }) });
    const end = await run();
    expect(Buffer.byteLength(end.stdout)).toBe(48 * 1024);
    expect(end.stderr).toHaveLength(16 * 1024);
    expect(end.truncated).toBe(true);
  });

  it('one that takes too long is said to be late', async () => {
    agent({ run: () => ({ endless: true }) });
    expect(await run(['sleep', '60'], 1)).toMatchObject({ late: true });
  });

  it('a lost answer is said, and it is not started again', async () => {
    simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
    await expect(asActivity(async () => activities.startInVm(await input(100)))).rejects.toMatchObject({
      code: 'outcome-unknown',
      retryable: false,
      message: expect.stringContaining('Nobody knows whether the command was started'),
    });
    expect(ran).toHaveLength(1);
  });

  it('an end that another attempt has heard already is said to be lost', async () => {
    const what = await input(100);
    const { pid } = await asActivity(() => activities.startInVm(what));
    await asActivity(() => activities.followInVm({ ...what, pid }));
    await expect(asActivity(() => activities.followInVm({ ...what, pid }))).rejects.toMatchObject({
      code: 'outcome-unknown',
      message: expect.stringContaining('lost'),
    });
  });

  it('a node that is away for a moment is waited for', async () => {
    agent({ run: () => ({ output: 'late\n', takesMs: 300 }) });
    simulator.inject({ kind: 'unavailable' }, { path: /exec-status/, times: 2 });
    expect(await run()).toMatchObject({ exitCode: 0, stdout: 'late\n' });
  });

  it.each([
    ['missing', 'not running'],
    ['hangs', 'got timeout'],
  ] as const)('an agent that is %s', async (state, said) => {
    agent({ state });
    await expect(asActivity(async () => activities.lookForCommand(await input(100)))).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(said),
      remedy: expect.stringContaining('qemu-guest-agent'),
    });
  });

  it('a VM that is off, and one that is locked', async () => {
    await expect(asActivity(async () => activities.lookForCommand(await input(120)))).rejects.toMatchObject({
      code: 'conflict',
      remedy: expect.stringContaining('control-guest'),
    });
    const guest = simulator.state.guests.get(100);
    if (guest) guest.lock = 'backup';
    await expect(asActivity(async () => activities.lookForCommand(await input(100)))).rejects.toMatchObject({
      code: 'proxmox-locked',
    });
  });
});

it.each([101, 102])(
  'in the container %s is refused by name where its node is reached by the API alone',
  async (vmid) => {
    const guest = simulator.state.guests.get(vmid);
    if (guest) guest.status = 'running';
    await expect(asActivity(async () => activities.lookForCommand(await input(vmid)))).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/Proxmox has no API for that, and pve[12] is reached by the API alone/),
    });
  },
);

it.each([
  [[], false],
  [[''], false],
  [['a\0b'], false],
  [['x'.repeat(3901)], false],
  [['ü'.repeat(1951)], false],
  [['ls', ''], true],
])('takes or refuses the command %j before a run begins', (command, isTaken) => {
  expect(runInGuest.input.safeParse({ host: 'pve1', vmid: 100, command }).success).toBe(isTaken);
});
