import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { suspendGuest } from '../../src/operations/suspend-guest.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';
import { asItIs, takeBackRun } from '../support/cluster-state.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const guestOf = (vmid: number) => {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest === undefined) throw new Error(`no guest ${vmid}`);
  return guest;
};

describe.each([
  ['ram', 'paused', 'running', undefined],
  ['disk', 'suspended to disk', 'stopped', 'suspended'],
])('suspend-guest to %s', (to, after, status, lock) => {
  const operation = 'suspend-guest';
  const input = { vmid: 100, to };

  it('stands still, by one task', async () => {
    const { look, output, upids } = await lab.carryOutTwice(operation, input);
    expect(output).toMatchObject({ before: 'running', after });
    expect(guestOf(100)).toMatchObject({ status });
    expect(guestOf(100).lock).toBe(lock);
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual(['POST /nodes/pve1/qemu/100/status/suspend']);
    expect(look.plan.steps[1]?.does).toEqual([
      `POST /nodes/pve1/qemu/100/status/suspend${to === 'disk' ? ' todisk=1' : ''}`,
    ]);
  });

  it('that it is already is left as it is', async () => {
    await lab.carryOut(operation, input);
    const { look, output } = await lab.carryOut(operation, input);
    expect(look.steps).toEqual([]);
    expect(suspendGuest.undo?.reverse({ host: 'pve1', ...input } as never, output as never)).toEqual({
      why: expect.stringContaining('already'),
    });
  });

  it('is taken back: at once, and by a run of its own', async () => {
    const before = asItIs(lab);
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    await lab.undo(request, look);
    expect(asItIs(lab)).toBe(before);
    const { output } = await lab.carryOut(operation, input);
    await takeBackRun(lab, operation, input, output);
    expect(asItIs(lab)).toBe(before);
  });

  it('whose task is OK and has done nothing fails', async () => {
    lab.simulator.inject({ kind: 'silent' }, { template: '/nodes/{node}/qemu/{vmid}/status/suspend' });
    await expect(lab.carryOut(operation, input)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('is running'),
    });
  });
});

describe.each([
  ['ram', 'paused'],
  ['disk', 'suspended to disk'],
])('resume-guest from %s', (to, before) => {
  const operation = 'resume-guest';

  beforeEach(async () => {
    await lab.carryOut('suspend-guest', { vmid: 100, to });
  });

  it('goes on, by one task, and can be taken back', async () => {
    const was = asItIs(lab);
    const { output, upids } = await lab.carryOutTwice(operation, { vmid: 100 });
    expect(output).toMatchObject({ before, after: 'running' });
    expect(guestOf(100)).toMatchObject({ status: 'running' });
    expect(guestOf(100).lock).toBeUndefined();
    expect(upids).toHaveLength(1);
    await takeBackRun(lab, operation, { vmid: 100 }, output);
    expect(asItIs(lab)).toBe(was);
  });

  it('whose task is OK and has done nothing fails', async () => {
    lab.simulator.inject({ kind: 'silent' }, { template: '/nodes/{node}/qemu/{vmid}/status/resume' });
    await expect(lab.carryOut(operation, { vmid: 100 })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining(before),
    });
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes()).toEqual([]));

  it.each([
    ['suspend-guest', { vmid: 101, to: 'ram' }, 'invalid-input', 'is a container'],
    ['suspend-guest', { vmid: 120, to: 'disk' }, 'conflict', 'is off'],
    ['resume-guest', { vmid: 120 }, 'conflict', 'is off and not suspended'],
  ] as const)('%s %j', async (operation, input, code, message) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('one that is locked, or that the HA stack would start again', async () => {
    guestOf(100).ha = { state: 'started' };
    await expect(lab.look('suspend-guest', { vmid: 100, to: 'disk' })).rejects.toMatchObject({ code: 'conflict' });
    guestOf(100).lock = 'backup';
    await expect(lab.look('suspend-guest', { vmid: 100, to: 'ram' })).rejects.toMatchObject({ code: 'proxmox-locked' });
    guestOf(120).lock = 'backup';
    await expect(lab.look('resume-guest', { vmid: 120 })).rejects.toMatchObject({ code: 'proxmox-locked' });
  });

  it('nothing of one that runs: it is left as it is', async () => {
    const { steps } = await lab.look('resume-guest', { vmid: 100 });
    expect(steps).toEqual([]);
  });
});
