import { ActivityCancellationDetails } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator, type SimulatorToken } from '../../../lab/proxmox/simulator.ts';
import { createState, type SimulatedGuest } from '../../../lab/proxmox/state.ts';
import {
  type ControlGuestActivities,
  createControlGuestActivities,
  type GuestActionInput,
} from '../../../src/activities/control-guest/control-guest.ts';
import { createGuestActivities, type GuestInput } from '../../../src/activities/guests/guests.ts';
import type { GuestAction } from '../../../src/proxmox/client.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { failureOf, hostOf } from '../../proxmox/support.ts';

/** Failures are what many tests are about: they need not be printed. */
const logger = new DefaultLogger('ERROR');
let simulator: ProxmoxSimulator;
let second: ProxmoxSimulator;
let apis: ProxmoxApis;
let activities: ControlGuestActivities & ReturnType<typeof createGuestActivities>;

beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  second = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' }, unreachableDelayMs: 1 });
  connect();
});
afterEach(async () => {
  await apis.close();
  await second.close();
  await simulator.close();
});

function connect(as: SimulatorToken = simulator.tokens.full): void {
  const hosts = [hostOf('pve1', simulator, as), hostOf('pve2', second, as)];
  apis = createProxmoxApis({ hosts }, pino({ level: 'silent' }));
  activities = { ...createControlGuestActivities({ proxmox: apis }), ...createGuestActivities({ proxmox: apis }) };
}

/** Runs an activity as a worker would. */
async function run<T>(
  activity: () => Promise<T>,
  environment = new MockActivityEnvironment({}, { logger }),
): Promise<T> {
  let answer: { readonly value: T } | undefined;
  await environment.run(async () => {
    answer = { value: await activity() };
  });
  if (answer === undefined) throw new Error('the activity did not answer');
  return answer.value;
}

const locate = async (vmid: number, host = 'pve1'): Promise<GuestInput> => ({
  host,
  place: await run(() => activities.locateGuest({ host, vmid })),
});
const look = (input: GuestInput) => run(() => activities.lookAtGuest(input));
const follow = (input: GuestInput, upid = '') => run(() => activities.followGuestTask({ ...input, upid }));
const act = (input: Omit<GuestActionInput, 'timeoutSeconds'>, timeoutSeconds = 5) =>
  run(() => activities.startGuestAction({ ...input, timeoutSeconds }));
const verify = (input: GuestInput, want: 'running' | 'stopped', more: object = {}) =>
  run(() => activities.verifyGuestState({ ...input, want, withinSeconds: 5, settleSeconds: 0.1, ...more }));
const restore = (input: GuestInput, want: 'running' | 'stopped', known: readonly string[], watchSeconds = 0) =>
  run(() => activities.restoreGuestState({ ...input, want, known, watchSeconds, settleSeconds: 0.1 }));

function guest(vmid: number): SimulatedGuest {
  const found = simulator.state.guests.get(vmid);
  if (!found) throw new Error(`no guest ${vmid}`);
  return found;
}

const tasks = (vmid: number) =>
  [...simulator.state.tasks.values()].filter(({ id }) => id === String(vmid)).map(({ type }) => type);
const want = (action: GuestAction) => (action === 'start' || action === 'reboot' ? 'running' : 'stopped');

/** All of it, as the workflow does it. */
async function control(vmid: number, action: GuestAction, host = 'pve1') {
  const input = await locate(vmid, host);
  const before = await look(input);
  const { upid } = await act({ ...input, action, known: before.tasks });
  const end = upid === undefined ? undefined : await follow(input, upid);
  const not = action === 'reboot' ? { not: before } : {};
  return { before, upid, end, after: await verify(input, want(action), not) };
}

describe('a guest', () => {
  it.each([
    [120, 'start', 'qmstart'],
    [102, 'start', 'vzstart'],
    [100, 'stop', 'qmstop'],
    [101, 'stop', 'vzstop'],
    [100, 'shutdown', 'qmshutdown'],
    [101, 'shutdown', 'vzshutdown'],
    [101, 'reboot', 'vzreboot'],
  ] as const)('%i: %s is one task (%s), and its effect is there', async (vmid, action, type) => {
    const { before, after } = await control(vmid, action);
    expect(after).toMatchObject({ state: want(action), node: guest(vmid).node });
    expect(guest(vmid).status).toBe(want(action));
    expect(tasks(vmid)).toEqual([type]);
    if (action === 'reboot') expect(after.pid).not.toBe(before.pid);
  });

  it('a VM that reboots is off when its task has ended: what counts is that it runs again', async () => {
    guest(100).behaviour = { haMs: 300 };
    const { before, after } = await control(100, 'reboot');
    expect(tasks(100)).toEqual(['qmreboot', 'qmstart']);
    expect(after.pid).not.toBe(before.pid);
    expect(after.pid).toBe(guest(100).pid);
  });

  it('one that the HA stack manages is asked for, and changes later', async () => {
    guest(101).ha = { state: 'started' };
    guest(101).behaviour = { haMs: 300 };
    const down = await control(101, 'stop');
    expect(down.before.ha).toBe('started');
    expect(tasks(101)).toEqual(['hastop', 'vzshutdown']);
    expect(down.after.state).toBe('stopped');
    await control(101, 'start');
    expect(tasks(101).slice(2)).toEqual(['hastart', 'vzstart']);
  });

  it('is found on another node than the one that was named, and asked there', async () => {
    const input = await locate(101, 'pve1');
    expect(input).toMatchObject({ host: 'pve1', place: { node: 'pve2', host: 'pve2' } });
    await simulator.stopListening();
    expect((await look(input)).state).toBe('running');
    await simulator.startListening();
    // Where that node isn't configured, the named one passes it on.
    const { host, ...place } = input.place;
    expect((await look({ host: 'pve1', place })).state).toBe('running');
    expect(host).toBe('pve2');
  });

  it('works where the node is in no cluster', async () => {
    const alone = await createProxmoxSimulator({ state: { ...createState(), cluster: { version: 0, quorate: true } } });
    const only = createProxmoxApis({ hosts: [hostOf('garage', alone)] }, pino({ level: 'silent' }));
    activities = { ...createControlGuestActivities({ proxmox: only }), ...createGuestActivities({ proxmox: only }) };
    const { after } = await control(120, 'start', 'garage');
    expect(after.state).toBe('running');
    await only.close();
    await alone.close();
  });

  it('warns, and that is a success', async () => {
    guest(120).behaviour = { startWarnings: ['iothread is ignored'] };
    expect((await control(120, 'start')).end).toEqual({
      warnings: 1,
      log: ['WARN: iothread is ignored', 'TASK WARNINGS: 1'],
    });
  });
});

describe('nothing twice', () => {
  it.each([
    [100, 'start'],
    [101, 'start'],
    [120, 'stop'],
    [102, 'stop'],
    [120, 'shutdown'],
    [102, 'shutdown'],
  ] as const)('%i: %s where it is so already starts nothing', async (vmid, action) => {
    const { upid, after } = await control(vmid, action);
    expect(upid).toBeUndefined();
    expect(after.state).toBe(want(action));
    expect(tasks(vmid)).toEqual([]);
  });

  it('the answer to the call is lost: its task is found and followed', async () => {
    simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
    const { upid, after } = await control(120, 'start');
    expect(upid).toBeDefined();
    expect(after.state).toBe('running');
    expect(tasks(120)).toEqual(['qmstart']);
  });

  it('the worker dies between start and follow, or in the start: the next attempt finds the task', async () => {
    const input = await locate(100);
    const { tasks: known } = await look(input);
    const first = await act({ ...input, action: 'reboot', known });
    // Whether it still goes on or has ended.
    expect(await act({ ...input, action: 'reboot', known })).toEqual(first);
    await follow(input, first.upid);
    expect(await act({ ...input, action: 'reboot', known })).toEqual(first);
    expect(tasks(100).filter((type) => type === 'qmreboot')).toHaveLength(1);
  });

  it('the next run of the same action is another task', async () => {
    const { upid } = await control(101, 'reboot');
    const again = await control(101, 'reboot');
    expect(again.upid).not.toBe(upid);
    expect(tasks(101)).toEqual(['vzreboot', 'vzreboot']);
  });

  it('two activities that follow one task see the same end', async () => {
    guest(120).behaviour = { startMs: 300 };
    const input = await locate(120);
    const { upid } = await act({ ...input, action: 'start', known: [] });
    expect(await follow(input, upid)).toEqual(await follow(input, upid));
  });
});

describe('what is refused', () => {
  it('there is no such guest', async () => {
    const error = await failureOf(locate(999));
    expect(error).toMatchObject({ code: 'not-found', remedy: expect.stringContaining('120 workstation') });
  });

  it('it moved between look and act: nothing is done, on either node', async () => {
    for (const vmid of [100, 102]) {
      const input = await locate(vmid);
      const { tasks: known } = await look(input);
      guest(vmid).node = 'pve2';
      // Of a container that isn't there Proxmox says that it doesn't run, which isn't an answer.
      for (const action of ['start', 'stop', 'shutdown', 'reboot'] as const) {
        const error = await failureOf(act({ ...input, action, known }));
        expect(error).toMatchObject({ code: 'guest-moved', retryable: false, details: { node: 'pve2' } });
      }
      expect(tasks(vmid)).toEqual([]);
      expect(await look(await locate(vmid))).toBeDefined();
    }
  });

  it('it was removed between look and act', async () => {
    const input = await locate(120);
    simulator.state.guests.delete(120);
    expect((await failureOf(act({ ...input, action: 'start', known: [] }))).code).toBe('not-found');
  });

  it('it is locked', async () => {
    Object.assign(guest(120), { lock: 'backup' });
    const input = await locate(120);
    expect((await look(input)).lock).toBe('backup');
    const error = await failureOf(act({ ...input, action: 'start', known: [] }));
    expect(error).toMatchObject({ code: 'proxmox-locked', retryable: false });
    expect(error.message).toBe('The VM 120 (workstation) is locked (backup), so nothing was done to it');
    expect(tasks(120)).toEqual([]);
  });

  it('it is locked just then: Proxmox’s own words, and what to do', async () => {
    guest(120).behaviour = { startError: 'VM is locked (backup)' };
    const error = await failureOf(control(120, 'start'));
    expect(error).toMatchObject({ code: 'command-failed', message: expect.stringContaining('VM is locked (backup)') });
    expect(error.remedy).toContain('qm unlock');
  });

  it.each([
    ['a template', { template: true }, 'start', 'template'],
    ['paused', { status: 'running', paused: true, pid: 1 }, 'shutdown', 'paused'],
    ['paused', { status: 'running', paused: true, pid: 1 }, 'start', 'paused'],
    ['off', {}, 'reboot', 'nothing to reboot'],
  ] as const)('it is %s (%s: %s)', async (_, change, action, said) => {
    Object.assign(guest(120), change);
    const error = await failureOf(control(120, action));
    expect(error).toMatchObject({ code: 'conflict', retryable: false, message: expect.stringContaining(said) });
    expect(tasks(120)).toEqual([]);
  });

  it('the API token lacks the right, which is named', async () => {
    await apis.close();
    connect(simulator.tokens.readOnly);
    const error = await failureOf(control(120, 'start'));
    expect(error).toMatchObject({ code: 'proxmox-permission', retryable: false });
    expect(error.remedy).toContain('VM.PowerMgmt on /vms/120');
  });

  it('not where the API token may do it to this guest alone', async () => {
    await apis.close();
    const hosts = [hostOf('pve1', simulator, simulator.tokens.limited)];
    apis = createProxmoxApis({ hosts }, pino({ level: 'silent' }));
    activities = { ...createControlGuestActivities({ proxmox: apis }), ...createGuestActivities({ proxmox: apis }) };
    const user = { subject: 'mcp@pve!limited', role: 'PVEVMUser', propagate: true };
    simulator.state.acl.push({ ...user, path: '/vms/120' });
    await control(120, 'start');
    expect(guest(120).status).toBe('running');
    expect(await failureOf(control(100, 'stop'))).toMatchObject({ code: 'not-found' });
  });

  it('its node is away: it is tried again, and nothing was done', async () => {
    const input = await locate(101);
    const { host: _, ...place } = input.place;
    const { tasks: known } = await look(input);
    const node = simulator.state.nodes.get('pve2');
    if (node) node.api = 'unreachable';
    const error = await failureOf(act({ host: 'pve1', place, action: 'stop', known }));
    expect(error).toMatchObject({ code: 'proxmox-unavailable', retryable: true });
    expect(error.message).toContain('No route to host');
    expect(tasks(101)).toEqual([]);
  });

  it('somebody is quicker: the next attempt finds that it is so already', async () => {
    const input = await locate(102);
    simulator.inject({ kind: 'answer', status: 500, reason: 'CT 102 already running' }, { method: 'POST', times: 1 });
    const error = await failureOf(act({ ...input, action: 'start', known: [] }));
    expect(error).toMatchObject({ code: 'conflict', retryable: true });
    Object.assign(guest(102), { status: 'running', pid: 7 });
    expect(await act({ ...input, action: 'start', known: [] })).toEqual({});
  });
});

describe('a shutdown', () => {
  it('that the guest doesn’t hear fails with what to do, and leaves it on', async () => {
    guest(100).behaviour = { ignoresShutdown: true };
    const error = await failureOf(control(100, 'shutdown'));
    expect(error).toMatchObject({
      code: 'command-failed',
      message: expect.stringContaining('VM quit/powerdown failed - got timeout'),
    });
    expect(error.remedy).toContain('stop');
    expect(guest(100).status).toBe('running');
  });

  it('that still waits doesn’t keep the guest from being stopped', async () => {
    guest(100).behaviour = { ignoresShutdown: true };
    const input = await locate(100);
    const waiting = await act({ ...input, action: 'shutdown', known: [] }, 60_000);
    const { after } = await control(100, 'stop');
    expect(after.state).toBe('stopped');
    expect(simulator.state.tasks.get(waiting.upid ?? '')?.exitstatus).toBe('received interrupt');
  });
});

describe('exit code 0 proves nothing', () => {
  it('the task is OK and the guest went off at once', async () => {
    guest(120).behaviour = { diesAfterMs: 1 };
    const input = await locate(120);
    const { upid } = await act({ ...input, action: 'start', known: [] });
    expect((await follow(input, upid)).warnings).toBe(0);
    const error = await failureOf(verify(input, 'running', { withinSeconds: 0.2 }));
    expect(error.code).toBe('verification-failed');
    expect(error.message).toBe("Proxmox's task ended well, but the VM 120 (workstation) is not running after 0.2 s");
  });

  it('the guest runs, but not for long', async () => {
    guest(120).behaviour = { diesAfterMs: 1_000 };
    const input = await locate(120);
    const { upid } = await act({ ...input, action: 'start', known: [] });
    await follow(input, upid);
    const error = await failureOf(verify(input, 'running', { settleSeconds: 5 }));
    expect(error).toMatchObject({ code: 'verification-failed', message: expect.stringContaining('not for 5 s') });
    expect(error.remedy).toContain('console');
  });

  it('the guest is off, but somebody starts it again', async () => {
    const input = await locate(100);
    const { upid } = await act({ ...input, action: 'stop', known: [] });
    await follow(input, upid);
    setTimeout(() => Object.assign(guest(100), { status: 'running', pid: 9 }), 300).unref();
    const error = await failureOf(verify(input, 'stopped', { settleSeconds: 5 }));
    expect(error).toMatchObject({ code: 'verification-failed', remedy: expect.stringContaining('starts it again') });
  });

  it('the same process isn’t a reboot', async () => {
    const input = await locate(100);
    const before = await look(input);
    const error = await failureOf(verify(input, 'running', { not: before, withinSeconds: 0.2 }));
    expect(error).toMatchObject({ code: 'verification-failed', message: expect.stringContaining('running again') });
  });

  it('a guest that the HA stack started elsewhere counts, wherever it is', async () => {
    const input = await locate(120);
    Object.assign(guest(120), { node: 'pve2', status: 'running', pid: 9 });
    expect(await verify(input, 'running')).toEqual({ state: 'running', node: 'pve2', pid: 9 });
  });

  it('a node that doesn’t answer for a moment isn’t a guest that is off', async () => {
    const input = await locate(100);
    simulator.inject({ kind: 'answer', status: 595, reason: 'Connection refused' }, { path: /current/, times: 4 });
    expect((await verify(input, 'running')).state).toBe('running');
  });
});

describe('an activity that is cancelled', () => {
  it('ends its task when the run is, and says how', async () => {
    guest(120).behaviour = { startMs: 60_000 };
    const input = await locate(120);
    const { upid = '' } = await act({ ...input, action: 'start', known: [] });
    const environment = new MockActivityEnvironment({}, { logger });
    environment.once('heartbeat', () => environment.cancel());
    const error = await failureOf(run(() => activities.followGuestTask({ ...input, upid }), environment));
    expect(error).toMatchObject({ code: 'cancelled', message: expect.stringContaining('interrupted by signal') });
    expect(simulator.state.tasks.get(upid)?.exitstatus).toBe('interrupted by signal');
  });

  it('leaves it alone when only its worker stops, and is tried again', async () => {
    guest(120).behaviour = { startMs: 500 };
    const input = await locate(120);
    const { upid = '' } = await act({ ...input, action: 'start', known: [] });
    const environment = new MockActivityEnvironment({}, { logger });
    environment.once('heartbeat', () =>
      environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true })),
    );
    const error = await failureOf(run(() => activities.followGuestTask({ ...input, upid }), environment));
    expect(error).toMatchObject({ code: 'unavailable', retryable: true });
    await follow(input, upid);
    expect(guest(120).status).toBe('running');
  });

  it('doesn’t go on looking', async () => {
    const input = await locate(100);
    const environment = new MockActivityEnvironment({}, { logger });
    setTimeout(() => environment.cancel(), 100);
    const wanted = { want: 'stopped', withinSeconds: 60, settleSeconds: 1 } as const;
    const error = await failureOf(run(() => activities.verifyGuestState({ ...input, ...wanted }), environment));
    expect(error.code).toBe('cancelled');
  });
});

describe('putting the former state back', () => {
  it('does nothing to a guest that is in it', async () => {
    await restore(await locate(100), 'running', []);
    await restore(await locate(120), 'stopped', []);
    expect([...tasks(100), ...tasks(120)]).toEqual([]);
  });

  it('starts what was stopped and stops what was started, once', async () => {
    const up = await locate(100);
    const { upid } = await act({ ...up, action: 'stop', known: [] });
    await follow(up, upid);
    for (let attempt = 0; attempt < 2; attempt += 1) await restore(up, 'running', []);
    expect(tasks(100)).toEqual(['qmstop', 'qmstart']);
    const down = await locate(102);
    await follow(down, (await act({ ...down, action: 'start', known: [] })).upid);
    for (let attempt = 0; attempt < 2; attempt += 1) await restore(down, 'stopped', []);
    expect(tasks(102)).toEqual(['vzstart', 'vzstop']);
  });

  it('ends the run’s own task that still goes on, and nobody else’s', async () => {
    guest(120).behaviour = { startMs: 60_000 };
    const input = await locate(120);
    const { upid = '' } = await act({ ...input, action: 'start', known: [] });
    const others = simulator.tasks.start(
      { node: 'pve1', type: 'qmshutdown', id: '120', caller: { id: 'root@pam', user: 'root@pam' } },
      () => new Promise(() => undefined),
    );
    await restore(input, 'stopped', []);
    expect(simulator.state.tasks.get(upid)?.exitstatus).toBe('interrupted by signal');
    expect(simulator.state.tasks.get(others)?.exitstatus).toBeUndefined();
    expect(guest(120).status).toBe('stopped');
  });

  it('follows a start of its own that still goes on from an earlier attempt', async () => {
    const input = await locate(100);
    await follow(input, (await act({ ...input, action: 'stop', known: [] })).upid);
    guest(100).behaviour = { startMs: 400 };
    await apis.get('pve1').changeGuest(input.place, 'start');
    await restore(input, 'running', []);
    expect(tasks(100)).toEqual(['qmstop', 'qmstart']);
    expect(guest(100).status).toBe('running');
  });

  it('starts a guest again that has heard a shutdown which was given up', async () => {
    guest(100).behaviour = { stopMs: 1_000 };
    const input = await locate(100);
    await act({ ...input, action: 'shutdown', known: [] }, 60_000);
    await restore(input, 'running', [], 20);
    expect(tasks(100)).toEqual(['qmshutdown', 'qmstart']);
    expect(guest(100).status).toBe('running');
  });

  it('leaves one on that has not heard it', async () => {
    guest(100).behaviour = { ignoresShutdown: true };
    const input = await locate(100);
    const { upid } = await act({ ...input, action: 'shutdown', known: [] }, 60_000);
    await restore(input, 'running', [], 0.5);
    expect(simulator.state.tasks.get(upid ?? '')?.exitstatus).toBe('interrupted by signal');
    expect(tasks(100)).toEqual(['qmshutdown']);
  });

  it('tries again after a start that failed', async () => {
    const input = await locate(100);
    await follow(input, (await act({ ...input, action: 'stop', known: [] })).upid);
    guest(100).behaviour = { startError: 'no memory' };
    expect((await failureOf(restore(input, 'running', []))).message).toContain('no memory');
    guest(100).behaviour = {};
    await restore(input, 'running', []);
    expect(guest(100).status).toBe('running');
  });

  it('finds the guest where it is by now', async () => {
    const input = await locate(100);
    await follow(input, (await act({ ...input, action: 'stop', known: [] })).upid);
    guest(100).node = 'pve2';
    await restore(input, 'running', []);
    expect(guest(100).status).toBe('running');
  });
});
