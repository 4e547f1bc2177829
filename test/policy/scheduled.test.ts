import { describe, expect, it } from 'vitest';
import type { JudgedRequest } from '../../src/operations/judgement.ts';
import { judge } from '../../src/policy/judge.ts';
import { defaultPolicy } from '../../src/policy/schema.ts';
import { anna, ben, context, policyOf, request } from './support.ts';

const id = 'control-guest/own-night/pve1/100';
const madeAt = '2026-11-01T00:00:00.000Z';
const claude = { kind: 'mcp', name: 'claude', for: 'anna', token: madeAt } as const;

/** What a schedule asks that somebody made. */
function scheduled(onBehalfOf: JudgedRequest['requestedBy'], more: Partial<JudgedRequest> = {}): JudgedRequest {
  return request({ risk: 'dangerous', requestedBy: { kind: 'schedule', name: id }, onBehalfOf, ...more });
}

const world = (more: Parameters<typeof context>[0] = {}) =>
  context({ people: [anna, { ...ben, role: 'administrator' }], scopeOf: () => 'admin', ...more });

describe('what somebody has scheduled', () => {
  it('is judged by the scope that their token has now', () => {
    expect(judge(defaultPolicy, scheduled(claude), world()).verdict).toBe('ask');
    expect(judge(defaultPolicy, scheduled(claude), world({ scopeOf: () => 'operate' }))).toMatchObject({
      verdict: 'refused',
      why: 'the token claude has the scope operate, and what is dangerous needs admin.',
    });
  });

  it('ends with the very token that asked for it', () => {
    for (const now of [undefined, '2026-11-20T00:00:00.000Z']) {
      expect(judge(defaultPolicy, scheduled(claude), world({ tokenMadeAt: () => now }))).toMatchObject({
        verdict: 'refused',
        why: expect.stringContaining('was revoked or has expired since'),
      });
    }
    expect(judge(defaultPolicy, scheduled(claude), world({ tokenMadeAt: () => madeAt })).verdict).toBe('ask');
    const overStdio = { kind: 'mcp', name: 'root' } as const;
    expect(judge(defaultPolicy, scheduled(overStdio), world({ tokenMadeAt: () => undefined })).verdict).toBe('ask');
  });

  it('is not approved by who made it', () => {
    const asked = judge(defaultPolicy, scheduled({ kind: 'person', name: 'anna' }), world());
    expect(asked).toMatchObject({ verdict: 'ask', terms: { approvers: ['ben'] } });
    const two = policyOf({ approvals: [{ count: 2 }] });
    expect(judge(two, scheduled(claude), world())).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('who asked is not counted'),
    });
  });

  it('is not done any more for somebody who is gone', () => {
    const gone = { kind: 'person', name: 'carl' } as const;
    expect(judge(defaultPolicy, scheduled(gone), world())).toMatchObject({ verdict: 'refused' });
  });

  it('is held by what a rule takes from schedules, and gets nothing of what one gives to them', () => {
    const change = scheduled(claude, { risk: 'change' });
    for (const who of ['schedules', `schedule:${id}`, 'token:claude', 'person:anna']) {
      const policy = policyOf({ rules: [{ who, may: 'no' }] });
      expect(judge(policy, change, world()).verdict, who).toBe('refused');
    }
    const gives = policyOf({ rules: [{ who: 'schedules', may: 'yes', risks: ['dangerous'] }] });
    expect(judge(gives, scheduled(claude), world()).verdict).toBe('ask');
    const ofCatalogue = request({ risk: 'dangerous', requestedBy: { kind: 'schedule', name: 'back-up/daily/pve1' } });
    expect(judge(gives, ofCatalogue, world()).verdict).toBe('allowed');
  });
});
