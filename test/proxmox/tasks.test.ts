import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { SimulatedGuest } from '../../lab/proxmox/state.ts';
import { createProxmoxClient, type ProxmoxClient } from '../../src/proxmox/client.ts';
import {
  endTask,
  followTask,
  ownTasks,
  requireTaskSuccess,
  startTask,
  type TaskProgress,
} from '../../src/proxmox/tasks.ts';
import { parseUpid } from '../../src/proxmox/upid.ts';
import { configFor, failureOf, recordingLog } from './support.ts';

let simulator: ProxmoxSimulator;
let client: ProxmoxClient;

beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  client = createProxmoxClient(configFor(simulator), { log: recordingLog().log });
});
afterEach(async () => {
  await client.close();
  await simulator.close();
});

/** Off, on pve1. */
const workstation = { node: 'pve1', type: 'qemu', vmid: 120 } as const;
const starts = { node: 'pve1', vmid: 120, types: ['qmstart', 'hastart'] };
const start = () => client.changeGuest(workstation, 'start');

function guest(vmid: number): SimulatedGuest {
  const found = simulator.state.guests.get(vmid);
  if (!found) throw new Error(`no guest ${vmid}`);
  return found;
}

const tasksOf = (vmid: number, type: string) =>
  [...simulator.state.tasks.values()].filter((task) => task.id === String(vmid) && task.type === type);
const posts = () => simulator.requests.filter(({ method }) => method === 'POST').length;
const mine = { id: 'mcp@pve!full', user: 'mcp@pve', token: 'full' };

describe('a UPID', () => {
  it('says its node, type, guest, API token and when it was started', () => {
    expect(parseUpid('UPID:pve1:000002A9:0008F8CE:6B0335D3:qmstart:301:mcp@pve!full:')).toEqual({
      node: 'pve1',
      startedAt: 1_795_372_499,
      type: 'qmstart',
      id: '301',
      user: 'mcp@pve!full',
    });
    expect(parseUpid('UPID:pve1:000002A9:0008F8CE:6B0335D3:vzdump::root@pam:')).toMatchObject({ id: '' });
    for (const other of ['OK', 'UPID:pve1:qmstart:301', 'x UPID:pve1:000002A9:0008F8CE:6B0335D3:qmstart:301:root@pam:'])
      expect(parseUpid(other)).toBeUndefined();
  });

  it('is what a call answers that starts something: any other text started nothing', async () => {
    simulator.inject(
      { kind: 'answer', status: 200, contentType: 'application/json', body: '{"data":"OK"}' },
      { method: 'POST' },
    );
    const error = await failureOf(start());
    expect(error).toMatchObject({
      code: 'unexpected-answer',
      message: expect.stringContaining('not the id of a task'),
    });
  });
});

describe('starting a task', () => {
  it('starts one, and finds it when it is started again', async () => {
    const upid = await startTask(client, { search: starts, known: [], start });
    expect(await startTask(client, { search: starts, known: [], start })).toBe(upid);
    await followTask(client, upid ?? '');
    expect(await startTask(client, { search: starts, known: [], start }), 'one that has ended, too').toBe(upid);
    expect(tasksOf(120, 'qmstart')).toHaveLength(1);
  });

  it('takes neither an earlier run’s task for its own, nor that of another API token, type or guest', async () => {
    const earlier = simulator.tasks.record({
      node: 'pve1',
      type: 'qmstart',
      id: '120',
      caller: mine,
      starttime: 1_900_000_000,
      endtime: 1_900_000_001,
      exitstatus: 'OK',
    });
    const known = (await ownTasks(client, starts)).map(({ upid }) => upid);
    expect(known).toEqual([earlier]);
    const others = [
      { type: 'qmstart', id: '120', caller: { id: 'root@pam', user: 'root@pam' } },
      { type: 'qmstart', id: '120', caller: { id: 'mcp@pve!limited', user: 'mcp@pve', token: 'limited' } },
      { type: 'qmstop', id: '120', caller: mine },
      { type: 'qmstart', id: '100', caller: mine },
    ];
    for (const other of others) {
      simulator.tasks.start({ node: 'pve1', ...other }, async () => undefined);
    }
    const upid = await startTask(client, { search: starts, known, start });
    expect(known).not.toContain(upid);
    expect(parseUpid(upid ?? '')).toMatchObject({ type: 'qmstart', id: '120', user: 'mcp@pve!full' });
    expect(posts()).toBe(1);
  });

  it('doesn’t mind that the node’s clock was set back', async () => {
    const [first] = simulator.state.tasks.values();
    if (!first) throw new Error('no history');
    const upid = simulator.tasks.record({
      node: 'pve1',
      type: 'qmstart',
      id: '120',
      caller: mine,
      starttime: first.starttime - 86_400 * 365,
      endtime: first.starttime - 86_400 * 365,
      exitstatus: 'OK',
    });
    expect(await startTask(client, { search: starts, known: [], start })).toBe(upid);
    expect(posts()).toBe(0);
  });

  it('finds the task whose answer was lost, and starts no second one', async () => {
    simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
    const upid = await startTask(client, { search: starts, known: [], start });
    expect(tasksOf(120, 'qmstart').map((task) => task.upid)).toEqual([upid]);
    expect(posts()).toBe(1);
  });

  it('finds it also when the node can’t be asked for a moment', async () => {
    simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
    const upid = await startTask(client, {
      search: starts,
      known: [],
      start: async () => {
        // Longer than the client itself tries again.
        simulator.inject({ kind: 'answer', status: 595, reason: 'Connection refused' }, { path: /tasks/, times: 4 });
        return start();
      },
    });
    expect(upid).toBe(tasksOf(120, 'qmstart')[0]?.upid);
    expect(posts()).toBe(1);
  });

  it('says that it may be tried again when the call never arrived, and the next attempt starts it', async () => {
    simulator.inject({ kind: 'disconnect' }, { method: 'POST', times: 1 });
    const error = await failureOf(startTask(client, { search: starts, known: [], start, settleMs: 50 }));
    expect(error).toMatchObject({ code: 'outcome-unknown', retryable: true });
    expect(tasksOf(120, 'qmstart')).toHaveLength(0);
    await startTask(client, { search: starts, known: [], start });
    expect(tasksOf(120, 'qmstart')).toHaveLength(1);
  });

  it('may be tried again when the guest’s node was away, but not when Proxmox refused', async () => {
    simulator.inject({ kind: 'answer', status: 595, reason: 'Connection refused' }, { method: 'POST', times: 1 });
    expect(await failureOf(startTask(client, { search: starts, known: [], start }))).toMatchObject({
      code: 'proxmox-unavailable',
      retryable: true,
    });
    simulator.state.cluster.quorate = false;
    expect(await failureOf(startTask(client, { search: starts, known: [], start }))).toMatchObject({
      code: 'proxmox-unavailable',
      retryable: false,
    });
  });

  it('starts nothing when a look said that nothing is to be done', async () => {
    expect(await startTask(client, { search: starts, known: [], start: async () => undefined })).toBeUndefined();
    expect(posts()).toBe(0);
  });
});

describe('following a task', () => {
  it('gives its end and its log, and tells of progress', async () => {
    const seen: TaskProgress[] = [];
    let finish: () => void = () => undefined;
    const upid = simulator.tasks.start({ node: 'pve2', type: 'vzdump', id: '101', caller: mine }, async (task) => {
      for (let line = 1; line <= 1_200; line += 1) task.log(`INFO: ${line}\u0007`);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    const following = followTask(client, upid, {
      onProgress: (progress) => {
        seen.push(progress);
        finish();
      },
    });
    const end = await following;
    expect(end).toMatchObject({ upid, exitStatus: 'OK', ok: true, warnings: 0 });
    expect(end.log).toHaveLength(100);
    expect(end.log.slice(-2)).toEqual(['INFO: 1200\\u{7}', 'TASK OK']);
    expect(end.startedAt).toBe(new Date((parseUpid(upid)?.startedAt ?? 0) * 1000).toISOString());
    expect(seen[0]).toEqual({ upid, lines: 1_200, lastLine: 'INFO: 1200\\u{7}' });
    expect(() => requireTaskSuccess(end)).not.toThrow();
  });

  it('counts warnings as a success', async () => {
    guest(120).behaviour = { startWarnings: ['iothread is ignored', 'another one'] };
    const end = await followTask(client, await start());
    expect(end).toMatchObject({ exitStatus: 'WARNINGS: 2', ok: true, warnings: 2 });
    expect(() => requireTaskSuccess(end)).not.toThrow();
  });

  it.each([
    ['VM quit/powerdown failed - got timeout', 'give it longer'],
    ['VM is locked (backup)', 'qm unlock'],
    ["can't lock file '/var/lock/qemu-server/lock-120.conf' - got timeout", 'Another task works on the guest'],
    ['VM 120 already running', 'Somebody else has started it'],
    ["Configuration file 'nodes/pve1/qemu-server/120.conf' does not exist", 'moved to another node'],
    ['received interrupt', 'Somebody ended the task'],
    ['cluster not ready - no quorum?', 'pvecm status'],
    ['start failed: QEMU exited with code 1', 'log on pve1'],
  ])('a failed one keeps Proxmox’s words and says what to do: %s', async (exitstatus, remedy) => {
    const times = { starttime: 1_900_000_000, endtime: 1_900_000_001 };
    const upid = simulator.tasks.record({
      node: 'pve1',
      type: 'qmstart',
      id: '120',
      caller: mine,
      ...times,
      exitstatus,
      log: ['some line'],
    });
    const end = await followTask(client, upid);
    expect(end).toMatchObject({ ok: false, exitStatus: exitstatus });
    const error = await failureOf(Promise.resolve().then(() => requireTaskSuccess(end)));
    expect(error).toMatchObject({ code: 'command-failed', retryable: false });
    expect(error.message).toBe(`Proxmox's task qmstart of 120 on pve1 failed: ${exitstatus}`);
    expect(error.remedy).toContain(remedy);
    expect(error.details).toMatchObject({ upid, exitStatus: exitstatus, log: expect.stringContaining('some line') });
  });

  it('survives lost connections, a node that restarts, and an API that is gone for a while', async () => {
    guest(120).behaviour = { startMs: 400 };
    const upid = await start();
    simulator.inject({ kind: 'disconnect' }, { times: 4 });
    simulator.inject({ kind: 'answer', status: 595, reason: 'Connection refused' }, { times: 4 });
    simulator.inject({ kind: 'answer', status: 596, reason: 'Broken pipe' }, { path: /log/, times: 4 });
    await simulator.stopListening();
    const following = followTask(client, upid);
    await sleep(300);
    await simulator.startListening();
    expect((await following).ok).toBe(true);
  });

  it('is over when the node has been away for too long, and nobody knows how it ended', async () => {
    const upid = await start();
    await simulator.stopListening();
    const error = await failureOf(followTask(client, upid, { awayMs: 300 }));
    expect(error).toMatchObject({ code: 'outcome-unknown', message: expect.stringContaining('has not answered') });
  });

  it.each([
    [
      'was killed',
      (upid: string) => Object.assign(simulator.state.tasks.get(upid) ?? {}, { exitstatus: 'unexpected status' }),
    ],
    ['was forgotten', (upid: string) => simulator.state.tasks.delete(upid)],
  ])('nobody knows how one ended that %s', async (_, happen) => {
    const upid = simulator.tasks.record({
      node: 'pve1',
      type: 'qmstart',
      id: '120',
      caller: mine,
      starttime: 1_900_000_000,
      endtime: 1_900_000_001,
      exitstatus: 'OK',
    });
    happen(upid);
    expect(await failureOf(followTask(client, upid))).toMatchObject({ code: 'outcome-unknown', retryable: false });
  });

  it('stops when it is told to, and the task goes on', async () => {
    guest(120).behaviour = { startMs: 300 };
    const upid = await start();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    expect((await failureOf(followTask(client, upid, { signal: controller.signal }))).code).toBe('cancelled');
    expect((await followTask(client, upid)).ok).toBe(true);
  });

  it('ends at once when the API token is refused', async () => {
    const upid = await start();
    simulator.state.tokens.delete('mcp@pve!full');
    expect((await failureOf(followTask(client, upid))).code).toBe('proxmox-authentication');
  });
});

describe('ending a task', () => {
  it('ends it, also when the answer is lost, and says how it ended', async () => {
    guest(120).behaviour = { startMs: 60_000 };
    const upid = await start();
    simulator.inject({ kind: 'lose-answer' }, { method: 'DELETE', times: 1 });
    expect(await endTask(client, upid)).toBe('interrupted by signal');
    expect(guest(120).status).toBe('stopped');
  });

  it('leaves one alone that has ended', async () => {
    const upid = await start();
    await followTask(client, upid);
    expect(await endTask(client, upid)).toBe('OK');
    expect(simulator.requests.some(({ method }) => method === 'DELETE')).toBe(false);
  });

  it('says when it doesn’t end', async () => {
    guest(120).behaviour = { startMs: 60_000 };
    const upid = await start();
    simulator.inject({ kind: 'disconnect' }, { method: 'DELETE' });
    expect(await failureOf(endTask(client, upid, { withinMs: 100 }))).toMatchObject({
      code: 'command-failed',
      retryable: true,
    });
  });
});
