import { z } from 'zod';

/** How a finished run is taken back: by another run, as long as all is as it left it; or why it can't be. */
export const reversal = z.union([
  z.object({
    operation: z.string().optional().describe('Absent: the same one'),
    input: z.record(z.string(), z.unknown()).describe('Of the run that puts the former state back'),
    expects: z
      .array(z.object({ name: z.string(), value: z.string() }))
      .min(1)
      .describe(
        'As the run left it, in the words of the plan of that run: whatever is otherwise, somebody has changed',
      ),
    asLongAs: z.string().describe('nobody has started or stopped it since'),
    withinMs: z.int().optional().describe('Where it can be taken back only so long, though nobody changes anything'),
    remains: z.string().optional().describe('What that does not bring back, in one sentence'),
  }),
  z.object({ why: z.string().describe('One sentence') }),
]);
export type Reversal = z.infer<typeof reversal>;

/** What a run takes back, which its plan has to find as it was left. */
export const undoes = z.object({
  run: z.string(),
  expects: z.array(z.object({ name: z.string(), value: z.string() })),
  remains: z.string().optional(),
});
export type Undoes = z.infer<typeof undoes>;

/** How long runs, and with them what they recorded, are known. 30 days. */
export const keptMs = 30 * 24 * 3_600_000;
