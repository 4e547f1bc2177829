import { describe, expect, it } from 'vitest';
import { type ClockChange, clockChanges } from '../../src/clock-changes.ts';
import { parseCron } from '../../src/runs/cron.ts';
import { occurrences } from '../../src/runs/occurrences.ts';
import { scheduleTimes } from '../../src/runs/schedule-times.ts';
import { useTemporal } from '../support/temporal.ts';

// What the real server makes of a schedule's times in the nights when clocks change, against a clock of our own.

const temporal = useTemporal();
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** One hour, half an hour, two hours; at midnight, before it, at a quarter to; every month of the fast; never. */
const zones = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Santiago',
  'Africa/Cairo',
  'America/Havana',
  'America/Scoresbysund',
  'Atlantic/Azores',
  'Antarctica/Troll',
  'Africa/Casablanca',
  'Pacific/Chatham',
  'Asia/Kolkata',
];
const daily = ['0 2 * * *', '30 2 * * *', '30 1 * * *', '15 3 * * *', '0 0 * * *', '45 23 * * *', '0 3 * * *'];
const others = [
  '*/30 2 * * *',
  '10,50 1-3 * * *',
  '0 4 * * 0',
  '0 4 * * 6',
  '30 0 * * SUN',
  '0 2 28-31 * *',
  '0 */2 * * *',
];

/** The wall clock of a zone, as if it were UTC's. */
function wallClock(timeZone: string): (time: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
  const known = new Map<number, number>();
  return (time) => {
    const wall = known.get(time) ?? Date.parse(`${format.format(time).replace(' ', 'T')}Z`);
    known.set(time, wall);
    return wall;
  };
}

function matches(text: string, wall: number): boolean {
  const cron = parseCron(text);
  const date = new Date(wall);
  return (
    cron.minutes.includes(date.getUTCMinutes()) &&
    cron.hours.includes(date.getUTCHours()) &&
    cron.days.includes(date.getUTCDate()) &&
    cron.months.includes(date.getUTCMonth() + 1) &&
    cron.weekdays.includes(date.getUTCDay())
  );
}

/** Every minute is looked at: what is neither skipped nor repeated at its time, the rest once at the end of its hour. */
function expected(
  text: string,
  wall: (time: number) => number,
  change: ClockChange,
  from: number,
  to: number,
): number[] {
  const touched: number[] = [];
  for (let time = change.from; time < change.to; time += minuteMs) if (matches(text, time)) touched.push(time);
  const times: number[] = [];
  for (let time = from + minuteMs; time <= to; time += minuteMs) {
    const now = wall(time);
    const ambiguous = now >= change.from && now < change.to;
    if ((matches(text, now) && !ambiguous) || (now === change.to && touched.length > 0)) times.push(time);
  }
  return times;
}

async function matching(id: string, from: number, to: number): Promise<number[]> {
  const at = (time: number) => ({ seconds: time / 1000 }) as never;
  const answer = await temporal.client.workflowService.listScheduleMatchingTimes({
    namespace: 'default',
    scheduleId: id,
    startTime: at(from),
    endTime: at(to),
  });
  return answer.startTime.map(({ seconds }) => Number(seconds) * 1000);
}

let count = 0;
async function withSchedule<Result>(spec: object, work: (id: string) => Promise<Result>): Promise<Result> {
  const handle = await temporal.client.schedule.create({
    scheduleId: `times-${++count}`,
    spec,
    action: { type: 'startWorkflow', workflowType: 'nobody', taskQueue: 'nobody' },
    state: { paused: true },
  });
  try {
    return await work(handle.scheduleId);
  } finally {
    await handle.delete();
  }
}

const shown = (times: readonly number[]) => times.map((time) => new Date(time).toISOString());
const now = Date.now();

describe.each(zones)('in the zone %s', (zone) => {
  const changes = clockChanges(zone, now, now + 370 * dayMs);
  const wall = wallClock(zone);
  /** The moment of a change. */
  const momentOf = (change: ClockChange) => {
    const near = change.from - 16 * hourMs;
    for (let time = near; ; time += minuteMs)
      if (wall(time + minuteMs) - wall(time) !== minuteMs) return time + minuteMs;
  };

  it.each([...daily, ...others])('%s runs at its times, and once where the clock changes', async (text) => {
    await withSchedule(scheduleTimes(text, zone).spec, async (id) => {
      for (const change of changes) {
        const at = momentOf(change);
        const to = at + 2 * dayMs;
        const all = expected(text, wall, change, at - dayMs, to);
        // What asks ahead is told its times one by one, by the same rule.
        expect(shown([...occurrences(text, zone, at - dayMs + 1, to + 1)])).toEqual(shown(all));
        // Temporal looks ahead from the day before, and from wherever in the night it was woken.
        for (const from of [at - dayMs, ...[-50, -10, 10, 40, 70, 130].map((minutes) => at + minutes * minuteMs)]) {
          const times = shown(await matching(id, from, to));
          expect(times, `from ${new Date(from).toISOString()}`).toEqual(shown(all.filter((time) => time > from)));
        }
        if (daily.includes(text)) expect(await matching(id, at - 12 * hourMs, at + 12 * hourMs)).toHaveLength(1);
      }
    });
  });

  it.each(['0 * * * *', '*/20 * * * *'])('%s leaves no hour out', async (text) => {
    await withSchedule(scheduleTimes(text, zone).spec, async (id) => {
      const step = text.startsWith('*') ? 20 * minuteMs : hourMs;
      for (const from of [now, ...changes.map((change) => momentOf(change) - 6 * hourMs)]) {
        const times = await matching(
          id,
          Math.floor(from / hourMs) * hourMs,
          Math.floor(from / hourMs) * hourMs + dayMs,
        );
        expect(times).toHaveLength(dayMs / step);
        expect(new Set(times.slice(1).map((time, index) => time - (times[index] ?? 0)))).toEqual(new Set([step]));
      }
    });
  });
});

it('the server alone does otherwise, which is why it is told', async () => {
  const spec = { cronExpressions: ['30 1 * * *'], timezone: 'America/New_York' };
  const night = Date.parse('2027-11-07T00:00:00Z');
  expect(await withSchedule(spec, (id) => matching(id, night, night + 12 * hourMs))).toHaveLength(2);
});
