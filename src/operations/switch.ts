import { z } from 'zod';
import { requester } from './run.ts';

/** A host that the kill switch tells, so that its helper refuses changes too. */
export const toldHost = z.object({
  host: z.string(),
  at: z.iso.datetime().optional().describe('Since when its helper refuses changes; absent: not yet'),
  why: z.string().optional().describe('Why it could not be told'),
  tries: z.int().optional().describe('How often that was tried in vain'),
});
export type ToldHost = z.infer<typeof toldHost>;

/** Whether anything may change now, as the kill switch has it. */
export const switchState = z.object({
  on: z.boolean().describe('true: nothing changes anything until an administrator lifts it'),
  number: z.int().describe('Counts how often it was switched on; lifting names the one that it lifts'),
  since: z.iso.datetime().optional().describe('When it became so; absent: nobody has ever switched it on'),
  by: requester.optional(),
  why: z.string().optional(),
  hosts: z
    .array(toldHost)
    .optional()
    .describe(
      'The hosts that are told while it is on, as far as they are known; once it is lifted, those that were told, which stay stopped until an administrator lifts it there too',
    ),
});
export type SwitchState = z.infer<typeof switchState>;

/** Switching it on needs no rights: whoever sees something wrong may stop it. */
export const stopChanges = z.object({ by: requester, why: z.string() });
export type StopChanges = z.infer<typeof stopChanges>;

/** Lifting it is an administrator's, who has proved to be that one to whoever sends this. */
export const allowChanges = z.object({
  number: z.int(),
  by: requester,
  role: z.enum(['observer', 'operator', 'administrator']),
  until: z.iso.datetime().describe('Later it counts for nothing: whoever asked has been told that it failed'),
  why: z.string(),
});
export type AllowChanges = z.infer<typeof allowChanges>;
