import { Context } from '@temporalio/activity';
import type { ApprovalActivities } from '../../src/activities/approvals/approvals.ts';
import type { LedgerActivities } from '../../src/activities/ledger/ledger.ts';
import { ServiceError } from '../../src/errors.ts';
import type { JudgedRequest, Judgement } from '../../src/operations/judgement.ts';
import type { NewRecord } from '../../src/operations/ledger.ts';

/** What a test says and sees of policy and ledger: in memory, and without a file. */
export interface TestLedger {
  readonly records: NewRecord[];
  readonly judged: JudgedRequest[];
  /** Default: all is allowed. */
  judge: (request: JudgedRequest) => Judgement;
  /** Codes that count once, by their text. */
  readonly codes: Map<string, { by: string; choice: string; digest: string }>;
  usualSeconds: number | undefined;
}

/** The activities of the ledger's queue as they are meant to behave, for tests of what calls them. */
export function testLedger(): {
  readonly ledger: TestLedger;
  readonly activities: LedgerActivities & ApprovalActivities;
} {
  const keys = new Map<string, { at: number; attempt: string }>();
  const ledger: TestLedger = {
    records: [],
    judged: [],
    judge: () => ({ verdict: 'allowed' }),
    codes: new Map(),
    usualSeconds: undefined,
  };
  function once(key: string): string {
    const { info } = Context.current();
    const attempt = info.workflowExecution?.runId ?? '';
    const at = info.scheduledTimestampMs;
    const before = keys.get(key);
    if (before !== undefined && (before.at !== at || before.attempt !== attempt)) throw spent();
    keys.set(key, { at, attempt });
    return attempt;
  }
  const activities: LedgerActivities & ApprovalActivities = {
    async record(records) {
      return records.map((record) => {
        const existing = ledger.records.some(({ key }) => key === record.key);
        if (!existing) ledger.records.push(record);
        return { seq: ledger.records.length, existing };
      });
    },
    async judge(request) {
      ledger.judged.push(request);
      return ledger.judge(request);
    },
    async spend({ question, digest }) {
      const { workflowId, runId } = Context.current().info.workflowExecution ?? {};
      const key = `plan/${workflowId}/${runId}/${question}`;
      const published = ledger.records.find((record) => record.key === key);
      if (published?.data?.digest !== digest) throw spent();
      return { seq: 1, attempt: once(`spend/${workflowId}/${question}`) };
    },
    async beginStep({ step, count }) {
      const { workflowId, runId } = Context.current().info.workflowExecution ?? {};
      once(`step/${workflowId}/${runId}/${step}/${count}`);
    },
    async usualSeconds() {
      return ledger.usualSeconds;
    },
    async redeemCode({ code, choice, digest }) {
      const found = ledger.codes.get(code);
      ledger.codes.delete(code);
      return found?.choice === choice && found.digest === digest ? found.by : undefined;
    },
  };
  return { ledger, activities };
}

function spent(): ServiceError {
  return new ServiceError({ code: 'approval-spent', message: 'The approval was used already', remedy: 'Ask again.' });
}
