import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sleep as activitySleep, heartbeat } from '@temporalio/activity';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { Progress, RunResult } from '../../src/operations/run.ts';
import type { Place } from '../../src/operations/target.ts';
import { hostQueue, type LockState, lockId, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { FixtureActivities } from './fixtures/workflows.ts';

const temporal = useTemporal();
/** What begins and ends, in order. */
let events: string[] = [];
/** The host that each guest is on. */
const homes = new Map<number, string>();
let located = 0;

beforeAll(async () => {
  const activities: FixtureActivities = {
    async act({ step, holdMs }) {
      events.push(`${step} begins`);
      for (let held = 0; held < holdMs; held += 50) {
        await activitySleep(50);
        heartbeat();
      }
      events.push(`${step} ends`);
    },
    undo: async () => {},
    look: async () => '',
  };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, 'fixtures/workflows.ts')),
    activities: { ...activities, ...createLockActivities({ client: temporal.client }) },
  });
  const locateGuest = async ({ vmid }: { vmid: number }): Promise<Place> => {
    located += 1;
    const host = homes.get(vmid) ?? 'pve1';
    return { kind: 'guest', cluster: 'homelab', vmid, node: host, type: 'qemu', name: `guest${vmid}`, host };
  };
  for (const host of ['pve1', 'pve2']) await temporal.work({ taskQueue: hostQueue(host), activities: { locateGuest } });
}, 600_000);

beforeEach(() => {
  events = [];
  homes.clear();
  located = 0;
});

let counter = 0;
function start<Output>(type: string, input: Record<string, unknown>) {
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Output>>>(type, {
    workflowId: `${type}/x/${counter++}`,
    taskQueue: serviceQueue,
    args: [{ input, requestedBy: { kind: 'cli', name: 'test' } }],
  });
}
const startGuest = (vmid: number, holdMs = 0, host = 'pve1') =>
  start<{ fences: Record<string, number>; node: string }>('guestFixture', { host, vmid, holdMs });
const startHost = (holdMs = 0, host = 'pve1') => start<{ fence: number }>('fixture', { host, holdMs });
const phaseOf = async (handle: { query: (name: string) => Promise<unknown> }) =>
  ((await handle.query('progress')) as Progress).phase;
const lockOf = (name: string) => temporal.client.workflow.getHandle(lockId(name)).query<LockState>('lockState');

describe('guests of one host', () => {
  it('are worked on side by side, each alone, with fences of guest and host', async () => {
    const first = await startGuest(100, 3_000);
    await vi.waitFor(() => expect(events).toContain('guest 100 begins'), 10_000);
    const { output } = await (await startGuest(101)).result();
    expect(events).toEqual(['guest 100 begins', 'guest 101 begins', 'guest 101 ends']);
    expect(Object.keys(output.fences).sort()).toEqual(['guest/homelab/101', 'host/pve1']);
    const same = await startGuest(100);
    await Promise.all([first.result(), same.result()]);
    expect(events.slice(3)).toEqual(['guest 100 ends', 'guest 100 begins', 'guest 100 ends']);
  });

  it('keep a change of the host waiting, which keeps later ones waiting: nobody waits for ever', async () => {
    const guest = await startGuest(100, 3_000);
    await vi.waitFor(() => expect(events).toContain('guest 100 begins'), 10_000);
    const host = await startHost(1_000);
    await vi.waitFor(async () => expect((await lockOf('host/pve1')).queue).toHaveLength(1), 10_000);
    const later = await startGuest(101);
    await vi.waitFor(async () => expect((await lockOf('host/pve1')).queue).toHaveLength(2), 10_000);
    await Promise.all([guest.result(), host.result(), later.result()]);
    const order = ['guest 100 ends', 'First begins', 'Third ends', 'guest 101 begins'].map((one) =>
      events.indexOf(one),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it('do not keep another host waiting', async () => {
    const guest = await startGuest(100, 60_000);
    await vi.waitFor(() => expect(events).toContain('guest 100 begins'), 10_000);
    await (await startHost(0, 'pve2')).result();
    await guest.cancel();
    await expect(guest.result()).rejects.toThrow();
  });

  it('are located again when the lock is granted: one that has moved meanwhile shares its new host', async () => {
    const first = await startGuest(100, 2_000);
    await vi.waitFor(() => expect(events).toContain('guest 100 begins'), 10_000);
    const second = await startGuest(100);
    await vi.waitFor(async () => expect(await phaseOf(second)).toBe('waiting-for-lock'), 10_000);
    homes.set(100, 'pve2');
    await first.result();
    const { output } = await second.result();
    expect(output.node).toBe('pve2');
    expect(Object.keys(output.fences).sort()).toEqual(['guest/homelab/100', 'host/pve2']);
    expect(located).toBeGreaterThanOrEqual(4);
    await vi.waitFor(async () => {
      const lock = temporal.client.workflow.getHandle(lockId('host/pve1'));
      expect((await lock.describe()).status.name).toBe('COMPLETED');
    }, 10_000);
  });

  it('free the host when one of them is ended without a word', async () => {
    const guest = await startGuest(100, 60_000);
    await vi.waitFor(() => expect(events).toContain('guest 100 begins'), 10_000);
    const host = await startHost();
    await vi.waitFor(async () => expect(await phaseOf(host)).toBe('waiting-for-lock'), 5_000);
    await guest.terminate('test');
    await host.result();
  });
});

describe('a composite operation', () => {
  const startComposite = (stretch: boolean, holdMs = 0) =>
    start<{ fences: number[] }>('compositeFixture', { hosts: ['pve1'], stretch, holdMs });

  it('holds nothing itself: its children take their own locks, and others come between', async () => {
    const composite = await startComposite(false, 1_500);
    await vi.waitFor(() => expect(events).toContain('Second begins'), 10_000);
    const other = await startGuest(102);
    const { output } = await composite.result();
    await other.result();
    expect(output.fences[1]).toBeGreaterThan(output.fences[0] ?? 0);
    // The guest waited for the first child only.
    expect(events.indexOf('guest 102 begins')).toBeLessThan(events.lastIndexOf('First begins'));
  });

  it('holds a lock for a stretch that must not be interrupted, and its children share lock and fence', async () => {
    const composite = await startComposite(true, 1_500);
    await vi.waitFor(() => expect(events).toContain('Second begins'), 10_000);
    const other = await startGuest(102);
    const { output } = await composite.result();
    await other.result();
    expect(output.fences[1]).toBe(output.fences[0]);
    expect(events.indexOf('guest 102 begins')).toBeGreaterThan(events.lastIndexOf('Third ends'));
  });

  it('that is ended without a word: its child undoes with the lock still held, and then it is free', async () => {
    const composite = await startComposite(true, 60_000);
    await vi.waitFor(() => expect(events).toContain('Second begins'), 10_000);
    await composite.terminate('test');
    await sleep(500);
    await (await startHost()).result();
    expect(events.filter((event) => event === 'First begins')).toHaveLength(2);
  });
});

it('a lock that another run begins anew in the same moment is asked for at once', async () => {
  await (await startHost()).result();
  await vi.waitFor(async () => {
    const { status } = await temporal.client.workflow.getHandle(lockId('host/pve1')).describe();
    expect(status.name).toBe('COMPLETED');
  }, 10_000);
  const others: Awaited<ReturnType<typeof startHost>>[] = [];
  const { workflow } = temporal.client;
  const client = {
    workflow: {
      signalWithStart: workflow.signalWithStart.bind(workflow),
      getHandle(id: string, runId?: string) {
        const handle = workflow.getHandle(id, runId);
        if (runId !== undefined) return handle;
        return {
          ...handle,
          async describe() {
            const found = await handle.describe();
            others.push(await startHost(5_000));
            await vi.waitFor(async () => expect((await lockOf('host/pve1')).holders).toHaveLength(1), 10_000);
            return found;
          },
        };
      },
    },
  };
  const { requestLock } = createLockActivities({ client: client as never });
  events = [];
  await requestLock('host/pve1', { owner: 'nobody', title: 'Another', mode: 'exclusive', turn: 1 });
  expect(others).toHaveLength(1);
  expect(events).not.toContain('Third ends');
  await others[0]?.result();
});
