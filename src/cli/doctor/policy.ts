import type { LoadedConfig } from '../../config/load.ts';
import { policyWarnings } from '../../policy/check.ts';
import { differences, loosenings } from '../../policy/differences.ts';
import { type InspectedPolicy, policyFile } from '../../policy/read-policy.ts';
import { defaultPolicy, type Policy } from '../../policy/schema.ts';
import { type Approved, inspectFile, policyWorld, readApproved } from '../approved-policy.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';

/** The file of the policy, what it names, and whether all that it says counts. */
export function policyChecks(loaded: LoadedConfig): Check[] {
  const file = inspectFile(loaded);
  const { read, problems, warnings } = file;
  const tried = `read ${policyFile} in ${loaded.folder}`;
  if (read === undefined) {
    return problems.map(({ check, summary, remedy }) => ({
      check,
      tried,
      run: () => failed(`${summary} Nothing changes until it is corrected`, remedy),
    }));
  }
  const policy = read.policy;
  return [
    { check: 'Policy', tried: `${tried}, and look for what it names`, run: () => fileResult(file, policy, loaded) },
    ...warnings.map(({ check, summary, remedy }) => ({ check, tried, run: () => warning(summary, remedy) })),
    {
      check: 'Approved policy',
      tried: `compare ${policyFile} with what was approved`,
      run: async () => approvedResult(policy, await readApproved(loaded.config)),
    },
  ];
}

function fileResult({ exists }: InspectedPolicy, policy: Policy, { config }: LoadedConfig): Result {
  const [first, ...others] = policyWarnings(policy, policyWorld(config));
  if (first !== undefined) {
    const more = others.length === 0 ? '' : ` And ${others.length} more: npx proxmox-mcp policy check`;
    return warning(`${first.check}: ${first.summary}${more}`, first.remedy);
  }
  return ok(exists ? `${policyFile} is valid` : `there is no ${policyFile}, so that the default holds`);
}

/** @internal */
export function approvedResult(policy: Policy, approved: Approved): Result {
  if (!approved.isKnown) return skipped(`what was approved isn't known: ${approved.why}`);
  const waiting = loosenings(differences(approved.policy ?? defaultPolicy, policy));
  const [first, ...others] = waiting;
  if (first === undefined) return ok(approved.at === undefined ? 'nothing waits' : `approved on ${approved.at}`);
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return warning(
    `a change of the policy waits for an approval and has no effect before: ${first.text}${more}`,
    'Have it approved with `npx proxmox-mcp policy apply`, or take it back.',
  );
}
