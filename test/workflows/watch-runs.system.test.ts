import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { createNotifyActivities } from '../../src/activities/notify/notify.ts';
import { createWatchActivities } from '../../src/activities/watch-runs/watch-runs.ts';
import type { Config, MailConfig } from '../../src/config.ts';
import { createMailer } from '../../src/mail/mailer.ts';
import type { Notices } from '../../src/operations/notice.ts';
import { readNotices, startWatch } from '../../src/runs/watch.ts';
import { keys } from '../../src/workflows/lib/attributes.ts';
import { mailAgainSignal, noticesQuery, serviceQueue, watchId } from '../../src/workflows/lib/messages.ts';
import { startWebhook } from '../activities/notify/webhook-server.ts';
import { startSmtp, type TestSmtp } from '../mail/smtp.ts';
import { freePort } from '../support/free-ports.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { ScheduledFixture } from './fixtures/watch.ts';

const temporal = useTemporal();
let workflowBundle: { code: string };
let smtp: TestSmtp | undefined;
let mail: MailConfig;
let refused: Record<string, string> = {};
/** Whether a mail is sent and nobody hears of it any more, as when the worker dies then. */
let losesAnswers = 0;
let webhooks: Config['webhooks'] = {};
let isConfigured = true;
let stopWorker: () => Promise<void>;
const toEnd: WorkflowHandle[] = [];

/** A look takes a fraction of a second, and what takes more than five seconds is slow. */
const settings = {
  everyMs: 200,
  seldomMs: 1_000,
  gatherMs: 400,
  overlapMs: 1_000,
  overrun: { leastMs: 5_000, factor: 3, firstMs: 5_000 },
  againMs: [1_000, 2_000, 600_000],
};

const hosts = ['pve1', 'pve2', 'pve7'].map((name) => ({ name, timeZone: 'Europe/Berlin' }));
const config = {
  hosts,
  temporal: { namespace: 'default', uiUrl: 'https://temporal.example.org' },
  mcp: { publicUrl: 'https://mcp.example.org' },
} as unknown as Config;

function activities() {
  const watch = createWatchActivities({ client: temporal.client, config, refusedSchedules: () => refused });
  return {
    ...watch,
    async mailReport(...input: Parameters<ReturnType<typeof createNotifyActivities>['mailReport']>) {
      const mailer = isConfigured ? createMailer(mail) : undefined;
      const answer = await createNotifyActivities({ mailer, config }).mailReport(...input);
      if (losesAnswers === 0) return answer;
      losesAnswers -= 1;
      throw new Error('the worker died');
    },
    page: (...input: Parameters<ReturnType<typeof createNotifyActivities>['page']>) =>
      createNotifyActivities({ config: { ...config, webhooks } }).page(...input),
  };
}

beforeAll(async () => {
  workflowBundle = await bundle(join(import.meta.dirname, 'fixtures/watch.ts'));
}, 600_000);

beforeEach(async () => {
  // What ended in another test is older than what is looked at again.
  await sleep(settings.overlapMs + 200);
  await startMail();
  refused = {};
  isConfigured = true;
  await startWorker();
});

afterEach(async () => {
  await stopWorker();
  for (const run of toEnd.splice(0)) await run.terminate('the test is over').catch(() => {});
  await smtp?.stop();
});

async function startWorker(): Promise<void> {
  stopWorker = await temporal.work({ workflowBundle, activities: activities() });
}

async function startMail(): Promise<void> {
  smtp = await startSmtp();
  mail = {
    host: '127.0.0.1',
    port: smtp.port,
    security: 'none',
    from: 'service@example.org',
    to: ['admin@example.org'],
  };
}

let counter = 0;
async function startScheduled(host: string, input: ScheduledFixture, operation = 'back-up'): Promise<WorkflowHandle> {
  counter += 1;
  const handle = await temporal.client.workflow.start('scheduledFixture', {
    workflowId: `${operation}/${host}/daily-${counter}`,
    taskQueue: serviceQueue,
    args: [input],
    typedSearchAttributes: [
      { key: keys.operation, value: operation },
      { key: keys.target, value: host },
      { key: keys.requestedBy, value: `schedule:${operation}/daily/${host}` },
    ],
  });
  toEnd.push(handle);
  return handle;
}

async function endedScheduled(host: string, input: ScheduledFixture, operation?: string): Promise<WorkflowHandle> {
  const handle = await startScheduled(host, input, operation);
  await handle.result().catch(() => {});
  return handle;
}

async function watch(more: Record<string, unknown> = {}, given: Record<string, unknown> = {}): Promise<WorkflowHandle> {
  counter += 1;
  const handle = await temporal.client.workflow.start('watchRuns', {
    workflowId: `watch/test-${counter}`,
    taskQueue: serviceQueue,
    args: [given, { ...settings, ...more }],
  });
  toEnd.push(handle);
  return handle;
}

const notices = (handle: WorkflowHandle) => handle.query<Notices>(noticesQuery);
const mails = () => smtp?.mails ?? [];
const subjects = () => mails().map(({ headers }) => headers.get('subject'));
const mailsCome = (count: number) => vi.waitFor(() => expect(mails()).toHaveLength(count), 15_000);
/** Long enough for another mail, if there were one. */
const nothingMore = () => sleep(1_500);

const full = {
  message: 'The backup folder /opt/proxmox-mcp-backups is full',
  remedy: 'Free some space there, then start it again.',
};

it('mails a scheduled run that failed, once, with its cause in the subject', async () => {
  const handle = await watch();
  const run = await endedScheduled('pve1', { end: 'failed', ...full });
  await mailsCome(1);
  expect(subjects()).toEqual(['[pve1] Back up failed: the backup folder /opt/proxmox-mcp-backups is full']);
  expect(mails()[0]?.text).toContain(full.remedy);
  expect(mails()[0]?.text).toMatch(/At 20\d\d-.* CES?T, \d/);
  expect(mails()[0]?.text).toContain(`npx proxmox-mcp runs get ${run.workflowId}`);
  // The remedy stands in the failure's own text, too; it is said once.
  expect(mails()[0]?.text.match(/Free some space there/g)).toHaveLength(1);
  await nothingMore();
  expect(mails()).toHaveLength(1);
  expect(await notices(handle)).toMatchObject({ pending: [], mailed: 1 });
  // Looks leave nothing in the history: here are some twenty of them.
  const { events } = await handle.fetchHistory();
  expect(events?.length).toBeLessThan(30);
});

it('says nothing of what went well, was cancelled by a person, or was no schedule’s', async () => {
  await watch();
  await endedScheduled('pve1', { end: 'done' });
  const cancelled = await startScheduled('pve1', { end: 'never' });
  await cancelled.cancel();
  const asked = await temporal.client.workflow.start('scheduledFixture', {
    workflowId: `back-up/pve1/${counter}-asked`,
    taskQueue: serviceQueue,
    args: [{ end: 'failed', ...full }],
    typedSearchAttributes: [{ key: keys.requestedBy, value: 'mcp:claude' }],
  });
  await asked.result().catch(() => {});
  // A mail that must come, after all of them.
  await endedScheduled('pve2', { end: 'undone', ...full });
  await mailsCome(1);
  expect(subjects()[0]).toMatch(/^\[pve2] Back up failed and was undone: the backup folder/);
  expect(mails()[0]?.text).not.toContain('pve1');
  expect(mails()[0]?.text).toContain('What it had done was undone.');
});

it('makes one mail of what fails together, with a line each', async () => {
  await watch({ gatherMs: 1_500 });
  const away = { message: 'The host does not answer', remedy: 'Look at its network.' };
  const names = Array.from({ length: 12 }, (_, index) => `pve${index + 1}`);
  await Promise.all(names.map((name) => endedScheduled(name, { end: 'failed', ...away })));
  await mailsCome(1);
  await nothingMore();
  expect(subjects()).toHaveLength(1);
  expect(subjects()[0]).toMatch(
    /^\[pve\d+, pve\d+, pve\d+ and 9 more] Back up failed \(12 times\): the host does not answer$/,
  );
  for (const name of names) expect(mails()[0]?.text).toContain(`${name}: Back up failed`);
});

it('tells of a run that somebody ended by force, and of one that takes too long', async () => {
  await watch();
  const ended = await startScheduled('pve1', { end: 'never' });
  await ended.terminate('it hung');
  await mailsCome(1);
  expect(subjects()[0]).toBe('[pve1] Back up was ended by force: it hung');
  expect(mails()[0]?.text).toContain('was not undone');
  // Three times the longest of the good ones, which took a second and more, is longer than the least.
  await Promise.all([1, 2].map(() => endedScheduled('pve2', { end: 'done', lastsMs: 2_500 })));
  const slow = await startScheduled('pve2', { end: 'never' });
  await sleep(6_000);
  expect(mails()).toHaveLength(1);
  await mailsCome(2);
  expect(subjects()[1]).toMatch(/^\[pve2] Back up takes too long: it has run for \d/);
  expect(mails()[1]?.text).toContain('It says: Waiting for Back up pve9');
  expect(mails()[1]?.text).toContain(`npx proxmox-mcp runs cancel ${slow.workflowId}`);
  await nothingMore();
  expect(mails()).toHaveLength(2);
}, 60_000);

it('finds what ended while no worker ran, and does not tell it again in its next part', async () => {
  await stopWorker();
  const since = Date.now();
  const handle = await watch();
  const run = await startScheduled('pve1', { end: 'never' });
  const { runId } = await run.describe();
  await run.terminate('nobody was there');
  await nothingMore();
  await startWorker();
  await mailsCome(1);
  await handle.terminate();
  const told = { [`terminated:${runId}`]: Date.now() };
  await watch({}, { since, told });
  await nothingMore();
  expect(mails()).toHaveLength(1);
  // And the test itself would see it, were it not told.
  await watch({}, { since });
  await mailsCome(2);
});

it('keeps what it could not mail, says so, and sends it as one mail when mail works again', async () => {
  await smtp?.stop();
  mail = { ...mail, port: await freePort() };
  const handle = await watch();
  await endedScheduled('pve1', { end: 'failed', ...full });
  await vi.waitFor(async () => expect((await notices(handle)).unsent?.tries).toBeGreaterThan(0), 15_000);
  await endedScheduled('pve2', { end: 'failed', ...full });
  await vi.waitFor(async () => expect((await notices(handle)).unsent?.tries).toBe(3), 30_000);
  const kept = await notices(handle);
  expect(kept.pending.map(({ target }) => target)).toEqual(['pve1', 'pve2']);
  expect(kept.unsent?.why).toMatch(/connection to the mail server 127.0.0.1:\d+ failed/);
  // The next time would be minutes later; a worker that starts says that things may be otherwise now.
  await startMail();
  await handle.signal(mailAgainSignal);
  await mailsCome(1);
  expect(subjects()[0]).toBe(
    '[pve1, pve2] Back up failed (2 times): the backup folder /opt/proxmox-mcp-backups is full',
  );
  expect(mails()[0]?.text).toContain('This comes late: mail could not be sent from');
  await vi.waitFor(
    async () => expect(await notices(handle)).toMatchObject({ pending: [], dropped: 0, mailed: 2 }),
    5_000,
  );
  expect((await notices(handle)).unsent).toBeUndefined();
  await nothingMore();
  expect(mails()).toHaveLength(1);
}, 90_000);

it('sends a mail whose answer was lost under the same id, so that it is shown once', async () => {
  // Both attempts of the first call, and so another call of a later time.
  losesAnswers = 2;
  const handle = await watch();
  await endedScheduled('pve1', { end: 'failed', ...full });
  await mailsCome(3);
  const ids = mails().map(({ headers }) => headers.get('message-id'));
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).toMatch(/^<[0-9a-f]{32}@example\.org>$/);
  await vi.waitFor(async () => expect((await notices(handle)).mailed).toBe(1), 5_000);
}, 60_000);

it('piles nothing up where no mail server is set up', async () => {
  isConfigured = false;
  const handle = await watch();
  await endedScheduled('pve1', { end: 'failed', ...full });
  await nothingMore();
  expect(await notices(handle)).toMatchObject({ pending: [], dropped: 0, mailed: 0 });
});

it('tells the contacts, and pages who is on call while mail is down, once for each of their turns', async () => {
  const hook = await startWebhook();
  webhooks = { onCall: hook.url };
  temporal.ledger.contacts = {
    contacts: [
      { name: 'Anna', mail: ['anna@example.org'], level: 1 },
      { name: 'On call', level: 2, webhook: 'ONCALL_WEBHOOK_URL' },
    ],
    escalation: { level2: 1_500, all: 600_000 },
  };
  try {
    const handle = await watch();
    await endedScheduled('pve1', { end: 'failed', message: 'The disk is full' });
    await mailsCome(1);
    expect(smtp?.mails[0]?.to).toEqual(['anna@example.org']);

    const { port } = mail;
    mail = { ...mail, port: await freePort() };
    await endedScheduled('pve2', { end: 'failed', message: 'The host is away' });
    // Mail is tried after 1 s, and after 2 s more: by then it is the turn of who is on call, once.
    await vi.waitFor(async () => expect((await notices(handle)).unsent?.tries).toBeGreaterThanOrEqual(3), 30_000);
    expect(hook.posts.map(({ body }) => body)).toEqual([{ text: '[pve2] Back up failed: the host is away' }]);
    mail = { ...mail, port };
    await handle.signal(mailAgainSignal);
    await mailsCome(2);
    expect(smtp?.mails[1]?.to).toEqual(['anna@example.org']);
    expect(hook.posts).toHaveLength(1);
  } finally {
    temporal.ledger.contacts = { contacts: [], escalation: {} };
    webhooks = {};
    await hook.stop();
  }
});

it('tells what a paused run asks, where its own mail could not be sent, and not where it was', async () => {
  const asks = {
    message: 'Could not undo Collect. The host is away.',
    remedy: 'Run one of: npx proxmox-mcp runs decide x retry.',
  };
  const handle = await watch();
  await startScheduled('pve1', { end: 'paused', ...asks });
  await mailsCome(1);
  expect(subjects()[0]).toBe('Back up pve1 is paused');
  await nothingMore();
  expect(mails()).toHaveLength(1);

  const { port } = mail;
  mail = { ...mail, port: await freePort() };
  await startScheduled('pve2', { end: 'paused', ...asks });
  await vi.waitFor(async () => expect((await notices(handle)).pending).toHaveLength(1), 15_000);
  mail = { ...mail, port };
  await mailsCome(2);
  expect(subjects()[1]).toBe('[pve2] Back up is paused and needs you: could not undo Collect');
  expect(mails()[1]?.text).toContain('npx proxmox-mcp runs decide x retry');
  await nothingMore();
  expect(mails()).toHaveLength(2);
}, 60_000);

it('tells that a report of a run could not be mailed', async () => {
  await watch();
  const said = { end: 'not-mailed', message: 'pve1 needs attention now: Disk.' } as const;
  await endedScheduled('pve1', said, 'check-health');
  await mailsCome(1);
  expect(subjects()[0]).toBe('[pve1] The report of Check health was not mailed: pve1 needs attention now: Disk');
});

it('tells of schedules that could not be made, and of runs that were due while the service was down', async () => {
  const { client } = temporal;
  const schedule = await client.schedule.create({
    scheduleId: 'back-up/daily/pve1',
    spec: { intervals: [{ every: '1s' }] },
    action: {
      type: 'startWorkflow',
      workflowType: 'scheduledFixture',
      workflowId: 'back-up/pve1/due',
      taskQueue: serviceQueue,
      args: [{ end: 'never' }],
    },
    policies: { overlap: 'SKIP', catchupWindow: '10s' },
    state: { paused: true },
    memo: { managedBy: 'proxmox-mcp' },
  });
  const handle = await watch();
  await vi.waitFor(async () => expect(await notices(handle)).toMatchObject({ pending: [] }), 10_000);
  await sleep(2_500);
  refused = { 'back-up/daily/pve2': 'There is no time zone Europe/Atlantis.' };
  await mailsCome(1);
  expect(subjects()[0]).toBe('[pve2] Back up is not scheduled: there is no time zone Europe/Atlantis');
  await schedule.unpause();
  await mailsCome(2);
  expect(subjects()[1]).toBe('[pve1] Back up was not started: its last run was still going');
  expect(mails()[1]?.text).toContain('npx proxmox-mcp runs get back-up/pve1/due');
  await schedule.pause();
  const { info } = await schedule.describe();
  await schedule.delete();
  for (const { workflow } of info.runningActions) await client.workflow.getHandle(workflow.workflowId).terminate();
}, 60_000);

it('is one, whoever starts it, and begins where one that was ended had ended', async () => {
  const { client } = temporal;
  expect(await readNotices(client)).toBe('absent');
  await Promise.all([startWatch(client), startWatch(client)]);
  toEnd.push(client.workflow.getHandle(watchId));
  const { runId } = await client.workflow.getHandle(watchId).describe();
  await startWatch(client);
  expect((await client.workflow.getHandle(watchId).describe()).runId).toBe(runId);
  await vi.waitFor(async () => expect(await readNotices(client)).toMatchObject({ pending: [], mailed: 0 }), 10_000);

  await client.workflow.getHandle(watchId).terminate('a person');
  expect(await readNotices(client)).toBe('absent');
  await endedScheduled('pve7', { end: 'failed', ...full });
  await startWatch(client);
  await vi.waitFor(
    () =>
      expect(
        mails()
          .map(({ text }) => text)
          .join(),
      ).toContain('pve7: Back up failed'),
    60_000,
  );
}, 90_000);
