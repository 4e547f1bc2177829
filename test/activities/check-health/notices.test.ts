import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { expect, it } from 'vitest';
import { inspectNotices } from '../../../src/activities/check-health/notices.ts';
import type { Mailer } from '../../../src/mail/mailer.ts';
import type { Notices } from '../../../src/operations/notice.ts';

const mailer = {} as Mailer;

function clientOf(status: () => string, notices: () => Notices): Client {
  const handle = { describe: async () => ({ status: { name: status() } }), query: async () => notices() };
  return {
    workflow: { getHandle: () => handle },
    withDeadline: (_: number, ask: () => Promise<unknown>) => ask(),
  } as unknown as Client;
}
const fails = (error: Error) => (): never => {
  throw error;
};
const quiet: Notices = { pending: [], dropped: 0, mailed: 3 };

it('nothing waits: good', async () => {
  expect(
    await inspectNotices(
      clientOf(
        () => 'RUNNING',
        () => quiet,
      ),
      mailer,
      'UTC',
    ),
  ).toMatchObject({
    check: 'Notices',
    verdict: 'ok',
  });
});

it('what could not be mailed is a failure, with the reason', async () => {
  const unsent = {
    since: '2026-11-22T02:00:00Z',
    why: 'The mail server refuses.',
    nextTryAt: '2026-11-22T03:00:00Z',
    tries: 4,
  };
  const found = await inspectNotices(
    clientOf(
      () => 'RUNNING',
      () => ({ ...quiet, dropped: 2, unsent }),
    ),
    mailer,
    'UTC',
  );
  expect(found).toMatchObject({ verdict: 'failed', summary: expect.stringContaining('The mail server refuses.') });
});

it.each([
  [
    'was ended',
    clientOf(
      () => 'TERMINATED',
      () => quiet,
    ),
  ],
  ['is not there', clientOf(fails(new WorkflowNotFoundError('no such', 'watch/runs', undefined)), () => quiet)],
])('a watch that %s is a failure', async (_, client) => {
  expect(await inspectNotices(client, mailer, 'UTC')).toMatchObject({
    verdict: 'failed',
    summary: 'Nobody watches over the scheduled runs.',
    remedy: expect.stringContaining('Restart the service'),
  });
});

it('what can not be asked is not known', async () => {
  const found = await inspectNotices(
    clientOf(() => 'RUNNING', fails(new Error('late'))),
    mailer,
    'UTC',
  );
  expect(found).toMatchObject({ verdict: 'unknown', evidence: 'late' });
});

it('without a mail server nobody is asked, and nothing is wrong with the host', async () => {
  const found = await inspectNotices({} as Client, undefined, 'UTC');
  expect(found).toMatchObject({ verdict: 'skipped', remedy: expect.stringContaining('SMTP_HOST') });
});
