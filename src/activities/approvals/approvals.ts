import { createHash, timingSafeEqual } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { Config } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { codeParts } from '../../operations/code.ts';
import type { JudgedRequest, Judgement } from '../../operations/judgement.ts';
import { principalText } from '../../operations/run.ts';
import type { SwitchState } from '../../operations/switch.ts';
import { targetIn, targetLabel } from '../../operations/target.ts';
import { createPeople, peopleFile } from '../../people/store.ts';
import { approvedPolicy, createJudge } from '../../policy/create-judge.ts';
import { inspectPolicy } from '../../policy/read-policy.ts';
import { cleanLine } from '../../reports/clean.ts';

export const queue = 'ledger';

/** What is judged of a bearer token. */
export interface KnownToken {
  readonly name: string;
  readonly scope: 'read' | 'operate' | 'admin';
  readonly createdAt: string;
  readonly expiresAt?: string;
}

/** A one-time code as a run was shown it. */
export interface ShownCode {
  readonly code: string;
  readonly choice: string;
  readonly digest: string;
  readonly question: string;
}

export type ApprovalActivities = ReturnType<typeof createApprovalActivities>;

/** What a run asks before it changes anything: the kill switch, the policy with the people as they are now, and codes. */
export function createApprovalActivities({
  config,
  configFolder,
  ledger,
  changeSwitch,
  tokens,
}: {
  readonly config: Config;
  /** Of `policy.yaml`. */
  readonly configFolder: string;
  readonly ledger: Ledger;
  readonly changeSwitch: () => Promise<SwitchState>;
  /** The bearer tokens that there are now. */
  readonly tokens: () => readonly KnownToken[];
}) {
  const people = createPeople(peopleFile(config.accessDir));
  const tokenOf = (name: string) => tokens().find((one) => one.name === name && !isOver(one));
  const judgeByPolicy = createJudge({
    loadFile: () => inspectPolicy(configFolder, { dangerousCommands: config.dangerousCommands }),
    async loadApproved() {
      const [record] = ledger.search({ kind: 'policy', limit: 1 }).records;
      return record === undefined ? undefined : approvedPolicy(record.data?.document, `the policy of ${record.at}`);
    },
    people: () => people.list(),
    hosts: config.hosts,
    scopeOf: (name) => tokenOf(name)?.scope,
    tokenMadeAt: (name) => tokenOf(name)?.createdAt,
  });

  async function judgeNow(request: JudgedRequest): Promise<Judgement> {
    const state = await changeSwitch();
    if (state.on && request.risk !== 'read') return stopped(state);
    const at = request.at === undefined ? 0 : Date.parse(request.at);
    return judgeByPolicy(request, Math.max(at, Date.now()));
  }

  return {
    /** What {@link judge} would say to a request that nobody has made yet: nothing is written down. */
    preview: judgeNow,

    /**
     * What the kill switch and the policy say, with whoever may approve now. The request is written down with the first
     * answer, once for each execution of a run.
     */
    async judge(request: JudgedRequest): Promise<Judgement> {
      const judged = await judgeNow(request);
      const { run, attempt } = whoAsks();
      const refused = judged.verdict === 'refused';
      const target = targetIn(request.input);
      const label = targetLabel(
        target.vmid !== undefined ? 'guest' : target.host !== undefined ? 'host' : 'service',
        target,
      );
      const undoes = request.undoes === undefined ? '' : `, to undo ${request.undoes}`;
      const what = `${request.operation} on ${label}${undoes}`;
      await ledger.append([
        {
          key: `${refused ? 'refusal' : 'request'}/${run}/${attempt}`,
          kind: refused ? 'refusal' : 'request',
          run,
          attempt,
          operation: request.operation,
          target: label,
          by: principalText(request.requestedBy),
          text: cleanLine(refused ? `Refused: ${what}. ${judged.why}` : `Asked for ${what}: ${judged.verdict}`, 1_000),
          data: {
            risk: request.risk,
            input: request.input,
            for: request.requestedBy.for,
            verdict: judged.verdict,
            ...(request.onBehalfOf && { onBehalfOf: principalText(request.onBehalfOf) }),
          },
        },
      ]);
      return judged;
    },

    /** Whether a change may go on to its next step. Throws `changes-stopped` where the kill switch is on. */
    async goOn(): Promise<void> {
      const state = await changeSwitch();
      if (!state.on) return;
      const { why, remedy } = stopped(state);
      throw new ServiceError({ code: 'changes-stopped', message: why.replace(/\.$/, ''), remedy });
    },

    /**
     * Whose answer a one-time code makes this; undefined: it is wrong, was shown before, or was made for another choice,
     * plan or run. However that is, it counts for nothing from now on: it stands in the run's history.
     */
    async redeemCode({ code, choice, digest, question }: ShownCode): Promise<string | undefined> {
      const { run, attempt } = whoAsks();
      const scheduledAt = Context.current().info.scheduledTimestampMs;
      const { id, secret } = codeParts(code);
      return ledger.transact((transaction) => {
        const key = `code-shown/${run}/${id}`;
        const before = transaction.byKey(key);
        if (before !== undefined) {
          // The same activity, tried once more because its answer was lost.
          const isSame = before.data?.scheduledAt === scheduledAt && before.attempt === attempt;
          return isSame && typeof before.data?.for === 'string' ? before.data.for : undefined;
        }
        const made = transaction.byKey(`code/${run}/${id}`);
        const isRight =
          made !== undefined &&
          // It may have been shown in what a restore has lost.
          made.seq > transaction.restoredAt() &&
          isSameHash(String(made.data?.hash), secret) &&
          made.data?.choice === choice &&
          made.data?.digest === digest &&
          Date.parse(String(made.data?.until)) > Date.now();
        const whose = isRight ? String(made.data?.for) : undefined;
        transaction.append({
          key,
          kind: 'code',
          run,
          attempt,
          ...(made?.operation === undefined ? {} : { operation: made.operation }),
          ...(made?.target === undefined ? {} : { target: made.target }),
          text: isRight ? `The one-time code of ${whose} was shown: ${choice}` : 'A wrong one-time code was shown',
          data: { question, choice, scheduledAt, ...(whose === undefined ? {} : { for: whose }) },
        });
        return whose;
      });
    },
  };
}

function isOver({ expiresAt }: KnownToken): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= Date.now();
}

function stopped({ since, by, why }: SwitchState): Extract<Judgement, { verdict: 'refused' }> {
  const who = by === undefined ? 'Somebody' : by.name;
  return {
    verdict: 'refused',
    why: `Nothing is changed now: ${who} has stopped all changes${since ? ` at ${since}` : ''}${why ? ` (${cleanLine(why, 200)})` : ''}.`,
    remedy: 'An administrator allows them again: npx proxmox-mcp changes allow',
  };
}

function isSameHash(hash: string, secret: string): boolean {
  const [known, shown] = [Buffer.from(hash, 'hex'), createHash('sha256').update(secret).digest()];
  return known.length === shown.length && timingSafeEqual(known, shown);
}

function whoAsks(): { readonly run: string; readonly attempt: string } {
  const { workflowExecution } = Context.current().info;
  if (workflowExecution !== undefined) {
    return { run: workflowExecution.workflowId, attempt: workflowExecution.runId };
  }
  throw new ServiceError({
    code: 'internal',
    message: 'Asked outside of a run',
    remedy: 'Report it: this is a defect.',
  });
}
