import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { createNotifyActivities } from '../../src/activities/notify/notify.ts';
import type { Config } from '../../src/config.ts';
import { createMailer } from '../../src/mail/mailer.ts';
import type { ApprovalTerms } from '../../src/operations/judgement.ts';
import type { Progress, RunResult } from '../../src/operations/run.ts';
import { decideUpdate, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { startWebhook, type TestWebhook } from '../activities/notify/webhook-server.ts';
import { startSmtp, type TestSmtp } from '../mail/smtp.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { FixtureActivities } from './fixtures/workflows.ts';

const temporal = useTemporal();
let smtp: TestSmtp;
let hook: TestWebhook;
let slack: TestWebhook | undefined;
let did: string[] = [];
let refusesPages = false;
/** A mail server that takes for ever. */
let isSilent = false;

const notify = (): ReturnType<typeof createNotifyActivities> => {
  const config = {
    hosts: [],
    mcp: { publicUrl: 'https://mcp.example.org' },
    temporal: { namespace: 'default', uiUrl: 'https://temporal.example.org' },
    webhooks: { onCall: hook.url, ...(slack && { slack: slack.url }) },
  } as unknown as Config;
  const mailer = createMailer({
    host: '127.0.0.1',
    port: smtp.port,
    security: 'none',
    from: 'service@example.org',
    to: ['root@example.org'],
  });
  return createNotifyActivities({ mailer, config });
};

beforeAll(async () => {
  const activities: FixtureActivities = {
    async act({ step }) {
      did.push(step);
    },
    undo: async () => {},
    look: async () => 'as it was',
  };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, 'fixtures/workflows.ts')),
    activities: {
      ...activities,
      ...createLockActivities({ client: temporal.client }),
      mailReport: (...input: Parameters<ReturnType<typeof notify>['mailReport']>) => notify().mailReport(...input),
      page: (...input: Parameters<ReturnType<typeof notify>['page']>) => notify().page(...input),
    },
    interceptors: { activity: [failureInterceptor((text) => text, { error: () => {} })] },
  });
}, 600_000);

beforeEach(async () => {
  did = [];
  refusesPages = false;
  isSilent = false;
  smtp = await startSmtp({ onConnect: (_session, callback) => (isSilent ? undefined : callback()) });
  hook = await startWebhook((response) => response.writeHead(refusesPages ? 403 : 200).end());
  temporal.ledger.contacts = { contacts: [], escalation: {} };
});
afterEach(async () => {
  await smtp.stop();
  await hook.stop();
  await slack?.stop();
  slack = undefined;
});

const terms: ApprovalTerms = {
  count: 1,
  approvers: ['anna'],
  answerWithinMs: 60_000,
  executeWithinMs: 60_000,
  remindEveryMs: 3_600_000,
  signed: false,
};

/** Level 1, level 2 after 3 s, all after 3 s more, and again. */
const escalation = { level2: 3_000, all: 3_000, repeat: 3_000 };
const contacts = [
  { name: 'Anna', mail: ['anna@example.org'], level: 1 },
  { name: 'Bert', mail: ['bert@example.org'], level: 2, webhook: 'ONCALL_WEBHOOK_URL' },
  // Not for operations, so last.
  { name: 'Security', mail: ['security@example.org'], level: 1, subjects: ['security'] },
] as const;

let counter = 0;
function start(type: 'dangerousFixture' | 'askFixture', asked: Partial<ApprovalTerms> = {}) {
  temporal.ledger.judge = () =>
    type === 'askFixture'
      ? { verdict: 'allowed' }
      : { verdict: 'ask', terms: { ...terms, ...asked }, why: 'It is dangerous.' };
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<{ choice?: string }>>>(type, {
    workflowId: `escalation/pve1/${counter++}`,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1' }, requestedBy: { kind: 'mcp', name: 'claude', for: 'bert' } }],
  });
}

const subjects = () => smtp.mails.map(({ headers }) => headers.get('subject') ?? '');
const told = () => smtp.mails.map(({ to }) => to.map((address) => address.split('@')[0]).join());
const mailsCome = (count: number) => vi.waitFor(() => expect(smtp.mails.length).toBeGreaterThanOrEqual(count), 20_000);

describe('an approval that nobody gives', () => {
  it('is reminded of, escalated to the next level, then to all, again and again, and is a no in the end', async () => {
    temporal.ledger.contacts = { contacts: contacts as never, escalation };
    const handle = await start('dangerousFixture', { answerWithinMs: 14_000 });
    const failure = await handle.result().catch((error: unknown) => error);
    if (!(failure instanceof WorkflowFailedError)) throw new Error('it should have failed');
    expect(failure.cause?.message).toBe('Nobody of anna has approved it in time, which is a no. Nothing was changed.');
    expect(did).toEqual([]);

    expect(told().slice(0, 4)).toEqual(['anna', 'anna,bert', 'anna,bert,security', 'anna,bert,security']);
    expect(subjects()[0]).toMatch(/^\[pve1\] Dangerous fixture pve1 needs an approval: It is to do its steps/);
    expect(subjects()[1]).toMatch(/^\[pve1\] Reminder \(level 2\): Dangerous fixture pve1 needs an approval/);
    expect(subjects()[2]).toMatch(/^\[pve1\] Reminder \(all contacts\): Dangerous fixture/);
    const until = /Without an answer by \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC it is a no\./;
    for (const { text } of smtp.mails) {
      expect(text.replace(/\s+/g, ' ')).toMatch(until);
      expect(text).toContain('act First');
      expect(text.replace(/\s+/g, ' ')).toContain('It needs the yes of anna.');
      expect(text).toContain(`npx proxmox-mcp runs decide ${handle.workflowId} approve`);
    }
    // Who is on call is paged from their level on.
    expect(hook.posts.length).toBe(smtp.mails.length - 1);
    const page = String((hook.posts[0]?.body as { text?: string } | undefined)?.text);
    expect(page).toContain('[pve1] Reminder (level 2): Dangerous fixture pve1 needs an approval');
    expect(page).toMatch(until);
    expect(page).toContain(`npx proxmox-mcp runs get ${handle.workflowId}`);
  });

  it('is reminded of by the times of the policy, whichever is due first', async () => {
    temporal.ledger.contacts = { contacts: contacts as never, escalation: { ...escalation, level2: 600_000 } };
    const handle = await start('dangerousFixture', { remindEveryMs: 2_000 });
    await mailsCome(3);
    expect(told().slice(0, 3)).toEqual(['anna', 'anna', 'anna']);
    expect(subjects()[1]).toMatch(/^\[pve1\] Reminder \(level 1\): /);
    await handle.cancel();
    await handle.result().catch(() => {});
    expect(hook.posts).toEqual([]);
  });

  it('is told to MAIL_TO where there are no contacts, and reminded of there', async () => {
    const handle = await start('dangerousFixture', { remindEveryMs: 2_000 });
    await mailsCome(2);
    expect(told().slice(0, 2)).toEqual(['root', 'root']);
    expect(subjects()[1]).toMatch(/^\[pve1\] Reminder: Dangerous fixture/);
    await handle.cancel();
    await handle.result().catch(() => {});
  });
});

it('a decision that nobody makes climbs, too, and stops when it is made', async () => {
  temporal.ledger.contacts = { contacts: contacts as never, escalation };
  const handle = await start('askFixture');
  await mailsCome(2);
  expect(told()).toEqual(['anna', 'anna,bert']);
  expect(subjects()[1]).toBe('[pve1] Reminder (level 2): Ask fixture pve1 is paused and needs you: Which one?');
  await handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] });
  expect((await handle.result()).output.choice).toBe('this');
  expect(smtp.mails).toHaveLength(2);
});

it('an answer is followed while a reminder waits for a mail server', async () => {
  temporal.ledger.contacts = { contacts: contacts as never, escalation };
  isSilent = true;
  const handle = await start('askFixture');
  await vi.waitFor(() => expect(hook.posts.length).toBeGreaterThanOrEqual(1), 20_000);
  const { question } = await handle.query<Progress>('progress');
  expect(question?.id).toBe('q1');
  const before = Date.now();
  await handle.executeUpdate(decideUpdate, { args: [{ choice: 'that' }] });
  expect((await handle.result()).output.choice).toBe('that');
  expect(Date.now() - before).toBeLessThan(8_000);
});

it('a page that fails is tried again, and who was paged is not paged twice for it', async () => {
  let refused = 0;
  slack = await startWebhook((response) => response.writeHead(refused++ < 2 ? 503 : 200).end());
  temporal.ledger.contacts = {
    contacts: [
      { name: 'On call', level: 1, webhook: 'ONCALL_WEBHOOK_URL' },
      { name: 'Channel', level: 1, webhook: 'SLACK_WEBHOOK_URL' },
    ],
    escalation: {},
  };
  const handle = await start('askFixture');
  await vi.waitFor(() => expect(slack?.posts).toHaveLength(3), 20_000);
  expect(hook.posts).toHaveLength(1);
  expect(smtp.mails).toEqual([]);
  await handle.cancel();
  await handle.result().catch(() => {});
});

it('MAIL_TO hears of it where the contacts can only be paged and are not', async () => {
  temporal.ledger.contacts = {
    contacts: [{ name: 'On call', level: 1, webhook: 'ONCALL_WEBHOOK_URL' }],
    escalation: {},
  };
  const paged = await start('askFixture');
  await vi.waitFor(() => expect(hook.posts).toHaveLength(1), 20_000);
  refusesPages = true;
  const unpaged = await start('askFixture');
  await mailsCome(1);
  expect(told()).toEqual(['root']);
  expect(hook.posts).toHaveLength(2);
  for (const handle of [paged, unpaged]) {
    await handle.cancel();
    await handle.result().catch(() => {});
  }
});

it('MAIL_TO hears of it where nobody knows the contacts', async () => {
  temporal.ledger.contacts = undefined as never;
  const handle = await start('askFixture');
  await mailsCome(1);
  expect(told()).toEqual(['root']);
  await handle.cancel();
  await handle.result().catch(() => {});
});
