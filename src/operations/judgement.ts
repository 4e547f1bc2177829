import { z } from 'zod';
import { requester } from './run.ts';

/** A guest as its cluster has it now. */
const judgedGuest = z.object({
  vmid: z.int(),
  tags: z.array(z.string()),
  pool: z.string().optional(),
  host: z.string().optional().describe('The configured host that it is on; absent where that is none'),
});
export type JudgedGuest = z.infer<typeof judgedGuest>;

/** What is to be judged: one request, before it changes anything. */
export const judgedRequest = z.object({
  operation: z.string(),
  risk: z.enum(['read', 'change', 'dangerous']),
  input: z.record(z.string(), z.unknown()),
  requestedBy: requester,
  guest: judgedGuest.optional().describe('Where the target is a guest: as its cluster says now'),
  each: z
    .object({
      operation: z.string(),
      input: z.record(z.string(), z.unknown()),
      guests: z.array(judgedGuest),
    })
    .optional()
    .describe('Of a bulk form: what it does to each guest, which is judged like one request for each'),
  onBehalfOf: requester
    .optional()
    .describe('Where a run asks for another one: who asked for the first of them. Absent: judged as anybody'),
  undoes: z.string().optional().describe('The run that it takes back'),
  at: z.iso
    .datetime()
    .optional()
    .describe('When it is to be done, where that is later than now: windows are judged then'),
});
export type JudgedRequest = z.infer<typeof judgedRequest>;

/** How an approval has to be given. */
export const approvalTerms = z.object({
  count: z.int().min(1).describe('How many different approvers have to say yes; one no is a no'),
  approvers: z.array(z.string()).describe('Names of the people who may, now; who asked is not among them'),
  answerWithinMs: z.int().describe('Without an answer by then it is a no'),
  executeWithinMs: z.int().describe('After the last answer; later the approval counts for nothing'),
  remindEveryMs: z.int().describe('Who has not answered is reminded, and then the next level is told'),
  role: z.enum(['operator', 'administrator']).optional().describe('The least role of who approves'),
  signed: z.boolean().describe('Each yes has to be signed with the SSH key of the approver, and the host verifies it'),
});
export type ApprovalTerms = z.infer<typeof approvalTerms>;

/** One thing that a policy has to say to a request. */
export const ground = z.object({
  says: z.enum(['allowed', 'ask', 'refused']),
  why: z.string(),
  from: z.string().describe('Where it stands: policy.yaml:12, or the default'),
});
export type Ground = z.infer<typeof ground>;

const snapshotFirst = z
  .string()
  .optional()
  .describe('Where a snapshot of the guest is to be taken first: which entry wants it, and why');

const grounds = z.array(ground).optional().describe('All that was looked at, the strictest first');

/** What the policy says to a request. */
export const judgement = z.discriminatedUnion('verdict', [
  z.object({ verdict: z.literal('allowed'), snapshotFirst, grounds }),
  z.object({ verdict: z.literal('ask'), terms: approvalTerms, why: z.string(), snapshotFirst, grounds }),
  z.object({
    verdict: z.literal('refused'),
    why: z.string(),
    remedy: z.string(),
    opensAt: z.iso.datetime().optional().describe('Outside of a change window: when the next one opens'),
    grounds,
  }),
]);
export type Judgement = z.infer<typeof judgement>;
