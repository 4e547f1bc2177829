import { describe, expect, it } from 'vitest';
import type { ScheduledRun } from '../../../src/activities/watch-runs/decide.ts';
import { causeIn, ofEnd, ofMissed, ofOverrun } from '../../../src/activities/watch-runs/words.ts';

const run: ScheduledRun = {
  id: 'back-up/pve1/daily-2026-11-22T01:00:00Z',
  runId: 'r1',
  operation: 'back-up',
  target: 'pve1',
  schedule: 'back-up/daily/pve1',
  status: 'FAILED',
  startedAt: Date.parse('2026-11-22T01:00:00Z'),
  closedAt: Date.parse('2026-11-22T01:03:05Z'),
};
const of = (timeZone = 'UTC') => ({ run, title: 'Back up', timeZone, look: 'npx proxmox-mcp runs get it' });

describe('the cause in a subject', () => {
  it.each([
    ['The backup folder /opt/x.y is full. Free some.', 'the backup folder /opt/x.y is full'],
    ['pve1 does not answer within 15 s.', 'pve1 does not answer within 15 s'],
    ['SSH to pve1:22 was refused: nobody listens', 'SSH to pve1:22 was refused: nobody listens'],
    ['It was\n  not done:', 'it was not done'],
    ['', ''],
    // What a host said: no line of its own, nothing hidden.
    ['The host said:\r\nBcc: x@example.org\u202e', expect.stringMatching(/^the host said: Bcc: x@example\.org\S+$/)],
    [`No ${'very '.repeat(40)}long`, expect.stringMatching(/^no (very ){18}.{0,6}\.\.\.$/)],
  ])('of %j is %j', (text, cause) => {
    expect(causeIn(text)).toEqual(cause);
  });
});

describe('a run that ended badly', () => {
  const remedy = 'Free some space, then start it again';
  const why = (message: string) => ({ message, remedy });

  it('is told with what happened, when, and what to do, each once', () => {
    const notice = ofEnd(of('Europe/Berlin'), 'failed', why(`The folder is full. ${remedy}.`));
    expect(notice).toMatchObject({
      key: 'failed:r1',
      target: 'pve1',
      headline: 'Back up failed',
      cause: 'the folder is full',
      summary: 'At 2026-11-22 02:03:05 CET, 3 min 5 s after it was started: The folder is full.',
      remedy: `${remedy}.`,
      run: { id: run.id, look: 'npx proxmox-mcp runs get it' },
    });
  });

  it('says what was undone, and what was not', () => {
    const undone = ofEnd(of(), 'undone', why(`It broke. ${remedy}. What it had done was undone.`));
    expect(undone.headline).toBe('Back up failed and was undone');
    expect(undone.summary).toMatch(/: It broke\. What it had done was undone\.$/);
    const left = ofEnd(of(), 'failed', why(`It broke. ${remedy}. Not undone: Collect. No.`));
    expect(left.summary).toMatch(/: It broke\. Not undone: Collect\. No\.$/);
  });

  it('that somebody ended by force has no cause but theirs', () => {
    const notice = ofEnd(of(), 'terminated', { message: 'no reason was given', remedy: 'x' });
    expect(notice).toMatchObject({ headline: 'Back up was ended by force', cause: 'no reason was given' });
    expect(notice.remedy).toContain('was not undone');
    expect(notice.remedy).not.toContain('x.');
  });

  it('stays short, whatever a host said', () => {
    const notice = ofEnd(of(), 'failed', { message: 'word '.repeat(3_000), remedy: 'do '.repeat(3_000) });
    expect(JSON.stringify(notice).length).toBeLessThan(1_800);
  });
});

it('a run that takes too long is told with what it says, and from when on it is too long', () => {
  const now = run.startedAt + 4 * 3_600_000;
  const details = { usual: 3 * 3_600_000, message: 'Waiting for the lock of pve1', now };
  const notice = ofOverrun(of(), details);
  expect(notice).toMatchObject({ headline: 'Back up takes too long', cause: 'it has run for 4 h 0 min' });
  expect(notice.summary).toMatch(/more than 3 h 0 min is unusual for it\. It says: Waiting for the lock of pve1$/);
  expect(notice.remedy).toContain(`npx proxmox-mcp runs cancel ${run.id}`);
});

it('a run that was due and was not started is told with the command that starts it', () => {
  const schedule = { id: 'check-health/daily/pve1', next: new Date('2026-11-23T07:00:00Z'), going: undefined };
  const counted = { kind: 'missed', times: 2, total: 9, now: run.startedAt } as const;
  const notice = ofMissed(schedule, { title: 'Check health' }, counted, 'Europe/Berlin');
  expect(notice).toMatchObject({
    key: 'missed:check-health/daily/pve1:9',
    target: 'pve1',
    cause: 'the service was down when it was due',
  });
  expect(notice.summary).toContain('2 times');
  expect(notice.remedy).toBe(
    'It is due again at 2026-11-23 08:00:00 CET. To start it now: npx proxmox-mcp schedules trigger check-health/daily/pve1',
  );
});

it('a run that was skipped is not started by hand while the other goes on', () => {
  const schedule = { id: 'back-up/daily/pve1', next: undefined, going: run.id };
  const counted = { kind: 'skipped', times: 1, total: 1, now: run.startedAt } as const;
  const notice = ofMissed(schedule, { title: 'Back up' }, counted, 'UTC');
  expect(notice).toMatchObject({ cause: 'its last run was still going' });
  expect(notice.remedy).toBe(`Look at that run: npx proxmox-mcp runs get ${run.id}`);
});
