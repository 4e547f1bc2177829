import { describe, expect, it } from 'vitest';
import type { JudgedRequest } from '../../src/operations/judgement.ts';
import { judge, judgeBoth } from '../../src/policy/judge.ts';
import { defaultPolicy } from '../../src/policy/schema.ts';
import { anna, ben, context, kim, operation, policyOf, request } from './support.ts';

const stop = request({ operation: 'control-guest', risk: 'dangerous', input: { host: 'pve1', vmid: 100 } });
const restart = request({ operation: 'control-service', risk: 'change', input: { host: 'pve1', unit: 'nginx' } });

describe('without a policy', () => {
  it.each([
    ['a look', { ...stop, risk: 'read' }, 'allowed'],
    ['a plan of what is dangerous', { ...stop, input: { ...stop.input, dryRun: true } }, 'allowed'],
    ['a change', restart, 'allowed'],
    ['what is dangerous', stop, 'ask'],
  ] as const)('%s', (_, asked, verdict) => {
    expect(judge(defaultPolicy, asked as JudgedRequest, context()).verdict).toBe(verdict);
  });

  it('the one administrator approves what their agent asked, within a day', () => {
    expect(judge(defaultPolicy, stop, context())).toMatchObject({
      verdict: 'ask',
      why: 'It can lose data, access or service.',
      terms: {
        count: 1,
        approvers: ['anna'],
        role: 'administrator',
        answerWithinMs: 24 * 3_600_000,
        executeWithinMs: 3_600_000,
        remindEveryMs: 4 * 3_600_000,
        signed: false,
      },
    });
  });

  it('refuses what nobody could approve, and says how somebody can', () => {
    const nobody = request({ ...stop, requestedBy: { kind: 'cli', name: 'root' } });
    expect(judge(defaultPolicy, nobody, context({ people: [] }))).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('there is nobody who may'),
      remedy: 'Make one: npx proxmox-mcp people add NAME --role administrator',
    });
    const own = request({ ...stop, requestedBy: { kind: 'person', name: 'anna' } });
    expect(judge(defaultPolicy, own, context())).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('who asked is not counted'),
    });
    expect(judge(defaultPolicy, own, context({ people: [anna, { ...anna, name: 'eve' }] }))).toMatchObject({
      verdict: 'ask',
      terms: { approvers: ['eve'] },
    });
  });
});

describe('who asks', () => {
  const by = (requestedBy: JudgedRequest['requestedBy']) => request({ ...restart, requestedBy });
  it.each([
    ['an agent within its scope', by({ kind: 'mcp', name: 'claude' }), 'operate', 'allowed'],
    ['an agent beyond its scope', by({ kind: 'mcp', name: 'claude' }), 'read', 'refused'],
    ['an agent of nobody any more', by({ kind: 'mcp', name: 'claude', for: 'gone' }), 'admin', 'refused'],
    ['an agent of an observer', by({ kind: 'mcp', name: 'claude', for: 'kim' }), 'admin', 'refused'],
    ['an observer', by({ kind: 'person', name: 'kim' }), undefined, 'refused'],
    ['an operator', by({ kind: 'person', name: 'ben' }), undefined, 'allowed'],
    ['somebody who is no person here', by({ kind: 'person', name: 'mallory' }), undefined, 'refused'],
    ['a login', by({ kind: 'cli', name: 'root' }), undefined, 'allowed'],
    ['a schedule', by({ kind: 'schedule', name: 'back-up/daily/pve1' }), undefined, 'allowed'],
  ] as const)('%s', (_, asked, scope, verdict) => {
    const world = context({ people: [anna, ben, kim], scopeOf: () => scope });
    expect(judge(defaultPolicy, asked, world).verdict).toBe(verdict);
  });

  it('is refused what is dangerous to a token that may only change', () => {
    expect(judge(defaultPolicy, stop, context({ scopeOf: () => 'operate' }))).toMatchObject({
      verdict: 'refused',
      why: 'the token claude has the scope operate, and what is dangerous needs admin.',
    });
  });

  it('is judged as who asked for the first of several runs', () => {
    const policy = policyOf({ rules: [{ who: 'token:claude', may: 'no' }] });
    const child = request({ ...restart, requestedBy: { kind: 'run', name: 'maintain/pve1/1' } });
    const whose = (onBehalfOf: JudgedRequest['requestedBy']) => judge(policy, { ...child, onBehalfOf }, context());
    expect(whose({ kind: 'mcp', name: 'claude' }).verdict).toBe('refused');
    expect(whose({ kind: 'schedule', name: 'maintain/weekly/pve1' }).verdict).toBe('allowed');
    // Where nobody knows, no restriction is passed.
    expect(judge(policy, child, context()).verdict).toBe('refused');
  });
});

describe('rules', () => {
  it('the strictest of all that match counts, and says where it stands', () => {
    const policy = policyOf({
      rules: [
        { who: 'everybody', may: 'yes' },
        { who: 'agents', may: 'ask', on: { tags: 'production' } },
        { who: 'token:claude', may: 'no', operations: 'control-guest', on: { guests: '100-199' }, why: 'customers' },
      ],
    });
    const change = (vmid: number, tags: string[]) =>
      judge(
        policy,
        request({ ...stop, risk: 'change', input: { host: 'pve1', vmid }, guest: { vmid, tags } }),
        context(),
      );
    expect(change(150, ['production'])).toMatchObject({
      verdict: 'refused',
      why: 'the token claude may not do control-guest (change) on pve1/150: customers.',
      grounds: [{ from: 'rules[2]' }, { from: 'rules[1]' }, { from: 'rules[0]' }],
    });
    expect(change(200, ['Production']).verdict).toBe('ask');
    expect(change(200, ['test']).verdict).toBe('allowed');
  });

  it('frees what is dangerous only where the rule names that risk', () => {
    const rule = { who: 'agents', may: 'yes', operations: 'control-guest', on: { tags: 'test' } } as const;
    const asked = request({ ...stop, guest: { vmid: 100, tags: ['test'] } });
    expect(judge(policyOf({ rules: [rule] }), asked, context()).verdict).toBe('ask');
    const named = policyOf({ rules: [{ ...rule, risks: ['change', 'dangerous'] }] });
    expect(judge(named, asked, context()).verdict).toBe('allowed');
    expect(judge(named, { ...asked, guest: { vmid: 100, tags: ['test', 'x'] } }, context()).verdict).toBe('allowed');
    expect(judge(named, { ...asked, guest: { vmid: 100, tags: [] } }, context()).verdict).toBe('ask');
    // What is always asked for is asked for all the same.
    const operations = { 'control-guest': operation({ target: 'guest', alwaysAsks: true }) };
    expect(judge(named, asked, context({ operations })).verdict).toBe('ask');
  });

  it('takes from the agents of a person what it takes from the person, and gives them nothing of theirs', () => {
    const agent = request({ ...restart, requestedBy: { kind: 'mcp', name: 'claude', for: 'anna' } });
    expect(judge(policyOf({ rules: [{ who: 'person:anna', may: 'no' }] }), agent, context()).verdict).toBe('refused');
    expect(judge(policyOf({ rules: [{ who: 'role:administrator', may: 'ask' }] }), agent, context()).verdict).toBe(
      'ask',
    );
    const rules = [{ who: 'person:anna', may: 'yes', risks: ['dangerous'] } as const];
    expect(judge(policyOf({ rules }), { ...agent, risk: 'dangerous' }, context()).verdict).toBe('ask');
  });

  it('a restriction holds where a guest’s tags aren’t known, and a permission doesn’t', () => {
    const { guest: _, ...unknown } = request({ ...stop, risk: 'change' });
    const restricted = policyOf({ rules: [{ who: 'agents', may: 'no', on: { tags: 'production' } }] });
    expect(judge(restricted, unknown, context()).verdict).toBe('refused');
    const freed = policyOf({ rules: [{ who: 'agents', may: 'yes', risks: 'dangerous', on: { pools: 'lab' } }] });
    expect(judge(freed, { ...unknown, risk: 'dangerous' }, context()).verdict).toBe('ask');
  });

  it('a guest is found by the host that it is on, whichever host of its cluster was named', () => {
    const policy = policyOf({ rules: [{ who: 'everybody', may: 'no', on: { hosts: 'pve2' } }] });
    const elsewhere = request({ ...stop, risk: 'change', guest: { vmid: 100, tags: [], host: 'pve2' } });
    expect(judge(policy, elsewhere, context()).verdict).toBe('refused');
  });

  it('a restriction of one host holds for a fleet, and a permission has to be for all of it', () => {
    const fleet = request({ operation: 'maintain', risk: 'dangerous', input: {} });
    const operations = { maintain: operation({ target: 'fleet' }) };
    const says = (may: 'yes' | 'no', hosts: string[]) =>
      judge(
        policyOf({ rules: [{ who: 'agents', may, risks: 'dangerous', on: { hosts } }] }),
        fleet,
        context({ operations }),
      ).verdict;
    expect(says('no', ['pve2'])).toBe('refused');
    expect(says('yes', ['pve2'])).toBe('ask');
    expect(says('yes', ['pve1', 'pve2'])).toBe('allowed');
  });
});

describe('what is protected', () => {
  const policy = policyOf({
    protected: { hosts: 'pve2', guests: [100, '200-299'], tags: 'crown', pools: 'customers' },
  });
  it.each([
    [{ host: 'pve2' }, undefined],
    [{ host: 'pve1', vmid: 100 }, undefined],
    [{ host: 'pve1', vmid: 250 }, { tags: [] }],
    [{ host: 'pve1', vmid: 101 }, { tags: ['crown'] }],
    [
      { host: 'pve1', vmid: 101 },
      { tags: [], pool: 'customers' },
    ],
  ])('%j is changed after an approval only, and nothing dangerous is done to it', (input, guest) => {
    const asked = request({ operation: 'x', input, ...(guest && { guest: { vmid: input.vmid ?? 0, ...guest } }) });
    const generous = {
      ...policy,
      rules: policyOf({ rules: [{ who: 'everybody', may: 'yes', risks: ['change', 'dangerous'] }] }).rules,
    };
    expect(judge(generous, { ...asked, risk: 'change' }, context()).verdict).toBe('ask');
    expect(judge(generous, { ...asked, risk: 'dangerous' }, context())).toMatchObject({
      verdict: 'refused',
      why: expect.stringMatching(/^pve.* is protected: nothing dangerous is done to it/),
      remedy: expect.stringContaining('npx proxmox-mcp policy apply'),
    });
  });

  it('a guest is also where an operation on hosts names it', () => {
    const operations = { test: operation({ mayNameGuest: true }) };
    const asked = request({
      risk: 'dangerous',
      input: { host: 'pve1', vmid: 101 },
      guest: { vmid: 101, tags: ['crown'] },
    });
    expect(judge(policy, asked, context({ operations })).verdict).toBe('refused');
    expect(judge(policy, { ...asked, input: { host: 'pve1' } }, context({ operations })).verdict).toBe('ask');
  });

  it('nothing else is', () => {
    const other = request({ ...stop, input: { host: 'pve1', vmid: 101 }, guest: { vmid: 101, tags: ['crowned'] } });
    expect(judge(policy, other, context()).verdict).toBe('ask');
  });
});

describe('ENABLE_DANGEROUS_COMMANDS=false', () => {
  const operations = {
    'run-command': operation({ target: 'host', needsDangerousCommands: true }),
    'control-disk': operation({ target: 'guest', needsDangerousCommands: { by: 'action', of: ['delete'] } }),
  };
  const asked = (name: string, input: object) =>
    judge(
      defaultPolicy,
      request({ operation: name, risk: 'dangerous', input: { host: 'pve1', ...input } }),
      context({ operations }),
    );
  it('refuses what needs it, approved or not, and nothing else', () => {
    expect(asked('run-command', {})).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('ENABLE_DANGEROUS_COMMANDS'),
    });
    expect(asked('control-disk', { vmid: 100, action: 'delete' }).verdict).toBe('refused');
    expect(asked('control-disk', { vmid: 100 }).verdict).toBe('refused');
    expect(asked('control-disk', { vmid: 100, action: 'resize' }).verdict).toBe('ask');
  });

  it('is lifted by what was approved and what is written, both', () => {
    const on = policyOf({ dangerousCommands: true });
    const off = policyOf({});
    const run = request({ operation: 'run-command', risk: 'dangerous', input: { host: 'pve1' } });
    const verdict = (approved: typeof on | undefined, file: typeof on | undefined) =>
      judgeBoth(approved, file, run, context({ operations })).verdict;
    expect(verdict(undefined, on)).toBe('refused');
    expect(verdict(on, off)).toBe('refused');
    expect(verdict(on, on)).toBe('ask');
  });
});

describe('approvals', () => {
  const people = [anna, { ...anna, name: 'eve' }, { ...anna, name: 'joe' }, ben, kim];
  it('are as strict as the strictest entry that is about it', () => {
    const policy = policyOf({
      approvals: [
        { count: 2, answerWithin: '3d', remindEvery: '1h' },
        { operations: ['control-guest'], signed: true, answerWithin: '2d', executeWithin: '30m' },
        { operations: ['other'], count: 9 },
      ],
    });
    expect(judge(policy, stop, context({ people }))).toMatchObject({
      verdict: 'ask',
      terms: {
        count: 2,
        approvers: ['anna', 'eve', 'joe'],
        answerWithinMs: 48 * 3_600_000,
        executeWithinMs: 1_800_000,
        remindEveryMs: 3_600_000,
        signed: true,
      },
    });
  });

  it('are asked for by an entry alone, of an operator where it is a change', () => {
    const policy = policyOf({ approvals: [{ operations: 'control-service' }] });
    expect(judge(policy, restart, context({ people }))).toMatchObject({
      verdict: 'ask',
      terms: { role: 'operator', approvers: ['anna', 'eve', 'joe', 'ben'] },
    });
    expect(judge(policyOf({ approvals: [{}] }), restart, context({ people })).verdict).toBe('allowed');
  });

  it('of what is dangerous are an administrator’s, whatever an entry says', () => {
    const policy = policyOf({ approvals: [{ role: 'operator' }] });
    expect(judge(policy, stop, context({ people }))).toMatchObject({ terms: { role: 'administrator' } });
  });

  it('that two policies ask for differently need the stricter of each', () => {
    const approved = policyOf({ approvals: [{ count: 2, answerWithin: '3d' }] });
    const file = policyOf({ approvals: [{ signed: true, answerWithin: '1h' }] });
    expect(judgeBoth(approved, file, stop, context({ people }))).toMatchObject({
      terms: { count: 2, signed: true, answerWithinMs: 3_600_000 },
    });
    expect(judgeBoth(approved, file, stop, context({ people: [anna, ben] })).verdict).toBe('refused');
  });
});

describe('change windows', () => {
  const policy = policyOf({
    windows: [{ days: ['sat'], from: '22:00', to: '04:00', on: { hosts: ['pve1'] }, risks: ['dangerous'] }],
  });
  const at = (iso: string) => context({ now: Date.parse(iso), timeZoneOf: () => 'Europe/Vienna' });
  it('refuse what they are for while none is open, saying when the next one opens', () => {
    expect(judge(policy, stop, at('2026-11-26T12:00:00Z'))).toMatchObject({
      verdict: 'refused',
      opensAt: '2026-11-28T21:00:00.000Z',
      why: 'pve1/100 has change windows, and none is open before 2026-11-28 22:00:00 CET.',
    });
    expect(judge(policy, stop, at('2026-11-28T21:00:00Z')).verdict).toBe('ask');
    expect(judge(policy, stop, at('2026-11-29T02:59:59Z')).verdict).toBe('ask');
    expect(judge(policy, stop, at('2026-11-29T03:00:00Z')).verdict).toBe('refused');
  });

  it('are not for other risks and targets', () => {
    const now = at('2026-11-26T12:00:00Z');
    expect(judge(policy, restart, now).verdict).toBe('allowed');
    expect(judge(policy, { ...stop, input: { host: 'pve2', vmid: 100 } }, now).verdict).toBe('ask');
  });

  it('of several hosts have to be open for each of them', () => {
    const both = policyOf({
      windows: [
        { from: '20:00', to: '23:00', on: { hosts: 'pve1' } },
        { from: '22:00', to: '24:00', on: { hosts: 'pve2' } },
      ],
    });
    const fleet = request({ operation: 'maintain', risk: 'change', input: { hosts: ['pve1', 'pve2'] } });
    const says = (iso: string) => judge(both, fleet, at(iso));
    expect(says('2026-11-26T19:30:00Z')).toMatchObject({ verdict: 'refused', opensAt: '2026-11-26T21:00:00.000Z' });
    expect(says('2026-11-26T21:30:00Z').verdict).toBe('allowed');
  });
});

describe('a snapshot first', () => {
  const configure = request({
    operation: 'configure-guest',
    input: { host: 'pve1', vmid: 100 },
    guest: { vmid: 100, tags: ['production'] },
  });
  const policy = policyOf({
    snapshotFirst: [{ operations: 'configure-guest', on: { tags: 'production' }, why: 'a way back' }],
  });
  const wanted = { snapshotFirst: expect.stringMatching(/^snapshotFirst\[0\] wants a snapshot first: a way back/) };

  it('is wanted where an entry is about it, in a plan too', () => {
    expect(judge(policy, configure, context())).toMatchObject({ verdict: 'allowed', ...wanted });
    const planned = { ...configure, input: { ...configure.input, dryRun: true } };
    expect(judge(policy, planned, context())).toMatchObject({ verdict: 'allowed', ...wanted });
  });

  it('is wanted where only one of what was approved and what is written does', () => {
    expect(judgeBoth(defaultPolicy, policy, configure, context())).toMatchObject(wanted);
    expect(judgeBoth(policy, defaultPolicy, configure, context())).toMatchObject(wanted);
  });

  it.each([
    ['another operation', { ...configure, operation: 'label-guest' }],
    ['another guest', { ...configure, guest: { vmid: 100, tags: ['test'] } }],
  ])('is not wanted of %s', (_, asked) => {
    expect(judge(policy, asked, context())).not.toHaveProperty('snapshotFirst');
  });
});
