import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../lab/proxmox/faults.ts';
import { ServiceError } from '../../src/errors.ts';
import { isApiOperation } from '../../src/operations/api-change.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';
import { type DeclaredRequest, declaredRequests, prepareAll, tasksOf, vmidOf, worldOf } from '../support/declared.ts';

// What has to hold for each declared operation, whatever it does; what is particular to one is in a file of its own.
const declared = Object.values(catalogue).filter(isApiOperation);
/** Declared, and makes no call: it only looks. */
const onlyLooks = ['fetch-file', 'browse-guest-backup'];
/** Of a Proxmox Backup Server; see backup-server.test.ts. */
const ofBackupServer = declared.filter(({ needs }) => needs === 'backup-server').map(({ name }) => name);

it('has a request of every declared operation', () => {
  const changing = declared.map(({ name }) => name).filter((name) => ![...onlyLooks, ...ofBackupServer].includes(name));
  expect(declaredRequests.map(({ operation }) => operation).sort()).toEqual(changing.sort());
});

/** What writes to a storage. */
const needsSpace: readonly string[] = [
  'add-disk',
  'back-up-guest',
  'clone-guest',
  'create-container',
  'create-vm',
  'download-image',
  'migrate-guest',
  'move-disk',
  'resize-disk',
  'restore-guest',
  'suspend-guest',
];
/** What a guest's number is enough for, wherever it is. */
const ofCluster: readonly string[] = ['change-guest-firewall', 'change-ha', 'change-replication'];
/** What finds only in its task that the guest is gone. */
const inItsTask: readonly string[] = ['roll-back-guest', 'delete-snapshot'];

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const cases = declaredRequests.map((request) => [request.operation, request] as const);

function asked(request: DeclaredRequest): readonly [OperationName, Readonly<Record<string, unknown>>] {
  const vmid = vmidOf(request);
  const operation = request.operation as OperationName;
  const isOfGuest = catalogue[operation].target === 'guest';
  prepareAll(lab.simulator, [request]);
  return [operation, { ...(isOfGuest && { vmid }), ...request.input(vmid) }];
}

describe.each(cases)('%s', (_, request) => {
  it('is done once though each step is begun twice, and a look before changes nothing', async () => {
    const [operation, input] = asked(request);
    const before = worldOf(lab.simulator, request);
    const look = await lab.look(operation, input);
    expect(lab.writes()).toEqual([]);
    expect(worldOf(lab.simulator, request)).toEqual(before);
    expect(look.plan.steps.find(({ title }) => title === request.step)?.does).toHaveLength(1);
    const { look: then } = await lab.carryOutTwice(operation, input);
    expect(then.plan).toEqual(look.plan);
    expect(worldOf(lab.simulator, request)).not.toEqual(before);
    const tasks = tasksOf(lab.simulator, request);
    expect(new Set(tasks).size).toBe(tasks.length);
  });

  it.each<readonly [string, Fault]>([
    ['nobody heard the answers', { kind: 'lose-answer' }],
    ['its first calls were cut off', { kind: 'disconnect' }],
    ['its node was away at first', { kind: 'unavailable' }],
    ['what is behind its node was away at first', { kind: 'unavailable', status: 596 }],
    ['its first calls were answered late', { kind: 'slow', delayMs: 400 }],
  ])('is done once though %s', async (_, fault) => {
    const [operation, input] = asked(request);
    const before = worldOf(lab.simulator, request);
    for (const method of ['POST', 'PUT', 'DELETE']) lab.simulator.inject(fault, { method, times: 1 });
    await lab.carryOut(operation, input);
    expect(worldOf(lab.simulator, request)).not.toEqual(before);
    const tasks = tasksOf(lab.simulator, request);
    expect(new Set(tasks).size).toBe(tasks.length);
  });

  it.each<readonly [string, Fault]>([
    ['Proxmox says that it is done and has done nothing', { kind: 'silent' }],
    ['the cluster has no quorum', { kind: 'no-quorum' }],
    ['its task fails', { kind: 'task-fails', exitstatus: 'something broke' }],
    ['its task is killed', { kind: 'task-killed' }],
  ])('is found and leaves nothing, where %s', async (_, fault) => {
    const [operation, input] = asked(request);
    const before = worldOf(lab.simulator, request);
    const what = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    const lift = lab.simulator.inject(fault);
    const failed = await lab.carryOutFrom(what, look).then(
      () => undefined,
      (error: unknown) => error,
    );
    lift();
    const isAtOnce = tasksOf(lab.simulator, request).length === 0;
    // What has no task can't fail in it.
    if (isAtOnce && failed === undefined && fault.kind.startsWith('task-')) return;
    const withoutQuorum = fault.kind === 'no-quorum' ? request.withoutQuorum : undefined;
    if (withoutQuorum === 'works') {
      expect(failed).toBeUndefined();
      return;
    }
    expect(failed).toBeInstanceOf(ServiceError);
    for (const guest of lab.simulator.state.guests.values()) if (fault.kind === 'task-killed') delete guest.lock;
    await lab.undo(what, look);
    if (withoutQuorum !== 'half') expect(worldOf(lab.simulator, request)).toEqual(before);
  });

  it.each(['nothing', 'work'] as const)('its task that hangs after %s is ended, and leaves nothing', async (after) => {
    const [operation, input] = asked(request);
    const before = worldOf(lab.simulator, request);
    const what = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    const lift = lab.simulator.inject({ kind: 'task-hangs', after });
    const failed = lab.carryOutFrom(what, look).then(
      () => undefined,
      (error: unknown) => error,
    );
    const running = () => [...lab.simulator.state.tasks.values()].filter(({ endtime }) => endtime === undefined);
    let hasEnded = false;
    void failed.then(() => {
      hasEnded = true;
    });
    await expect.poll(() => hasEnded || running().length === 1, { timeout: 5_000, interval: 10 }).toBe(true);
    if (running().length === 0) {
      // What has no task can't hang in it.
      expect(await failed).toBeUndefined();
      return;
    }
    await sleep(100);
    lift();
    await lab.undo(what, look);
    expect(running()).toEqual([]);
    expect(await failed).toBeInstanceOf(ServiceError);
    const canUndo = look.steps.every(({ hasUndo, line }) => hasUndo || line === '') && !request.stays;
    if (after === 'nothing' || canUndo) expect(worldOf(lab.simulator, request)).toEqual(before);
  });

  it('says that a storage is full, and leaves nothing, or needs no space', async () => {
    const [operation, input] = asked(request);
    const before = worldOf(lab.simulator, request);
    const what = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    for (const storage of ['local', 'local-lvm', 'fast', 'tank'])
      lab.simulator.inject({ kind: 'full-storage', storage });
    const failed = await lab.carryOutFrom(what, look).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failed === undefined) expect(needsSpace).not.toContain(operation);
    else {
      expect(needsSpace).toContain(operation);
      expect(failed).toBeInstanceOf(ServiceError);
      const { message, details } = failed as ServiceError;
      expect(`${message} ${JSON.stringify(details)}`).toMatch(/full|space|exit code 3/);
      await lab.undo(what, look);
      expect(worldOf(lab.simulator, request)).toEqual(before);
    }
  });

  it('does nothing where the guest has just been deleted, and says so', async () => {
    const [operation, input] = asked(request);
    if (catalogue[operation].target !== 'guest' || ofCluster.includes(operation)) return;
    const what = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    lab.simulator.state.guests.delete(vmidOf(request));
    const failed = await lab.carryOutFrom(what, look).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ServiceError);
    // Its first step only looks, and misses the guest before anything is called.
    const looksFirst = operation === 'migrate-guest';
    if (looksFirst) expect(lab.writes()).toEqual([]);
    // With that code, its workflow knows that nothing was done.
    else if (![...inItsTask, 'back-up-guest'].includes(operation)) expect(failed).toMatchObject({ code: 'not-found' });
  });

  it('does nothing to a guest that has just moved to another node, and says where it is', async () => {
    const [operation, input] = asked(request);
    if (catalogue[operation].target !== 'guest' || ofCluster.includes(operation)) return;
    const what = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    const guest = lab.simulator.state.guests.get(vmidOf(request));
    if (guest === undefined) throw new Error('it needs its guest');
    const before = worldOf(lab.simulator, request);
    // The fault sees only the guest that a path names.
    if (operation === 'back-up-guest') guest.node = 'pve2';
    for (const method of ['POST', 'PUT', 'DELETE']) lab.simulator.inject({ kind: 'moved', to: 'pve2' }, { method });
    await expect(lab.carryOutFrom(what, look)).rejects.toMatchObject(
      inItsTask.includes(operation)
        ? { code: 'command-failed', message: expect.stringContaining('does not exist') }
        : {
            code: 'guest-moved',
            message: expect.stringContaining('it is on pve2 now, and nothing was done to it there'),
          },
    );
    expect(guest.node).toBe('pve2');
    guest.node = 'pve1';
    expect(worldOf(lab.simulator, request)).toEqual(before);
  });
});
