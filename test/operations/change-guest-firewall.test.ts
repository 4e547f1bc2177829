import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeGuestFirewall } from '../../src/operations/change-guest-firewall.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const operation = 'change-guest-firewall';
const ssh = { action: 'add', verdict: 'ACCEPT', proto: 'tcp', dport: '22', source: '192.0.2.0/24', comment: 'ssh' };

/** All that the guest's firewall is. */
const firewallOf = (vmid: number) =>
  structuredClone(lab.simulator.state.firewalls.get(`guest/${vmid}`) ?? { rules: [] });
const rulesOf = (vmid: number) =>
  (lab.simulator.state.firewalls.get(`guest/${vmid}`)?.rules ?? []) as { comment?: string }[];

async function threeRules(vmid: number): Promise<void> {
  for (const comment of ['third', 'second', 'first']) {
    await lab.carryOut(operation, { vmid, action: 'add', verdict: 'DROP', comment });
  }
}

describe.each([
  [100, 'qemu', 'pve1'],
  [101, 'lxc', 'pve2'],
])('the firewall of %s', (vmid, type, node) => {
  it('gets a rule, once, and loses it again after a failure', async () => {
    await threeRules(vmid);
    const before = firewallOf(vmid);
    const seen = lab.writes().length;
    const request = await lab.request(operation, { vmid, ...ssh });
    const { look, output } = await lab.carryOutTwice(operation, { vmid, ...ssh });
    expect(lab.writes().slice(seen)).toEqual([`POST /nodes/${node}/${type}/${vmid}/firewall/rules`]);
    expect(output).toMatchObject({ pos: 0, changed: true });
    expect(rulesOf(vmid)[0]).toMatchObject({ action: 'ACCEPT', dport: '22', comment: 'ssh' });
    await lab.undo(request, look);
    expect(firewallOf(vmid)).toEqual(before);
  });

  it('gets a rule at its place, and loses it by the run that takes it back', async () => {
    await threeRules(vmid);
    const before = firewallOf(vmid);
    const { output } = await lab.carryOut(operation, { vmid, ...ssh, pos: 2 });
    expect(rulesOf(vmid).map(({ comment }) => comment)).toEqual(['first', 'second', 'ssh', 'third']);
    const given = { host: 'pve1', vmid, ...ssh, pos: 2 } as never;
    const reversal = changeGuestFirewall.undo?.reverse(given, output) as Exclude<Reversal, { why: string }>;
    const back = await lab.look(operation, reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut(operation, reversal.input);
    expect(firewallOf(vmid)).toEqual(before);
  });

  it.each([0, 1, 2])('loses the rule %s, which comes back to its place', async (pos) => {
    await threeRules(vmid);
    const before = firewallOf(vmid);
    const request = await lab.request(operation, { vmid, action: 'remove', pos });
    const { look, output } = await lab.carryOutTwice(operation, { vmid, action: 'remove', pos });
    expect(rulesOf(vmid)).toHaveLength(2);
    await lab.undo(request, look);
    expect(firewallOf(vmid)).toEqual(before);
    await lab.carryOut(operation, { vmid, action: 'remove', pos });
    const given = { host: 'pve1', vmid, action: 'remove', pos } as never;
    const reversal = changeGuestFirewall.undo?.reverse(given, output) as Exclude<Reversal, { why: string }>;
    const back = await lab.look(operation, reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut(operation, reversal.input);
    expect(firewallOf(vmid)).toEqual(before);
  });

  it('has a rule switched, and options set, and both back', async () => {
    await threeRules(vmid);
    const before = firewallOf(vmid);
    for (const input of [
      { vmid, action: 'disable', pos: 1 },
      { vmid, action: 'options', on: true, policyIn: 'REJECT' },
    ]) {
      const request = await lab.request(operation, input);
      const { look } = await lab.carryOutTwice(operation, input);
      expect(firewallOf(vmid)).not.toEqual(before);
      await lab.undo(request, look);
      expect(firewallOf(vmid)).toEqual(before);
    }
  });
});

it('is so already: nothing is called', async () => {
  await threeRules(100);
  const seen = lab.writes().length;
  for (const input of [
    { vmid: 100, action: 'enable', pos: 0 },
    { vmid: 100, action: 'options', on: false },
  ]) {
    expect((await lab.carryOut(operation, input)).look.steps).toEqual([]);
  }
  expect(lab.writes()).toHaveLength(seen);
});

describe('what lies', () => {
  it.each([
    ['POST', { vmid: 100, ...ssh }],
    ['DELETE', { vmid: 100, action: 'remove', pos: 1 }],
    ['PUT', { vmid: 100, action: 'disable', pos: 1 }],
    ['PUT', { vmid: 100, action: 'options', on: true }],
  ])('an answer to %s without effect is found', async (method, input) => {
    await threeRules(100);
    lab.simulator.inject({ kind: 'silent' }, { method });
    await expect(lab.carryOut(operation, input)).rejects.toMatchObject({ code: 'verification-failed' });
  });

  it('rules that somebody else has changed meanwhile are left alone', async () => {
    await threeRules(100);
    const request = await lab.request(operation, { vmid: 100, action: 'remove', pos: 1 });
    const look = await lab.look(operation, { vmid: 100, action: 'remove', pos: 1 });
    await lab.carryOut(operation, { vmid: 100, ...ssh });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({
      code: expect.stringMatching(/conflict|verification-failed/),
    });
    expect(rulesOf(100)).toHaveLength(4);
  });
});

it.each([
  [{ action: 'add', proto: 'tcp' }, 'verdict'],
  [{ action: 'add', verdict: 'ACCEPT', dport: '22' }, 'proto'],
  [{ action: 'add', verdict: 'ACCEPT', pos: 7 }, 'pos'],
  [{ action: 'remove' }, 'pos'],
  [{ action: 'remove', pos: 3 }, 'pos'],
  [{ action: 'options' }, 'on'],
])('refuses %j', async (input, field) => {
  await expect(lab.look(operation, { vmid: 100, ...input })).rejects.toMatchObject({ details: { field } });
  expect(lab.writes()).toEqual([]);
});
