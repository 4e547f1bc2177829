import { offsetOf, reachedAt } from '../clock-changes.ts';
import { type ChangeWindow, weekdays } from './schema.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** A weekly window that a clock change skips comes again within two weeks. */
const aheadDays = 15;

/** A stretch of time, ms; `to` no longer belongs to it. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/**
 * When a window is open next, or now: the first stretch that ends after `now`. It opens once for each of its days, also
 * when the clock is changed: what would begin in time that is skipped begins at its end, and a time that comes twice
 * counts the first time. A window that is skipped as a whole is open as long as ever, after what was skipped.
 */
export function nextStretch(
  window: Pick<ChangeWindow, 'days' | 'from' | 'to'>,
  timeZone: string,
  now: number,
): Stretch {
  const offset = offsetOf(timeZone);
  const today = Math.floor((now + offset(now)) / dayMs) * dayMs;
  // From two days before: one over midnight may still be open, and a clock may have been put back.
  for (let day = today - 2 * dayMs; day <= today + aheadDays * dayMs; day += dayMs) {
    if (!window.days.some((name) => weekdays.indexOf(name) === new Date(day).getUTCDay())) continue;
    const stretch = stretchOf(window, day, offset);
    if (stretch.to > now) return stretch;
  }
  throw new Error('a window of no day');
}

/** @param day midnight by the wall clock, as if it were UTC's */
function stretchOf({ from, to }: Pick<ChangeWindow, 'from' | 'to'>, day: number, offset: (time: number) => number) {
  const [start, end] = [day + from * minuteMs, day + to * minuteMs + (to <= from ? dayMs : 0)];
  const opens = reachedAt(start, offset);
  const closes = reachedAt(end, offset);
  return { from: opens, to: closes > opens ? closes : opens + (end - start) };
}

/** Whether all of several windows' groups are open, and when they are next. A group is open when one of it is. */
export interface Opening {
  readonly isOpen: boolean;
  /** The first moment from now on at which it is open; absent where there is none within two weeks. */
  readonly opensAt?: number;
}

/**
 * When what needs several groups of windows may be done: all groups have to be open at the same time, each by any one of
 * its windows.
 */
export function openingOf(
  groups: readonly (readonly { readonly window: ChangeWindow; readonly timeZone: string }[])[],
  now: number,
): Opening {
  let time = now;
  // Each round jumps to the next opening of what is closed; rounds end, because time only grows.
  while (time <= now + aheadDays * dayMs) {
    let next = time;
    for (const group of groups) {
      const opens = group.map(({ window, timeZone }) => Math.max(time, nextStretch(window, timeZone, time).from));
      next = Math.max(next, Math.min(...opens));
    }
    if (next === time) return { isOpen: time === now, opensAt: time };
    time = next;
  }
  return { isOpen: false };
}
