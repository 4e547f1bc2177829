import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { readNotices } from '../../src/runs/watch.ts';
import { serviceQueue, watchId } from '../../src/workflows/lib/messages.ts';
import { startSmtp, type TestSmtp } from '../mail/smtp.ts';
import { startService, type TestService } from '../support/service.ts';
import { localMachine, type Machine, makePlace, type Place } from './places.ts';

/** It looks more often than the service's own, which the worker finds running already. */
const settings = { everyMs: 300, seldomMs: 1_000, gatherMs: 300, overlapMs: 1_000, againMs: [2_000] };

let machine: Machine;
let place: Place;
let smtp: TestSmtp;
let service: TestService;
/** Mails as the server took them. */
const taken: string[] = [];
/** Whether it says so. */
let answers = true;
let answerLast = () => {};

beforeAll(async () => {
  machine = localMachine();
  place = await makePlace({ name: 'first', machine });
  smtp = await startSmtp({
    onData: (stream, _session, callback) => {
      let text = '';
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      stream.on('end', () => {
        taken.push(text);
        if (answers) callback();
        else answerLast = () => callback();
      });
    },
  });
  service = await startService({
    env: {
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: String(smtp.port),
      SMTP_SECURITY: 'none',
      MAIL_FROM: 'proxmox-mcp@example.org',
      MAIL_TO: 'admin@example.org',
    },
    hosts: { first: place.entry },
  });
  await service.client.workflow.start('watchRuns', {
    workflowId: watchId,
    taskQueue: serviceQueue,
    args: [{}, settings],
  });
  await service.startWorker();
}, 600_000);

afterAll(async () => {
  answerLast();
  await service?.stop();
  await smtp?.stop();
  await machine?.stop();
});

/** A header on one line, as mail programs show it. */
function header(text: string, name: string): string {
  const [, folded = ''] = new RegExp(`^${name}: (.*(?:\r\n\\s.*)*)`, 'im').exec(text) ?? [];
  const line = folded.replace(/\?=\s+=\?UTF-8\?Q\?/g, '').replace(/\r\n\s+/g, ' ');
  const encoded = /^=\?UTF-8\?Q\?(.*)\?=$/.exec(line)?.[1];
  if (encoded === undefined) return line;
  return decodeURIComponent(
    encoded
      .replace(/%/g, '%25')
      .replace(/_/g, ' ')
      .replace(/=([0-9A-F]{2})/g, '%$1'),
  );
}
const mailsCome = (count: number, timeout: number) =>
  vi.waitFor(() => expect(taken.length).toBeGreaterThanOrEqual(count), { timeout, interval: 100 });

it('a scheduled backup that failed reaches a person, though the worker dies over the mail, and is shown once', async () => {
  await place.reset();
  await machine.sh(`rmdir ${place.layout.backups}; echo no folder >${place.layout.backups}`);
  answers = false;
  await service.schedules.trigger('back-up/daily/first', 'test');
  await mailsCome(1, 60_000);
  await service.killWorker();
  answers = true;
  answerLast();
  await service.startWorker();
  await mailsCome(2, 150_000);
  const [first = '', second = ''] = taken;
  expect(header(second, 'message-id')).toBe(header(first, 'message-id'));
  expect(header(second, 'subject')).toMatch(
    /^\[first] Back up failed and was undone: .*mkdir: cannot create directory/,
  );
  await vi.waitFor(async () => expect(await readNotices(service.client)).toMatchObject({ pending: [], mailed: 1 }), {
    timeout: 30_000,
    interval: 200,
  });
  await sleep(2_000);
  expect(taken).toHaveLength(2);
}, 300_000);

it('the watch is no run, and doctor asks it', async () => {
  const { runs } = await service.runs.list({ limit: 50 });
  expect(runs.map(({ operation }) => operation)).not.toContain('watchRuns');
  expect(runs.length).toBeGreaterThan(0);
  await expect(service.runs.get(watchId)).rejects.toMatchObject({ code: 'not-found' });
  const { stdout } = await service.cli('doctor', '--json', '--timeout', '30').catch((error) => error);
  const { findings } = JSON.parse(stdout) as { findings: { check: string; verdict: string; summary: string }[] };
  expect(findings.find(({ check }) => check === 'Notices')).toMatchObject({
    verdict: 'ok',
    summary: expect.stringContaining('The last one went out at'),
  });
}, 120_000);

it('runs that were due while the server was down, for longer than they may be late, are told once', async () => {
  const before = taken.length;
  await service.client.schedule.create({
    scheduleId: 'check-health/often/first',
    spec: { intervals: [{ every: '5s' }] },
    action: { type: 'startWorkflow', workflowType: 'nobody', taskQueue: 'nobody', args: [], workflowId: 'nobody' },
    policies: { overlap: 'ALLOW_ALL', catchupWindow: '10s' },
    memo: { managedBy: 'proxmox-mcp' },
  });
  // The watch must have seen it once.
  await sleep(6_000);
  process.kill(service.temporal.pid() ?? 0, 'SIGSTOP');
  await sleep(25_000);
  process.kill(service.temporal.pid() ?? 0, 'SIGCONT');
  await mailsCome(before + 1, 120_000);
  const schedule = service.client.schedule.getHandle('check-health/often/first');
  expect((await schedule.describe()).info.numActionsMissedCatchupWindow).toBeGreaterThan(0);
  await schedule.delete();
  expect(header(taken[before] ?? '', 'subject')).toBe(
    '[first] Check health was not started: the service was down when it was due',
  );
  await sleep(2_000);
  expect(taken).toHaveLength(before + 1);
}, 240_000);
