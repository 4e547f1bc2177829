import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { dryRun } from './inputs.ts';

/** Makes what stands in `policy.yaml` count: a loosening needs that. */
export const changePolicy = defineOperation({
  name: 'change-policy',
  title: 'Change policy',
  summary: 'Have what stands in policy.yaml approved, so that all of it counts.',
  description:
    'Policy (rules, who may do what, protected guests and hosts, change windows, approvals, contacts, escalation) of policy.yaml: have its loosenings approved by an administrator, so that they count. A tightening counts at once and needs none of this. The file is written by a person; this only asks for it, and shows in words what would be looser. Use dryRun to see the differences.',
  guide: 'Escalation Matrix',
  target: 'service',
  needs: 'either',
  risk: 'dangerous',
  alwaysAsks: true,
  subject: 'security',
  exposure: 'search',
  idempotent: true,
  input: () => z.object({ dryRun: dryRun() }),
  output: () =>
    z.object({
      looser: z.array(z.string()).describe('What it lets through that was not let through before'),
      tighter: z.array(z.string()),
    }),
  steps: ['Look', 'Write down', 'Read back'],
  schedules: [],
  undo: {
    how: 'By hand: policy.yaml is written by a person. What is stricter in the former file counts at once when it is written back.',
    reverse: () => ({
      why: 'policy.yaml is written by a person: write the former file back, and what is stricter in it counts at once.',
    }),
  },
});
