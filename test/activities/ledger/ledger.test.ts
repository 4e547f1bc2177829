import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, it } from 'vitest';
import { createLedgerStoreActivities } from '../../../src/activities/ledger/ledger.ts';
import type { Ledger } from '../../../src/ledger/ledger.ts';
import type { NewRecord } from '../../../src/operations/ledger.ts';
import { fill, openForTest, temporaryFolder } from '../../ledger/lib.ts';
import { logger } from '../../support/activity-logger.ts';

const run = 'rotate-ssh-key/pve1/a1';
const digest = 'd'.repeat(64);
const plan = (attempt: string, question = 'q1', of = digest): NewRecord => ({
  key: `plan/${run}/${attempt}/${question}`,
  kind: 'plan',
  run,
  attempt,
  operation: 'rotate-ssh-key',
  target: 'pve1',
  text: 'Would rotate the key of pve1',
  data: { digest: of },
});
const outcome = (attempt: string): NewRecord => ({
  key: `outcome/${run}/${attempt}`,
  kind: 'outcome',
  run,
  attempt,
  text: 'Done',
});

/** Calls an activity as Temporal would for one execution of the run. */
function as(ledger: Ledger, { attempt = 'first', scheduledAt = 1_000, workflowId = run } = {}) {
  const activities = createLedgerStoreActivities({ ledger });
  const environment = () =>
    new MockActivityEnvironment(
      { workflowExecution: { workflowId, runId: attempt }, scheduledTimestampMs: scheduledAt },
      { logger },
    );
  return {
    spend: (question = 'q1', of = digest) =>
      environment().run(() => activities.spend({ question, digest: of })) as Promise<{ seq: number; attempt: string }>,
    beginStep: (step = 'Rotate', count = 1) =>
      environment().run(() => activities.beginStep({ step, count })) as Promise<{ seq: number }>,
  };
}

const spent = (message: RegExp) => ({
  code: 'approval-spent',
  retryable: false,
  message: expect.stringMatching(message),
});

describe('spend', () => {
  it('uses an approval once; the same activity gets the same answer when its first was lost', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first')]);
    const answer = await as(ledger).spend();
    expect(answer).toEqual({ seq: 2, attempt: 'first' });
    expect(await as(ledger).spend()).toEqual(answer);
    expect(ledger.get(2)).toMatchObject({
      key: `spend/${run}/q1`,
      kind: 'spend',
      operation: 'rotate-ssh-key',
      target: 'pve1',
      data: { question: 'q1', digest, plan: 1, scheduledAt: 1_000 },
    });
    await expect(as(ledger, { scheduledAt: 2_000 }).spend()).rejects.toMatchObject(spent(/was used already$/));
    expect(ledger.head()?.seq).toBe(2);
  });

  it('takes none that was given before an older state was restored: it may have been used in what is lost', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first'), plan('first', 'q2')]);
    await as(ledger).spend('q2');
    const restore = { id: 'r', by: 'person:anna', text: 'Restored', data: {}, anchors: [] };
    await ledger.recordRestore({ ...restore, isOlder: true });
    const before = spent(/was given before an older state of this service was restored$/);
    await expect(as(ledger).spend()).rejects.toMatchObject(before);
    // Nor goes on what had been begun with it.
    await expect(as(ledger).spend('q2')).rejects.toMatchObject(before);
    await expect(as(ledger).beginStep()).rejects.toMatchObject(before);
    // A new plan that somebody approves counts as ever.
    await ledger.append([plan('second', 'q3')]);
    const next = as(ledger, { attempt: 'second' });
    await next.spend('q3');
    expect((await next.beginStep()).seq).toBe(ledger.head()?.seq);
  });

  it('takes no other digest, also of the same activity', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first')]);
    await expect(as(ledger).spend('q1', 'e'.repeat(64))).rejects.toMatchObject(spent(/was given for another plan$/));
    await as(ledger).spend();
    await expect(as(ledger).spend('q1', 'e'.repeat(64))).rejects.toMatchObject(spent(/was used already$/));
  });

  it('takes no plan of another execution, before the reset or after it', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first')]);
    const reset = as(ledger, { attempt: 'second', scheduledAt: 5_000 });
    await expect(reset.spend()).rejects.toMatchObject(spent(/was given to another execution of this run/));
    await as(ledger).spend();
    await expect(reset.spend()).rejects.toMatchObject(spent(/was used by another execution of this run/));
    // Publishing the old plan again doesn't help: the question was answered once.
    await ledger.append([plan('second')]);
    await expect(reset.spend()).rejects.toMatchObject(spent(/was used by another execution of this run/));
    // Asking anew does.
    await ledger.append([plan('second', 'q2')]);
    expect(await reset.spend('q2')).toMatchObject({ attempt: 'second' });
  });

  it('takes no plan that nobody published, nor another run’s', async () => {
    const ledger = openForTest();
    await expect(as(ledger).spend()).rejects.toMatchObject(spent(/is for no plan that the ledger knows$/));
    await ledger.append([plan('first')]);
    await expect(as(ledger, { workflowId: 'rotate-ssh-key/pve2/b2' }).spend()).rejects.toMatchObject(
      spent(/is for no plan that the ledger knows$/),
    );
  });

  it('is refused to a run that has ended, though it is the same activity: Temporal was restored', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first')]);
    await as(ledger).spend();
    await as(ledger).beginStep();
    await ledger.append([outcome('first')]);
    await expect(as(ledger).spend()).rejects.toMatchObject(spent(/has ended, and has been restored/));
    await expect(as(ledger).beginStep()).rejects.toMatchObject(spent(/has ended, and has been restored/));
  });

  it('gives one of many at the same time', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first')]);
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, (_, at) => as(ledger, { scheduledAt: 1_000 + at }).spend()),
    );
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('is remembered over a restart and over sealed segments that are away', async () => {
    const folder = temporaryFolder();
    const first = openForTest(folder, { segmentRecords: 20 });
    await first.append([plan('first')]);
    const answer = await as(first).spend();
    await fill(first, 50);
    await fill(first, 1, 100);
    await first.close();
    rmSync(join(folder, '0001.sqlite'));
    const again = openForTest(folder, { segmentRecords: 20 });
    expect(await as(again).spend()).toEqual(answer);
    await expect(as(again, { scheduledAt: 2_000 }).spend()).rejects.toMatchObject(spent(/was used already$/));
  });
});

describe('beginStep', () => {
  it('begins each step of the execution that used the approval once', async () => {
    const ledger = openForTest();
    await ledger.append([plan('first')]);
    await expect(as(ledger).beginStep()).rejects.toMatchObject(spent(/it has none$/));
    await as(ledger).spend();
    const begun = await as(ledger, { scheduledAt: 2_000 }).beginStep();
    expect(await as(ledger, { scheduledAt: 2_000 }).beginStep()).toEqual(begun);
    await expect(as(ledger, { scheduledAt: 3_000 }).beginStep()).rejects.toMatchObject(
      spent(/was used for step "Rotate" already, before this run was restored$/),
    );
    expect(await as(ledger, { scheduledAt: 3_000 }).beginStep('Rotate', 2)).not.toEqual(begun);
    // A reset after the approval: its answer is replayed, and no step of it may begin.
    await expect(as(ledger, { attempt: 'second', scheduledAt: 4_000 }).beginStep('Prove', 3)).rejects.toMatchObject(
      spent(/was used by another execution/),
    );
  });
});

describe('the others', () => {
  const activitiesOf = (ledger: Ledger) => createLedgerStoreActivities({ ledger });
  const answer = <T>(work: () => Promise<T>) => new MockActivityEnvironment({}, { logger }).run(work) as Promise<T>;

  it('record: gives back what is there, and refuses another content under the same key', async () => {
    const { record } = activitiesOf(openForTest());
    expect(await record([plan('first')])).toEqual([{ seq: 1, existing: false }]);
    expect(await record([plan('first'), outcome('first')])).toEqual([
      { seq: 1, existing: true },
      { seq: 2, existing: false },
    ]);
    await expect(record([{ ...plan('first'), text: 'Would do something else' }])).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(plan('first').key),
    });
    await expect(record([{ ...plan('first'), kind: 'gossip' as never }])).rejects.toThrow();
  });

  it('usualSeconds: the median of the last ten that were done', async () => {
    const ledger = openForTest();
    const { usualSeconds } = activitiesOf(ledger);
    const of = { operation: 'back-up', target: 'pve1' };
    expect(await usualSeconds(of)).toBeUndefined();
    let n = 0;
    const took = (seconds: number, how = 'done') => ({
      ...outcome('first'),
      ...of,
      key: `outcome/${n++}`,
      data: { outcome: how, seconds },
    });
    await ledger.append([took(900), took(7, 'failed')]);
    expect(await usualSeconds(of)).toBe(900);
    await ledger.append([took(1, 'planned'), took(100)]);
    expect(await usualSeconds(of)).toBe(500);
    await ledger.append(Array.from({ length: 10 }, (_, at) => took(at + 1)));
    expect(await usualSeconds(of)).toBe(5.5);
    expect(await usualSeconds({ ...of, target: 'pve2' })).toBeUndefined();
  });

  it('answerLedger: answers every question, and pages that are too long for a history in parts', async () => {
    const ledger = openForTest();
    const { answerLedger } = activitiesOf(ledger);
    expect(await answerLedger({ ask: 'head' })).toEqual({});
    await fill(ledger, 3);
    expect(await answerLedger({ ask: 'head' })).toEqual({ head: ledger.head() });
    expect(await answerLedger({ ask: 'get', seq: 2 })).toMatchObject({ record: { seq: 2 } });
    expect(await answerLedger({ ask: 'get', seq: 4 })).toEqual({});
    expect((await answerLedger({ ask: 'search', filter: { limit: 2 } })).records).toHaveLength(2);
    expect(await answer(() => answerLedger({ ask: 'verify', anchors: [] }))).toMatchObject({ verdict: 'intact' });
    await expect(answerLedger({ ask: 'search', filter: { limit: 5_000 } })).rejects.toThrow();
    const big = Array.from({ length: 20 }, (_, at) => ({
      ...plan('first', `big${at}`),
      data: Object.fromEntries(Array.from({ length: 8 }, (__, part) => [`part${part}`, 'x'.repeat(7_000)])),
    }));
    await ledger.append(big);
    const page = await answerLedger({ ask: 'search', filter: { limit: 20 } });
    expect(JSON.stringify(page).length).toBeLessThan(320_000);
    expect(page.records.length).toBeGreaterThan(2);
    const rest = await answerLedger({ ask: 'search', filter: { limit: 20, before: page.before ?? 0 } });
    expect(rest.records[0]?.seq).toBe((page.records.at(-1)?.seq ?? 0) - 1);
  });
});
