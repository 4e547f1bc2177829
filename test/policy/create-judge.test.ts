import { expect, it } from 'vitest';
import { approvedPolicy, createJudge, zoneOf } from '../../src/policy/create-judge.ts';
import { parsePolicy } from '../../src/policy/read-policy.ts';
import type { Policy } from '../../src/policy/schema.ts';
import { anna, policyOf, request } from './support.ts';

const hosts = [
  { name: 'pve1', timeZone: 'Europe/Vienna' },
  { name: 'pve2', timeZone: 'Asia/Tokyo' },
];

function judgeOf(file: string, approved?: Policy) {
  return createJudge({
    loadFile: () => ({ exists: true, warnings: [], ...parsePolicy(file, { dangerousCommands: false }) }),
    loadApproved: async () => approved,
    people: () => [anna],
    hosts,
  });
}

const change = request({ operation: 'control-service', input: { host: 'pve1' } });
const dangerous = request({ ...change, risk: 'dangerous' });

it('counts a tightening in the file at once, and a loosening only when it was approved', async () => {
  const forbids = 'rules: [{ who: agents, may: no }]';
  const frees = 'rules: [{ who: agents, may: yes, risks: [change, dangerous] }]';
  const free = policyOf({ rules: [{ who: 'agents', may: 'yes', risks: ['change', 'dangerous'] }] });
  expect(await judgeOf(forbids)(change)).toMatchObject({ verdict: 'refused' });
  expect(await judgeOf(frees)(dangerous)).toMatchObject({ verdict: 'ask' });
  expect(await judgeOf(frees, free)(dangerous)).toMatchObject({ verdict: 'allowed' });
  // What was approved strictly isn't lifted by taking the file away.
  expect(await judgeOf('', policyOf({ rules: [{ who: 'agents', may: 'no' }] }))(change)).toMatchObject({
    verdict: 'refused',
  });
});

it('lets nothing change while the file has a problem, and looks go on', async () => {
  const judged = judgeOf('rules: 7');
  expect(await judged(change)).toMatchObject({
    verdict: 'refused',
    why: expect.stringContaining('rules (policy.yaml:1): expected a list of rules'),
  });
  expect(await judged({ ...change, risk: 'read' })).toEqual({ verdict: 'allowed' });
});

it('judges nothing while it isn’t known what was approved', async () => {
  const judged = createJudge({
    loadFile: () => ({ exists: false, problems: [], warnings: [] }),
    loadApproved: () => Promise.reject(new Error('the ledger is locked')),
    people: () => [anna],
    hosts,
  });
  await expect(judged(change)).rejects.toThrow('the ledger is locked');
  expect(() => approvedPolicy({ unheardOf: true }, 'the policy approved today')).toThrow(/nothing changes without it/);
});

it('takes the time that it is to be done at, in the zone of its host', async () => {
  const judged = judgeOf('windows: [{ from: 22:00, to: 23:00 }]');
  const at = (iso: string, host: string) => judged(request({ ...change, input: { host } }), Date.parse(iso));
  expect(await at('2026-11-26T21:30:00Z', 'pve1')).toMatchObject({ verdict: 'allowed' });
  expect(await at('2026-11-26T21:30:00Z', 'pve2')).toMatchObject({ opensAt: '2026-11-27T13:00:00.000Z' });
  expect([zoneOf(hosts, 'pve2'), zoneOf(hosts, undefined), zoneOf(hosts.slice(0, 1), undefined)]).toEqual([
    'Asia/Tokyo',
    'UTC',
    'Europe/Vienna',
  ]);
});
