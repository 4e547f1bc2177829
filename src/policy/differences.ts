import {
  type Approval,
  approvingRoles,
  type Policy,
  type Rule,
  type SnapshotFirst,
  type Targets,
  type Window,
} from './schema.ts';
import { approvalText, contactText, protectionText, ruleText, snapshotText, targetText, windowText } from './words.ts';

/**
 * What one policy says otherwise than another. `looser`: something is allowed that was not, or easier; `tighter`: only the
 * other way round; `other`: which of both isn't told by looking at it, so that it counts as a loosening.
 */
export interface PolicyDifference {
  readonly effect: 'tighter' | 'looser' | 'other';
  readonly text: string;
}

/** What `file` says otherwise than what was approved, in words. Tightenings count already; everything else waits. */
export function differences(approved: Policy, file: Policy): readonly PolicyDifference[] {
  return [
    ...rules(approved, file),
    ...protection(approved, file),
    ...windows(approved, file),
    ...approvals(approved, file),
    ...snapshots(approved, file),
    ...contacts(approved, file),
    ...dangerous(approved, file),
  ];
}

/** What needs an approval before it counts. */
export function loosenings(found: readonly PolicyDifference[]): readonly PolicyDifference[] {
  return found.filter(({ effect }) => effect !== 'tighter');
}

interface Changes<Entry> {
  readonly added: readonly Entry[];
  readonly removed: readonly Entry[];
}

/** Entries as what they say: their order and place mean nothing. */
function changesOf<Entry extends object>(before: readonly Entry[], after: readonly Entry[]): Changes<Entry> {
  const missingIn = (others: readonly Entry[]) => {
    const left = others.map(keyOf);
    return (entry: Entry) => {
      const at = left.indexOf(keyOf(entry));
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    };
  };
  return { added: after.filter(missingIn(before)), removed: before.filter(missingIn(after)) };
}

/** Without what decides nothing: where it stands, and why. */
function keyOf(entry: object): string {
  const said = Object.entries(entry).filter(([key, value]) => key !== 'at' && key !== 'why' && value !== undefined);
  return JSON.stringify(said.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, inOrder(value)]));
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => JSON.stringify(inOrder(item))).sort();
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, inOrder(item)]);
}

function rules(approved: Policy, file: Policy): PolicyDifference[] {
  const { added, removed } = changesOf<Rule>(approved.rules, file.rules);
  return [
    // What restricts adds to what is asked; what permits replaces the default.
    ...added.map((rule) => said(rule.may === 'yes' ? 'looser' : 'tighter', `New rule: ${ruleText(rule)}`)),
    ...removed.map((rule) => said(rule.may === 'yes' ? 'tighter' : 'looser', `No rule any more: ${ruleText(rule)}`)),
  ];
}

function protection({ protected: before }: Policy, { protected: after }: Policy): PolicyDifference[] {
  const parts = ({ at: _, ...on }: Policy['protected']): Targets[] => [
    ...(on.hosts ?? []).map((host) => ({ hosts: [host] })),
    ...(on.guests ?? []).map((guests) => ({ guests: [guests] })),
    ...(on.tags ?? []).map((tag) => ({ tags: [tag] })),
    ...(on.pools ?? []).map((pool) => ({ pools: [pool] })),
  ];
  if (keyOf(before) === keyOf(after)) return [];
  const { added, removed } = changesOf(parts(before), parts(after));
  const found = [
    ...added.map((on) => said('tighter', `Protected: ${targetText(on)}`)),
    ...removed.map((on) => said('looser', `No longer protected: ${targetText(on)}`)),
  ];
  return found.length > 0 ? found : [said('other', `Protected otherwise: ${protectionText(after) ?? 'nothing'}`)];
}

/** A window restricts where there is none beside it, and gives more time where there is. */
function windows(approved: Policy, file: Policy): PolicyDifference[] {
  const { added, removed } = changesOf<Window>(approved.windows, file.windows);
  const cover = ({ operations, risks, on }: Window) => keyOf({ operations, risks, on });
  const effectOf = (window: Window, others: readonly Window[], alone: 'tighter' | 'looser') => {
    if (others.length === 0) return alone;
    const opposite = alone === 'tighter' ? 'looser' : 'tighter';
    return others.every((other) => cover(other) === cover(window)) ? opposite : 'other';
  };
  // Where one took the place of another nothing is told by looking at each alone.
  const isMoved = added.length > 0 && removed.length > 0;
  if (approved.windows.length === 0) return added.map((window) => said('tighter', `New window: ${windowText(window)}`));
  return [
    ...added.map((window) =>
      said(
        isMoved
          ? 'other'
          : effectOf(
              window,
              file.windows.filter((one) => one !== window),
              'tighter',
            ),
        `New window: ${windowText(window)}`,
      ),
    ),
    ...removed.map((window) =>
      said(isMoved ? 'other' : effectOf(window, file.windows, 'looser'), `No window any more: ${windowText(window)}`),
    ),
  ];
}

function approvals(approved: Policy, file: Policy): PolicyDifference[] {
  const { added, removed } = changesOf<Approval>(approved.approvals, file.approvals);
  const about = ({ operations, risks, on }: Approval) => keyOf({ operations, risks, on });
  const found: PolicyDifference[] = [];
  const gone = [...removed];
  for (const entry of added) {
    const at = gone.findIndex((one) => about(one) === about(entry));
    const [before] = at < 0 ? [] : gone.splice(at, 1);
    if (before === undefined) {
      // The first that says how long there is to answer may say more than the default.
      const isTighter =
        entry.answerWithin === undefined && entry.executeWithin === undefined && entry.remindEvery === undefined;
      found.push(said(isTighter ? 'tighter' : 'other', `New approval: ${approvalText(entry)}`));
    } else
      found.push(said(termsEffect(before, entry), `Approval: ${approvalText(entry)}; it was: ${approvalText(before)}`));
  }
  return [...found, ...gone.map((entry) => said('looser', `No approval any more: ${approvalText(entry)}`))];
}

function termsEffect(before: Approval, after: Approval): PolicyDifference['effect'] {
  const times = ['answerWithin', 'executeWithin', 'remindEvery'] as const;
  const rank = ({ role }: Approval) => (role === undefined ? -1 : approvingRoles.indexOf(role));
  const steps = [
    Math.sign((after.count ?? 1) - (before.count ?? 1)),
    Math.sign(rank(after) - rank(before)),
    Number(after.signed ?? false) - Number(before.signed ?? false),
  ];
  if (steps.some((step) => step < 0)) return 'looser';
  for (const key of times) {
    const [was, is] = [before[key], after[key]];
    if (was === is) continue;
    if (was === undefined || is === undefined) return 'other';
    if (is > was) return 'looser';
  }
  return 'tighter';
}

function snapshots(approved: Policy, file: Policy): PolicyDifference[] {
  const { added, removed } = changesOf<SnapshotFirst>(approved.snapshotFirst, file.snapshotFirst);
  return [
    ...added.map((entry) => said('tighter', snapshotText(entry))),
    ...removed.map((entry) => said('looser', `No longer: ${snapshotText(entry)}`)),
  ];
}

/** Who hears of it decides nothing, but who isn't told can't say no. */
function contacts(approved: Policy, file: Policy): PolicyDifference[] {
  const { added, removed } = changesOf(approved.contacts, file.contacts);
  return [
    ...added.map((contact) => said('other', `New contact: ${contactText(contact)}`)),
    ...removed.map((contact) => said('other', `No contact any more: ${contactText(contact)}`)),
    ...(keyOf(approved.escalation) === keyOf(file.escalation) ? [] : [said('other', 'Other times of the escalation')]),
  ];
}

function dangerous(approved: Policy, file: Policy): PolicyDifference[] {
  if (approved.dangerousCommands === file.dangerousCommands) return [];
  return [
    file.dangerousCommands
      ? said(
          'looser',
          'ENABLE_DANGEROUS_COMMANDS is true: commands and API calls of any kind, and deletions, may be asked for',
        )
      : said('tighter', 'ENABLE_DANGEROUS_COMMANDS is false: they are refused, approved or not'),
  ];
}

function said(effect: PolicyDifference['effect'], text: string): PolicyDifference {
  return { effect, text };
}
