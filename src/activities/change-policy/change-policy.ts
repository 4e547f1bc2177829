import { Context } from '@temporalio/activity';
import type { Config } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { digestOf } from '../../operations/digest.ts';
import { approvedPolicy } from '../../policy/create-judge.ts';
import { differences } from '../../policy/differences.ts';
import { inspectPolicy, policyError, type ReadPolicy } from '../../policy/read-policy.ts';
import { defaultPolicy } from '../../policy/schema.ts';

export const queue = 'ledger';

/** What of the policy's file is approved, and what isn't. */
export interface PolicyLook {
  /** Of the file's content. */
  readonly file: string;
  /** Of what was approved last; `the default` where nothing was. */
  readonly approved: string;
  readonly looser: readonly string[];
  readonly tighter: readonly string[];
}

export type ChangePolicyActivities = ReturnType<typeof createChangePolicyActivities>;

/** The policy in the ledger: what stands there was approved. */
export function createChangePolicyActivities({
  config,
  configFolder,
  ledger,
}: {
  readonly config: Config;
  readonly configFolder: string;
  readonly ledger: Ledger;
}) {
  function approved(before?: number) {
    const [record] = ledger.search({ kind: 'policy', limit: 1, ...(before === undefined ? {} : { before }) }).records;
    return record;
  }

  /** Throws `configuration` with every problem of the file. */
  function file(): ReadPolicy {
    const { read, problems } = inspectPolicy(configFolder, config);
    if (read === undefined) throw policyError(problems);
    return read;
  }

  return {
    /** Changes nothing. Throws `configuration` where the file has problems. */
    async lookAtPolicy(): Promise<PolicyLook> {
      const { policy, document } = file();
      const record = approved();
      const before =
        record === undefined ? defaultPolicy : approvedPolicy(record.data?.document, `the policy of ${record.at}`);
      const found = differences(before, policy);
      const texts = (isTighter: boolean) =>
        found.filter(({ effect }) => (effect === 'tighter') === isTighter).map(({ text }) => text);
      return {
        file: digestOf(document),
        approved: record === undefined ? 'the default' : digestOf(record.data?.document),
        looser: texts(false),
        tighter: texts(true),
      };
    },

    /** Writes the file's policy down as the one that counts, if it still is the one that was approved. */
    async approvePolicy({ digest }: { readonly digest: string }): Promise<void> {
      const { document } = file();
      if (digestOf(document) !== digest) {
        throw new ServiceError({
          code: 'conflict',
          message: 'policy.yaml was changed after it was approved, so nothing of it was taken',
          remedy: 'Look at it, then ask for it anew: npx proxmox-mcp policy apply',
        });
      }
      await write('policy', `The policy ${digest.slice(0, 12)} counts from now on`, { document, digest });
    },

    /** The undo: the policy that counted before counts again, if this run has written another one down and nobody since. */
    async takePolicyBack(): Promise<void> {
      const { workflowExecution } = Context.current().info;
      const newest = approved();
      if (newest === undefined || newest.run !== workflowExecution?.workflowId || newest.data?.isBack === true) return;
      const document = approved(newest.seq)?.data?.document ?? {};
      await write('policy-back', 'The former policy counts again', {
        document,
        digest: digestOf(document),
        isBack: true,
      });
    },
  };

  async function write(key: string, text: string, data: Record<string, unknown>): Promise<void> {
    const { workflowExecution } = Context.current().info;
    await ledger.append([
      {
        key: `${key}/${workflowExecution?.workflowId}/${workflowExecution?.runId}`,
        kind: 'policy',
        ...(workflowExecution && { run: workflowExecution.workflowId, attempt: workflowExecution.runId }),
        operation: 'change-policy',
        target: 'service',
        text,
        data,
      },
    ]);
  }
}
