import { z } from 'zod';
import { withoutDigest } from './api-change.ts';
import { defineOperation, type EachGuest, type Risk } from './definition.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import type { GuestPlace } from './target.ts';

interface BulkChange {
  readonly operation: string;
  /** Beside what is given `with` it. */
  readonly input?: Readonly<Record<string, unknown>>;
  readonly risk: Risk;
  /** A node does one at a time. */
  readonly onePerNode?: true;
}

/** What can be done to many guests: the operation for each, and its risk, which a test holds to the catalogue. */
export const bulkChanges = {
  start: { operation: 'control-guest', input: { action: 'start' }, risk: 'change' },
  shutdown: { operation: 'control-guest', input: { action: 'shutdown' }, risk: 'change' },
  reboot: { operation: 'control-guest', input: { action: 'reboot' }, risk: 'change' },
  stop: { operation: 'control-guest', input: { action: 'stop' }, risk: 'dangerous' },
  snapshot: { operation: 'snapshot-guest', risk: 'change' },
  'delete-snapshot': { operation: 'delete-snapshot', risk: 'dangerous' },
  'roll-back': { operation: 'roll-back-guest', risk: 'dangerous' },
  suspend: { operation: 'suspend-guest', risk: 'change' },
  resume: { operation: 'resume-guest', risk: 'change' },
  label: { operation: 'label-guest', risk: 'change' },
  configure: { operation: 'configure-guest', risk: 'change' },
  migrate: { operation: 'migrate-guest', risk: 'change' },
  'back-up': { operation: 'back-up-guest', risk: 'change', onePerNode: true },
  delete: { operation: 'delete-guest', risk: 'dangerous' },
} as const satisfies Readonly<Record<string, BulkChange>>;

export type BulkName = keyof typeof bulkChanges;

/** What puts back what was done to many. */
const opposites: { readonly [Name in BulkName]?: BulkName } = {
  start: 'shutdown',
  shutdown: 'start',
  stop: 'start',
  snapshot: 'delete-snapshot',
  suspend: 'resume',
  resume: 'suspend',
};
/** What nothing puts back. */
const final: readonly BulkName[] = ['back-up', 'reboot', 'delete-snapshot', 'roll-back', 'delete'];
const names = Object.keys(bulkChanges) as [BulkName, ...BulkName[]];

/** What a bulk form does to each of its guests. */
export function eachOf({ change, with: given }: { readonly change: BulkName; readonly with?: object }): EachGuest {
  const { operation, input }: BulkChange = bulkChanges[change];
  return { operation, input: { ...given, ...input } };
}

/** Whether it is done to one guest of a node after the other. */
export function isOnePerNode(change: BulkName): boolean {
  const { onePerNode }: BulkChange = bulkChanges[change];
  return onePerNode === true;
}

const result = () => z.object({ vmid: z.int(), name: z.string(), why: z.string() });

/** One change of many guests, each by itself: what is refused or fails of one leaves the others as they are. */
export const changeGuests = defineOperation({
  name: 'change-guests',
  title: 'Change guests',
  summary: 'Do the same to many VMs and containers, chosen by tag, pool, name, node or number.',
  description:
    'Bulk: start, shutdown, reboot, stop, snapshot, back up, label, configure, migrate, delete … many guests (VMs, containers) at once, chosen by tag, pool, name pattern, node, kind, state or numbers; all that is given has to hold. One plan for all, several at a time, a result for each; what fails of one is undone there and reported, and the others go on. Before an upgrade: change snapshot, with { "snapshot": "before-upgrade" }, tag web. A backup of all guests: change back-up, name *.',
  guide: 'qm and pct in a loop',
  target: 'guests',
  needs: 'api',
  risk: {
    by: 'change',
    of: Object.fromEntries(Object.entries(bulkChanges).map(([name, { risk }]) => [name, risk])),
  },
  needsDangerousCommands: { by: 'change', of: ['delete'] },
  exposure: 'search',
  idempotent: false,
  each: (input) => eachOf(input as Parameters<typeof eachOf>[0]),
  input: () =>
    z
      .object({
        host: hostOfCluster(),
        change: z.enum(names).describe('What is done to each'),
        with: z
          .record(z.string(), z.unknown())
          .default({})
          .describe('The change\'s own fields, but host and vmid, e.g. { "snapshot": "before-upgrade" }'),
        tag: word().optional().describe('Guests that have this tag'),
        pool: z
          .string()
          .regex(/^[A-Za-z0-9._/-]{1,100}$/, 'expected the name of a pool')
          .optional()
          .describe('Guests of this pool'),
        name: z.string().min(1).max(100).optional().describe('Guests of this name; * stands for anything: web-*'),
        node: word().optional().describe('Guests that are on this node'),
        kind: z.enum(['vm', 'container']).optional(),
        state: z.enum(['running', 'stopped']).optional(),
        vmids: z.array(vmid()).min(1).max(1_000).optional().describe('Guests of these numbers'),
        atOnce: z.int().min(1).max(32).default(8).describe('How many are worked on at the same time'),
        mostFailures: z
          .int()
          .min(1)
          .max(1_000)
          .optional()
          .describe('After so many failures no further guest is begun. Default: 5; of back-up there is no limit'),
        dryRun: dryRun(),
      })
      .refine(
        ({ tag, pool, name, node, vmids }) => [tag, pool, name, node, vmids].some((given) => given !== undefined),
        {
          path: ['tag'],
          message: 'expected at least one of tag, pool, name, node and vmids: name "*" means all guests',
        },
      ),
  output: () =>
    z.object({
      change: z.enum(names),
      guests: z.int().describe('How many were selected'),
      done: z.array(z.int()).describe('In a plan: those that would be changed'),
      already: z.array(z.int()).describe('Where it was so already'),
      failed: z.array(result()).describe('What failed, and was undone there'),
      left: z.array(result()).describe('What failed, and could not be undone'),
      notBegun: z.array(z.int()).describe('After too many failures, or when it was cancelled'),
      noted: z.array(result()).optional().describe('Done, but not all is as it should be'),
    }),
  steps: ['Look', 'Carry out'],
  schedules: [],
  undo: {
    how: 'Each guest by itself: what was done to it is taken back as its own operation takes it back.',
    reverse({ change }) {
      if (final.includes(change)) return { why: `What ${change} has done can't be taken back.` };
      const opposite = opposites[change];
      return {
        why:
          opposite === undefined
            ? 'It was done to many guests: take it back for those that you mean, by the operation that undoes it.'
            : `It was done to many guests: for all that its output has as done, change-guests with change ${opposite} and their vmids takes it back.`,
      };
    },
  },
});

/** A call, or what is said of it, without what differs from guest to guest. */
export function callPattern(call: string, { node, type, vmid, name }: GuestPlace): string {
  return withoutDigest(call)
    .replace(`/nodes/${node}/vzdump vmid=${vmid} `, '/nodes/*/vzdump vmid=* ')
    .replaceAll(`/nodes/${node}/${type}/${vmid}`, `/nodes/*/${type}/*`)
    .replaceAll(` ${vmid}${name === String(vmid) ? '' : ` (${name})`} on ${node}`, ' on its node');
}

/** `100–103, 110`: numbers in order, those that follow each other together. */
export function ranges(vmids: readonly number[]): string {
  const sorted = [...vmids].sort((a, b) => a - b);
  const parts: [number, number][] = [];
  for (const vmid of sorted) {
    const last = parts.at(-1);
    if (last !== undefined && vmid === last[1] + 1) last[1] = vmid;
    else parts.push([vmid, vmid]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}

function word() {
  return z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_+.-]{0,62}$/, 'expected letters, digits, _, +, - and .');
}
