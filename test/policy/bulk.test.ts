import { describe, expect, it } from 'vitest';
import { eachOf } from '../../src/operations/change-guests.ts';
import type { JudgedRequest } from '../../src/operations/judgement.ts';
import { judge } from '../../src/policy/judge.ts';
import { defaultPolicy } from '../../src/policy/schema.ts';
import { context, policyOf, request } from './support.ts';

/** The same for the guests 100, which has the tag web, and 200, which is in the pool mail. */
function bulk(change: 'start' | 'stop' | 'snapshot', more: Partial<JudgedRequest> = {}): JudgedRequest {
  const input = { change, with: change === 'snapshot' ? { snapshot: 'before' } : {} };
  return request({
    operation: 'change-guests',
    risk: change === 'stop' ? 'dangerous' : 'change',
    input: { host: 'pve1', ...input },
    each: {
      ...(eachOf(input) as { operation: string; input: Record<string, unknown> }),
      guests: [
        { vmid: 100, tags: ['web'] },
        { vmid: 200, tags: [], pool: 'mail' },
      ],
    },
    ...more,
  });
}

describe('a bulk form is no way around what holds for one of its guests', () => {
  it('is allowed and asked as the same for one of them is', () => {
    expect(judge(defaultPolicy, bulk('start'), context()).verdict).toBe('allowed');
    expect(judge(defaultPolicy, bulk('snapshot'), context()).verdict).toBe('allowed');
    expect(judge(defaultPolicy, bulk('stop'), context()).verdict).toBe('ask');
    const planned = bulk('stop', { input: { host: 'pve1', change: 'stop', dryRun: true } });
    expect(judge(defaultPolicy, planned, context()).verdict).toBe('allowed');
  });

  it.each([
    ['by number', { guests: '200' }],
    ['by tag', { tags: ['web'] }],
    ['by pool', { pools: ['mail'] }],
  ])('where one of them is protected %s', (_, on) => {
    const policy = policyOf({ protected: on });
    expect(judge(policy, bulk('stop'), context())).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('is protected: nothing dangerous is done to it'),
    });
    expect(judge(policy, bulk('start'), context()).verdict).toBe('ask');
  });

  it('where a rule is about the operation that each of them gets', () => {
    const policy = policyOf({
      rules: [{ who: 'token:claude', operations: ['snapshot-guest'], may: 'no', why: 'no room' }],
    });
    expect(judge(policy, bulk('snapshot'), context())).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('no room'),
    });
    expect(judge(policy, bulk('start'), context()).verdict).toBe('allowed');
  });

  it('where a rule is about the bulk form itself', () => {
    const policy = policyOf({ rules: [{ who: 'token:claude', operations: ['change-guests'], may: 'no' }] });
    expect(judge(policy, bulk('start'), context()).verdict).toBe('refused');
  });

  it('where nobody knows the operation, it counts as dangerous', () => {
    const unknown = bulk('start', {
      each: { operation: 'no-such', input: {}, guests: [{ vmid: 100, tags: [] }] },
    });
    expect(judge(defaultPolicy, unknown, context()).verdict).toBe('ask');
  });
});
