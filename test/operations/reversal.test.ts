import { describe, expect, it } from 'vitest';
import { backUp } from '../../src/operations/back-up.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { controlGuest } from '../../src/operations/control-guest.ts';
import { controlService } from '../../src/operations/control-service.ts';
import { riskOf, worstRisk } from '../../src/operations/definition.ts';
import { reversal } from '../../src/operations/reversal.ts';

const operations = Object.values(catalogue);

it('every operation that changes something says how it is taken back, and only those', () => {
  const says = operations.filter(({ undo }) => undo !== undefined).map(({ name }) => name);
  expect(says).toEqual(operations.filter((one) => worstRisk(one) !== 'read').map(({ name }) => name));
});

const ofGuest = (action: 'start' | 'shutdown' | 'reboot' | 'stop', from: 'running' | 'stopped', did = true) => {
  const to = action === 'start' || action === 'reboot' ? 'running' : 'stopped';
  const output = { vmid: 100, name: 'files', type: 'qemu', node: 'pve1', from, to, seconds: 1 } as const;
  return controlGuest.undo?.reverse(
    { host: 'pve1', vmid: 100, action, timeoutSeconds: 180, dryRun: false },
    { ...output, ...(did && { task: 'UPID:pve1:1' }) },
  );
};

const ofService = (action: string, before: [string, string], after?: [string, string]) => {
  const state = ([active, startsAtBoot]: [string, string]) => ({ active, startsAtBoot });
  return controlService.undo?.reverse(
    { host: 'pve1', unit: 'nginx', action, lines: 100, seconds: 0, dryRun: false },
    { before: state(before), ...(after && { after: state(after) }) },
  );
};

describe('what takes a run back', () => {
  it.each([
    ['start', 'stopped', 'shutdown', 'running'],
    ['shutdown', 'running', 'start', 'stopped'],
    ['stop', 'running', 'start', 'stopped'],
  ] as const)('of a guest: %s of one that was %s is taken back by %s', (action, from, back, left) => {
    expect(ofGuest(action, from)).toMatchObject({
      input: { host: 'pve1', vmid: 100, action: back },
      expects: [{ name: 'State', value: left }],
    });
  });

  it('of a guest: a stop says what it does not bring back, and a shutdown needs not', () => {
    expect(ofGuest('stop', 'running')).toHaveProperty('remains');
    expect(ofGuest('shutdown', 'running')).not.toHaveProperty('remains');
  });

  it.each([
    ['start', ['inactive', 'disabled'], ['active', 'disabled'], 'stop', { name: 'nginx', value: 'active' }],
    ['start', ['failed', 'disabled'], ['active', 'disabled'], 'stop', { name: 'nginx', value: 'active' }],
    ['restart', ['inactive', 'enabled'], ['active', 'enabled'], 'stop', { name: 'nginx', value: 'active' }],
    ['stop', ['active', 'enabled'], ['inactive', 'enabled'], 'start', { name: 'nginx', value: 'inactive' }],
    [
      'enable',
      ['active', 'disabled'],
      ['active', 'enabled'],
      'disable',
      { name: 'Starts with the host', value: 'enabled' },
    ],
    [
      'disable',
      ['active', 'enabled'],
      ['active', 'disabled'],
      'enable',
      { name: 'Starts with the host', value: 'disabled' },
    ],
  ] as const)('of a service: %s from %j', (action, before, after, back, left) => {
    expect(ofService(action, [...before], [...after])).toMatchObject({
      input: { host: 'pve1', unit: 'nginx', action: back },
      expects: [left],
    });
  });

  it('is one of its operation’s own requests, which changes something', () => {
    const ways = [
      [controlGuest, ofGuest('start', 'stopped')],
      [controlGuest, ofGuest('stop', 'running')],
      [controlService, ofService('stop', ['active', 'enabled'], ['inactive', 'enabled'])],
      [controlService, ofService('enable', ['active', 'disabled'], ['active', 'enabled'])],
    ] as const;
    for (const [operation, way] of ways) {
      const parsed = reversal.parse(way);
      if (!('input' in parsed)) return expect.unreachable();
      expect(riskOf(operation, operation.input.strict().parse(parsed.input))).toBe('change');
    }
  });
});

describe('nothing is to be taken back', () => {
  it.each([
    ['a reboot', () => ofGuest('reboot', 'running'), /runs again, as before/],
    [
      'a guest that was so already',
      () => ofGuest('start', 'running', false),
      /was running already, and nothing was done/,
    ],
    ['a reload', () => ofService('reload', ['active', 'enabled'], ['active', 'enabled']), /no state to put back/],
    ['a restart', () => ofService('restart', ['active', 'enabled'], ['active', 'enabled']), /runs again, as before/],
    ['a start of what ran', () => ofService('start', ['active', ''], ['active', '']), /ran already, and nothing/],
    ['a oneshot', () => ofService('start', ['inactive', ''], ['inactive', '']), /is inactive, as before/],
    [
      'what no action brings back',
      () => ofService('start', ['activating', ''], ['active', '']),
      /was activating before/,
    ],
    ['a mask', () => ofService('enable', ['inactive', 'masked'], ['inactive', 'enabled']), /"masked".*no action/],
    ['what was enabled', () => ofService('enable', ['active', 'enabled'], ['active', 'enabled']), /enabled already/],
    ['a look', () => ofService('status', ['active', 'enabled']), /only looked/],
  ] as const)('of %s, which says so', (_what, way, why) => {
    expect(way()).toEqual({ why: expect.stringMatching(why) });
  });

  it('of a backup, which says what retention removed', () => {
    const input = { host: 'pve1', kind: 'daily', anyTarget: false, dryRun: false } as const;
    expect(backUp.undo?.reverse(input, { removed: [], kept: 3 })).toEqual({
      why: 'A backup that was made is kept until retention removes it.',
    });
    expect(backUp.undo?.reverse(input, { removed: ['a'], kept: 3 })).toEqual({
      why: expect.stringContaining('is gone'),
    });
  });
});
