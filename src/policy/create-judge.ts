import { ServiceError } from '../errors.ts';
import type { JudgedRequest, Judgement } from '../operations/judgement.ts';
import { type JudgeContext, judgeBoth } from './judge.ts';
import type { InspectedPolicy } from './read-policy.ts';
import { type Policy, placed, policySchema } from './schema.ts';
import type { KnownPerson } from './who.ts';

/** Where a judge finds what it has to know. Everything is asked for anew with each request. */
export interface JudgeDependencies {
  /** What stands in `policy.yaml` now. */
  readonly loadFile: () => InspectedPolicy;
  /** What was approved last; undefined where nothing was. Throws where that can't be known: then nothing is judged. */
  readonly loadApproved: () => Promise<Policy | undefined>;
  readonly people: () => readonly KnownPerson[] | Promise<readonly KnownPerson[]>;
  readonly hosts: readonly { readonly name: string; readonly timeZone: string }[];
  readonly scopeOf?: JudgeContext['scopeOf'];
  readonly tokenMadeAt?: JudgeContext['tokenMadeAt'];
  readonly operations?: JudgeContext['operations'];
}

/**
 * Judges requests by what was approved and what stands in the file, whichever is stricter. A file with a problem lets
 * nothing change: what it was to forbid isn't known.
 *
 * @returns `at`: judges what is to be done at another time, as change windows and schedules need; ms
 */
export function createJudge(from: JudgeDependencies): (request: JudgedRequest, at?: number) => Promise<Judgement> {
  return async (request, at = Date.now()) => {
    if (request.risk === 'read') return { verdict: 'allowed' };
    const { read, problems } = from.loadFile();
    const [problem] = problems;
    if (problem !== undefined && request.input.dryRun !== true) {
      return {
        verdict: 'refused',
        why: `policy.yaml has a problem, so that nobody knows what it forbids: ${problem.check}: ${problem.summary}`,
        remedy: 'Correct it, then run: npx proxmox-mcp policy check',
      };
    }
    const [approved, people] = await Promise.all([from.loadApproved(), from.people()]);
    return judgeBoth(approved, read?.policy, request, {
      people,
      now: at,
      hosts: from.hosts.map(({ name }) => name),
      timeZoneOf: (host) => zoneOf(from.hosts, host),
      ...(from.scopeOf && { scopeOf: from.scopeOf }),
      ...(from.tokenMadeAt && { tokenMadeAt: from.tokenMadeAt }),
      ...(from.operations && { operations: from.operations }),
    });
  };
}

/** A host's zone; of what has no host, the one that all share, else UTC. */
export function zoneOf(hosts: JudgeDependencies['hosts'], host: string | undefined): string {
  const named = hosts.filter(({ name }) => name === host);
  const [zone, ...others] = new Set((named.length > 0 ? named : hosts).map(({ timeZone }) => timeZone));
  return zone === undefined || others.length > 0 ? 'UTC' : zone;
}

/**
 * The policy of a record of the ledger, which holds the document as it was written.
 *
 * @param at what to say where its entries stand: `the policy approved on 2026-11-26`
 * @throws ServiceError `unreadable`: a later version has written it
 */
export function approvedPolicy(document: unknown, at: string): Policy {
  const { success, data, error } = policySchema.safeParse(document);
  if (success)
    return placed(data, ([key, index]) => (index === undefined ? at : `${at}, ${key}[${Number(index) + 1}]`));
  const [issue] = error.issues;
  throw new ServiceError({
    code: 'unreadable',
    message: `${at} can't be read by this version (${issue?.path.join('.')}: expected ${issue?.message}), and nothing changes without it`,
    remedy: 'Run the version of the service that has written it, or a newer one.',
  });
}
