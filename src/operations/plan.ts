import { z } from 'zod';

/** One step of a plan: its name in the checklist, and the exact commands and API calls that it makes. */
export const plannedStep = z.object({
  title: z.string(),
  does: z.array(z.string()).describe('Commands as the host gets them, API calls as METHOD /path with their parameters'),
});

/**
 * What a run would do, computed without doing it. `digest` is over what it does (operation, target, input, steps),
 * `fingerprint` over the live state that it rests on: an approval is for both.
 */
export const plan = z.object({
  summary: z.string().describe('What it would do, in one sentence'),
  steps: z.array(plannedStep),
  state: z
    .array(z.object({ name: z.string(), value: z.string() }))
    .describe('The live state that it rests on: when it has changed, an approval is void'),
  affected: z
    .array(z.string())
    .describe('Who and what feels it: guests that stop, services that blink, data that goes'),
  risks: z.array(z.string()).describe('What can go wrong'),
  undo: z.array(z.string()).describe('How it is taken back, and what can not be'),
  hostCalls: z
    .array(z.object({ host: z.string(), calls: z.array(z.string()) }))
    .optional()
    .describe('What each host executes as root, in its order: what is signed where the policy wants that'),
  usualSeconds: z.number().optional().describe('How long it took lately; absent where it has not run yet'),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Plan = z.infer<typeof plan>;

/** What an operation says of its own plan; the rest is added for all alike. */
export type PlanDraft = Omit<Plan, 'usualSeconds' | 'digest' | 'fingerprint'>;
