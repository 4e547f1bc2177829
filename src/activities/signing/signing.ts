import { randomBytes } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import { approvalState } from '../../hosts/commands/approve/plans.ts';
import type { Hosts } from '../../hosts/host.ts';
import { longestPlanMs, planText } from '../../hosts/signed-plan.ts';
import { currentRun } from '../lib/run-job.ts';

export const queue = 'host';

export type SigningActivities = ReturnType<typeof createSigningActivities>;

/** The host's part of an approval that has to be signed: it verifies the signature itself, before it executes anything. */
export function createSigningActivities({ hosts }: { readonly hosts: Hosts }) {
  return {
    /**
     * The text that an approver signs for this host: exactly what it will execute for this run, each once.
     * Throws `configuration` where the host could verify no signature.
     *
     * @param input.withinMs how long it may take until all of it was executed; the host allows seven days
     */
    async prepareSigning(input: {
      readonly host: string;
      readonly digest: string;
      readonly calls: readonly string[];
      readonly withinMs: number;
    }): Promise<string> {
      const state = await hosts.get(input.host).run(approvalState, {});
      if (state.host === undefined || !state.verifies || state.administrators.length === 0) {
        const why = !state.verifies
          ? 'its OpenSSH is older than 8.2'
          : state.host === undefined
            ? 'it has no identity (/etc/machine-id)'
            : 'nobody is on its list of administrators';
        throw new ServiceError({
          code: 'configuration',
          message: `${input.host} can't verify a signature: ${why}`,
          remedy: `Put that right, e.g. npx proxmox-mcp host administrators ${input.host} add KEYFILE --name NAME`,
        });
      }
      return planText({
        host: state.host,
        run: currentRun(),
        digest: input.digest,
        nonce: randomBytes(16).toString('hex'),
        expires: new Date(Date.now() + Math.min(input.withinMs, longestPlanMs - 60_000)).toISOString(),
        calls: input.calls,
      });
    },

    /** Gives the host the signed text, which it verifies. The same again is the same. Throws `not-signed`. */
    async admitPlan(input: {
      readonly host: string;
      readonly text: string;
      readonly signature: string;
    }): Promise<{ readonly signer: string }> {
      return hosts.get(input.host).admit(input.text, input.signature);
    },
  };
}
