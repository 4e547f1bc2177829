import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
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
import { sample } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { allowDangerous } from '../support/lenient-policy.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own. All operations that change guests are under way at the same time when a fault hits them,
// each on a guest of its own, after its call and before its end.
const requests = [...declaredRequests, ...otherRequests];
/** Looks at what an operation has effected, which stay where they are until it is hit. */
const looks = /\/(?:qemu|lxc)\/(\d+)\/(?:config|pending|firewall|agent)/;
/** Those that name no guest. */
const clusterLooks = { 'change-ha': '/cluster/ha/', 'change-replication': '/cluster/replication' } as const;
const by = { kind: 'cli', name: 'test' } as const;
/** How long the tasks go on that a cancellation finds at work. */
const taskMs = { done: 8_000, undone: 60_000 };

let simulator: ProxmoxSimulator;
let service: TestService;
let lifts: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  simulator.state.pace.secondMs = 50;
  service = await startService({ hosts: { pve1: apiEntry(simulator) }, env: { ENABLE_DANGEROUS_COMMANDS: 'true' } });
  await allowDangerous(service);
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

beforeEach(() => {
  for (const lift of lifts) lift();
  lifts = [];
  prepareAll(simulator, requests);
});

interface Held {
  readonly request: DeclaredRequest;
  readonly id: string;
  readonly before: unknown;
}

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
  const held = await Promise.all(
    requests.map(async (request) => {
      const vmid = vmidOf(request);
      const operation = catalogue[request.operation as OperationName];
      const world = worldOf(simulator, request);
      const input = { host: 'pve1', ...(operation.target === 'guest' && { vmid }), ...request.input(vmid) };
      return { request, before: world, id: (await service.runs.start(operation.name, input, by)).id };
    }),
  );
  for (const { request, id } of held) {
    await expect
      .poll(() => hasBegun(request), { timeout: 90_000, interval: 50, message: `${request.operation} ${id}` })
      .toBe(true);
  }
  return { held, letGo };
}

const ends = (held: readonly Held[]): Promise<RunDetails[]> =>
  Promise.all(held.map(({ id }) => service.runs.wait(id, { timeoutMs: 100_000 })));

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
  it.each(cases)('%s', (name, hit) => hit(name), 600_000);
});
