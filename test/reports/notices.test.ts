import { describe, expect, it } from 'vitest';
import type { Notice, Notices } from '../../src/operations/notice.ts';
import { mailOf, noticesFinding } from '../../src/reports/notices.ts';
import { renderText } from '../../src/reports/text.ts';

const now = Date.parse('2026-11-22T08:00:00Z');
const notice = (target: string, changes: Partial<Notice> = {}): Notice => ({
  key: `failed:${target}`,
  kind: 'failed',
  target,
  headline: 'Back up failed',
  cause: 'the backup folder is full',
  summary: 'At 2026-11-22 02:03:05 CET: The backup folder is full.',
  remedy: 'Free some space.',
  at: '2026-11-22T01:03:05.000Z',
  timeZone: 'Europe/Berlin',
  ...changes,
});
const waiting = (pending: readonly Notice[], changes: Partial<Notices> = {}): Notices => ({
  pending,
  dropped: 0,
  mailed: 0,
  ...changes,
});
const unsent = {
  since: '2026-11-22T02:00:00.000Z',
  why: 'The mail was not sent: the mail server refused it for now (451).',
  nextTryAt: '2026-11-22T08:30:00.000Z',
  tries: 9,
};

describe('a mail of notices', () => {
  it('has the cause of the one in its subject', () => {
    const { subject, report } = mailOf(waiting([notice('pve1')]), now);
    expect(subject).toBe('[pve1] Back up failed: the backup folder is full');
    expect(report).toMatchObject({
      title: 'Back up failed',
      summary: 'The backup folder is full.',
      target: 'pve1',
      verdict: 'failed',
    });
    expect(renderText(report)).toContain('Free some space.');
    expect(renderText(report)).not.toContain('comes late');
  });

  it('has a line for each of several, and their common cause in its subject', () => {
    const hosts = ['pve1', 'pve2', 'pve3', 'pve4', 'pve5'].map((name) => notice(name));
    const { subject, report } = mailOf(waiting(hosts), now);
    expect(subject).toBe('[pve1, pve2, pve3 and 2 more] Back up failed (5 times): the backup folder is full');
    for (const { target } of hosts) expect(renderText(report)).toContain(`${target}: Back up failed`);
  });

  it('names different things by what they are, as many as fit', () => {
    const headlines = ['A failed', 'B failed', 'C takes too long', 'D was not started', 'E is paused'];
    const { subject } = mailOf(waiting(headlines.map((headline) => notice('pve1', { headline }))), now);
    expect(subject).toBe('[pve1] 5 things need a look: A failed, B failed, C takes too long and 2 more');
    const two = mailOf(waiting([notice('pve1', { cause: 'x' }), notice('pve2', { cause: 'y' })]), now);
    expect(two.subject).toBe('[pve1, pve2] Back up failed (2 times)');
  });

  it('says why it comes late, and how many older ones it can only count', () => {
    const { report, subject } = mailOf(waiting([notice('pve1')], { dropped: 7, unsent }), now);
    expect(subject).toContain('(8 times)');
    const text = renderText(report);
    expect(text).toContain('mail could not be sent from 2026-11-22 03:00:00 CET to 2026-11-22 09:00:00 CET');
    expect(text).toContain('refused it for now (451)');
    expect(text).toContain('7 more happened before these');
  });

  it('is the same for the same notices only', () => {
    const id = (...targets: readonly string[]) => mailOf(waiting(targets.map((one) => notice(one))), now).id;
    expect(id('pve1')).toBe(mailOf(waiting([notice('pve1')], { unsent }), now + 1).id);
    expect(id('pve1')).not.toBe(id('pve1', 'pve2'));
  });
});

describe('the line about notices', () => {
  it('is good while mail works', () => {
    expect(noticesFinding(waiting([]), 'UTC')).toMatchObject({ check: 'Notices', verdict: 'ok' });
    const { summary } = noticesFinding(waiting([], { lastMailedAt: '2026-11-22T02:00:00Z' }), 'Europe/Berlin');
    expect(summary).toContain('The last one went out at 2026-11-22 03:00:00 CET.');
  });

  it('says how many could not be mailed, since when, why, and when they are tried again', () => {
    const found = noticesFinding(waiting([notice('pve1'), notice('pve2')], { unsent }), 'Europe/Berlin');
    expect(found.verdict).toBe('failed');
    expect(found.summary).toMatch(
      /^2 notices of scheduled runs could not be mailed since 2026-11-22 03:00:00 CET: The mail was not sent: the mail server refused/,
    );
    expect(found.remedy).toContain('2026-11-22 09:30:00 CET');
    expect(found.evidence).toContain('pve2: Back up failed: the backup folder is full');
    expect(noticesFinding(waiting([notice('pve1')], { unsent }), 'UTC').summary).toMatch(/^1 notice of/);
  });
});
