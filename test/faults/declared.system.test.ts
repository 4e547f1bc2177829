import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../lab/proxmox/faults.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { OperationDefinition } from '../../src/operations/definition.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { lockStateQuery } from '../../src/workflows/lib/messages.ts';
import { addApprover, approve } from '../support/approve.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import {
  commandsRun,
  type DeclaredRequest,
  declaredRequests,
  otherRequests,
  prepareAll,
  tasksOf,
  vmidOf,
  worldOf,
} from '../support/declared.ts';
import { exhaustive, sample } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { allowDangerous } from '../support/lenient-policy.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own. All operations that change guests are under way at the same time when a fault hits them,
// each on a guest of its own, after its call and before its end.
const requests = [...declaredRequests, ...otherRequests];
/** Looks at what an operation has effected, which stay where they are until it is hit. What a command says can be read once. */
const looks = /\/(?:qemu|lxc)\/(\d+)\/(?:config|pending|firewall|agent\/file)/;
/** Those that name no guest. */
const clusterLooks = { 'change-ha': '/cluster/ha/', 'change-replication': '/cluster/replication' } as const;
const by = { kind: 'cli', name: 'test' } as const;
/** How long tasks go on, and the command. Those that a cancellation finds at work outlast the start of another worker; they are ended. */
const taskMs = { done: 8_000, undone: 240_000 };
const commandMs = { done: 12_000, undone: 240_000 };

let simulator: ProxmoxSimulator;
let service: TestService;
let lifts: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  simulator.state.pace.secondMs = 50;
  service = await startService({
    hosts: { pve1: apiEntry(simulator) },
    // All are to be in the middle of their steps, and none is to wait for its turn.
    env: { ENABLE_DANGEROUS_COMMANDS: 'true', WORKER_ACTIVITIES_PER_HOST: '50' },
  });
  await allowDangerous(service);
  await addApprover(service);
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

beforeEach(() => {
  for (const lift of lifts) lift();
  lifts = [];
  commandsRun.takesMs = commandMs.done;
  prepareAll(simulator, requests);
});

function isAlwaysAsked(operation: OperationDefinition): boolean {
  return operation.alwaysAsks === true;
}

interface Held {
  readonly request: DeclaredRequest;
  readonly id: string;
  readonly before: unknown;
}

const startAll = (some = requests): Promise<readonly Held[]> =>
  Promise.all(
    some.map(async (request) => {
      const vmid = vmidOf(request);
      const operation = catalogue[request.operation as OperationName];
      const before = worldOf(simulator, request);
      const input = { host: 'pve1', ...(operation.target === 'guest' && { vmid }), ...request.input(vmid) };
      const { id } = await service.runs.start(operation.name, input, by);
      if (isAlwaysAsked(operation)) await approve(service, id);
      return { request, before, id };
    }),
  );

/** Starts one run of each, and waits until each has made its call; it then follows its task, or looks at its effect. */
async function startHeld(ms: number): Promise<{ readonly held: readonly Held[]; readonly letGo: () => void }> {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const before = new Map(requests.map((request) => [request, JSON.stringify(worldOf(simulator, request))]));
  const hasBegun = (request: DeclaredRequest) =>
    request.begun?.() ??
    (tasksOf(simulator, request).length > 0 || JSON.stringify(worldOf(simulator, request)) !== before.get(request));
  // What answers at once stays at the look at its effect.
  const isHeld = {
    test: (url: string) => {
      const path = decodeURIComponent(url);
      const vmid = Number(looks.exec(path)?.[1] ?? 0);
      const request = requests.find(
        (one) =>
          vmidOf(one) === vmid ||
          Object.entries(clusterLooks).some(([name, part]) => one.operation === name && path.includes(part)),
      );
      return request !== undefined && hasBegun(request);
    },
  };
  lifts.push(
    simulator.inject({ kind: 'task-slow', delayMs: ms }),
    simulator.inject({ kind: 'held', until: gate }, { path: isHeld, method: 'GET' }),
  );
  const held: Held[] = [];
  // What looks at the cluster is last: the others look there, too, before they begin.
  const isLast = ({ operation }: DeclaredRequest) => operation in clusterLooks;
  for (const wave of [requests.filter((one) => !isLast(one)), requests.filter(isLast)]) {
    const started = await startAll(wave);
    for (const { request, id } of started) {
      await expect
        .poll(() => hasBegun(request), { timeout: 90_000, interval: 50, message: `${request.operation} ${id}` })
        .toBe(true);
    }
    held.push(...started);
  }
  return { held, letGo };
}

const ends = (held: readonly Held[], timeoutMs = 200_000): Promise<RunDetails[]> =>
  Promise.all(held.map(({ id }) => service.runs.wait(id, { timeoutMs })));

async function expectDone(fault: string, held: readonly Held[]): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { request } = held[index] as Held;
    expect(run, `${request.operation}: ${run.failure?.message ?? run.progress?.message}`).toMatchObject({
      state: 'done',
    });
    const tasks = tasksOf(simulator, request);
    expect(new Set(tasks).size, request.operation).toBe(tasks.length);
    const effects = request.effects?.done ?? 'each call once; its effect is there';
    recordOutcome({ operation: request.operation, step: request.step, fault, outcome: 'done', effects });
  }
  expect(commandsRun.count).toBe(1);
}

async function expectUndone(fault: string, held: readonly Held[]): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { request, before } = held[index] as Held;
    expect(run, `${request.operation}: ${run.failure?.message ?? run.progress?.message}`).toMatchObject({
      state: 'cancelled',
    });
    if (!request.stays) expect(worldOf(simulator, request), request.operation).toEqual(before);
    const effects = request.effects?.undone ?? 'its task has ended; all is as before';
    recordOutcome({ operation: request.operation, step: request.step, fault, outcome: 'undone', effects });
  }
  expect(commandsRun.count).toBe(1);
  expect([...simulator.state.tasks.values()].filter(({ endtime }) => endtime === undefined)).toEqual([]);
}

const faults: readonly { readonly name: string; hit(fault: string): Promise<void> }[] = [
  ...crashFaults
    .filter(({ ssh }) => ssh === undefined)
    .map(({ name, cancels, hit }) => ({
      name,
      async hit(fault: string) {
        commandsRun.takesMs = cancels ? commandMs.undone : commandMs.done;
        const { held, letGo } = await startHeld(cancels ? taskMs.undone : taskMs.done);
        await hit({ service, ids: held.map(({ id }) => id) });
        letGo();
        await (cancels ? expectUndone : expectDone)(fault, held);
      },
    })),
  {
    name: 'the Proxmox API was away for some seconds',
    async hit(fault) {
      const { held, letGo } = await startHeld(taskMs.done);
      await simulator.stopListening();
      await sleep(4_000);
      await simulator.startListening();
      letGo();
      await expectDone(fault, held);
    },
  },
];

describe('each operation on guests in the middle of its step ends as docs/crash-matrix.md says when', () => {
  const cases = sample(faults, 2).map(({ name, hit }) => [name, hit] as const);
  it.each(cases)('%s', (name, hit) => hit(name), 500_000);
});

/** The first call of each kind on each thing. */
function eachOnce(): { test(url: string): boolean } {
  const seen = new Set<string>();
  return { test: (url) => !seen.has(url) && seen.add(url).size > 0 };
}

const writing = ['POST', 'PUT', 'DELETE'] as const;
const toEachOnce = (fault: Fault) => writing.map((method) => simulator.inject(fault, { method, path: eachOnce() }));
const storages = ['local', 'local-lvm', 'fast', 'tank'];

/** What may become of calls, and whether every run gets over it. */
interface Answers {
  readonly name: string;
  readonly getsOver: boolean;
  inject(): (() => void)[];
  /** Brings about what is to be compared with the world before. */
  settle?(): void;
  /** Longer than what `npm test` has time for. */
  readonly lasts?: true;
}

const answers: readonly Answers[] = [
  { name: 'every answer comes late', getsOver: true, inject: () => [simulator.inject({ kind: 'slow', delayMs: 700 })] },
  {
    name: 'the first of each call is never answered',
    getsOver: true,
    lasts: true,
    inject: () => toEachOnce({ kind: 'hang' }),
  },
  { name: 'the first of each call is cut off', getsOver: true, inject: () => toEachOnce({ kind: 'disconnect' }) },
  { name: 'the first answer to each call is lost', getsOver: true, inject: () => toEachOnce({ kind: 'lose-answer' }) },
  { name: 'the first of each call meets 595', getsOver: true, inject: () => toEachOnce({ kind: 'unavailable' }) },
  {
    name: 'the first of each call meets 596',
    getsOver: true,
    inject: () => toEachOnce({ kind: 'unavailable', status: 596 }),
  },
  { name: 'the quorum is lost', getsOver: false, inject: () => [simulator.inject({ kind: 'no-quorum' })] },
  { name: 'Proxmox says OK and does nothing', getsOver: false, inject: () => [simulator.inject({ kind: 'silent' })] },
  {
    name: 'each task fails',
    getsOver: false,
    inject: () => [simulator.inject({ kind: 'task-fails', exitstatus: 'something broke' })],
  },
  {
    name: 'each storage is full',
    getsOver: false,
    inject: () => storages.map((storage) => simulator.inject({ kind: 'full-storage', storage })),
  },
  {
    name: 'each guest has moved when its call comes',
    getsOver: false,
    // But for new ones, of which a person decides then.
    inject: () =>
      requests.flatMap((request) =>
        writing.map((method) => simulator.inject({ kind: 'moved', to: 'pve2' }, { vmid: vmidOf(request), method })),
      ),
    settle() {
      for (const guest of simulator.state.guests.values()) guest.node = 'pve1';
    },
  },
];

async function locksHeld(): Promise<string[]> {
  const held: string[] = [];
  const open = service.client.workflow.list({ query: 'WorkflowType = "targetLock" AND ExecutionStatus = "Running"' });
  for await (const { workflowId } of open) {
    const { holders } = await service.client.workflow.getHandle(workflowId).query(lockStateQuery);
    held.push(...holders.map(({ owner }) => `${workflowId}: ${owner}`));
  }
  return held;
}

/** Never made twice, so that a call of which nobody heard is its end. */
const atMostOnce = 'run-in-guest';

describe('each operation on guests is done, or has left nothing and says so, and no lock is held, when', () => {
  const quick = answers.filter(({ lasts }) => !lasts || exhaustive);
  const cases = sample(quick, 1).map((one) => [one.name, one] as const);
  it.each(cases)(
    '%s',
    async (_, { getsOver, inject, settle }) => {
      lifts.push(...inject());
      const held = await startAll();
      const runs = await ends(held, 280_000);
      settle?.();
      for (const [index, { state, failure, progress }] of runs.entries()) {
        const { request, before } = held[index] as Held;
        const said = `${request.operation} is ${state}: ${failure?.message ?? progress?.message}`;
        const tasks = tasksOf(simulator, request);
        expect(new Set(tasks).size, said).toBe(tasks.length);
        if (request.operation === atMostOnce) {
          expect(['done', 'failed'], said).toContain(state);
          continue;
        }
        expect(getsOver ? ['done'] : ['done', 'undone', 'failed'], said).toContain(state);
        const now = worldOf(simulator, request);
        if (state === 'done') expect(now, said).not.toEqual(before);
        else {
          expect(failure?.message.length, said).toBeGreaterThan(20);
          if (!request.stays) expect(now, said).toEqual(before);
        }
      }
      expect(commandsRun.count).toBeLessThanOrEqual(1);
      await expect.poll(locksHeld, { timeout: 20_000 }).toEqual([]);
    },
    300_000,
  );
});
