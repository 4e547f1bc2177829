import { expect, it } from 'vitest';
import { scheduleText } from '../../src/runs/schedule-text.ts';
import type { ScheduleSummary } from '../../src/runs/schedules.ts';

const base: ScheduleSummary = {
  id: 'control-guest/own-night/pve1/100',
  operation: 'control-guest',
  target: 'pve1/100',
  cron: 'once, 2098-11-30 23:00',
  timeZone: 'Europe/Berlin',
  overlap: 'skip',
  paused: false,
  nextRuns: ['2098-11-30T22:00:00.000Z'],
  lastRuns: [],
  own: {
    madeBy: 'mcp:claude',
    madeAt: '2098-11-26T12:00:00.000Z',
    risk: 'dangerous',
    input: {},
    at: '2098-11-30T22:00:00.000Z',
    condition: 'healthy',
    approval: {
      count: 1,
      approvers: ['anna', 'bert'],
      why: 'It can lose data.',
      asksAt: '2098-11-29T22:00:00.000Z',
      until: '2098-11-30T22:00:00.000Z',
    },
  },
};

it('says when it runs by its host’s clock, who must approve until when, and what has to be so', () => {
  const text = scheduleText(base).replace(/in \d+ days \d+ h/, 'in N days');
  expect(text).toBe(
    'control-guest/own-night/pve1/100: once, 2098-11-30 23:00. Runs next 2098-11-30 23:00:00 CET, in N days. From 2098-11-29 23:00:00 CET on it asks for an approval: 1 of anna, bert until 2098-11-30 23:00:00 CET, else it is not done. It can lose data. Right before, the health of pve1 is checked: it is done only if that says ok, else not at all. Made by mcp:claude.',
  );
});

it('says what has become of it', () => {
  const { own: _, ...catalogue } = base;
  expect(scheduleText({ ...base, paused: true, note: 'holiday (anna)' })).toContain('It is paused. Made by');
  expect(
    scheduleText({ ...base, nextRuns: [], own: { ...(base.own as object), isDone: true } as ScheduleSummary['own'] }),
  ).toContain('Its time has come, and it does not run again.');
  expect(scheduleText({ ...catalogue, cron: '0 0 30 2 *', nextRuns: [] })).toContain(
    '0 0 30 2 * (Europe/Berlin). It never runs: the calendar has no such day.',
  );
});
