/** A change of a time zone's clock, with the local times that it skips or repeats. */
export interface ClockChange {
  readonly kind: 'skipped' | 'repeated';
  /**
   * First and one after the last of them: the wall clock's time, as if it were UTC's, ms. What is repeated ends with a
   * full hour, for one zone that stops within (Pacific/Chatham).
   */
  readonly from: number;
  readonly to: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** No two changes of a zone are nearer to one another: Morocco's, around its month of fasting, are five weeks apart. */
const stepMs = 7 * dayMs;

/** The clock changes of a time zone between two moments (ms), in their order. Throws `RangeError` for a zone that there is not. */
export function clockChanges(timeZone: string, from: number, to: number): readonly ClockChange[] {
  const offset = offsetOf(timeZone);
  const changes: ClockChange[] = [];
  for (let time = from; time < to; time += stepMs) {
    const [before, after] = [offset(time), offset(time + stepMs)];
    if (before === after) continue;
    const at = momentOfChange(offset, time, time + stepMs);
    const [first, second] = [at + before, at + after];
    if (after > before) changes.push({ kind: 'skipped', from: first, to: second });
    else changes.push({ kind: 'repeated', from: second, to: Math.ceil(first / hourMs) * hourMs });
  }
  return changes;
}

/** How far a zone's clock is ahead of UTC at a moment, ms. */
export function offsetOf(timeZone: string): (time: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  return (time) => {
    const name = format.formatToParts(time).find(({ type }) => type === 'timeZoneName')?.value ?? '';
    const [, sign, hours = 0, minutes = 0] = /GMT([+-])(\d\d):(\d\d)/.exec(name) ?? [];
    return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * minuteMs;
  };
}

/** The moment when a wall clock shows a time, given as if it were UTC's; of a time that comes twice the first. */
export function fromWall(wall: number, offset: (time: number) => number): number {
  const [before, after] = [offset(wall - dayMs), offset(wall + dayMs)];
  const early = wall - Math.max(before, after);
  return early + offset(early) === wall ? early : wall - Math.min(before, after);
}

/** As {@link fromWall}; of a time that is skipped the moment when the clock is put forward. */
export function reachedAt(wall: number, offset: (time: number) => number): number {
  const moment = fromWall(wall, offset);
  const over = moment + offset(moment) - wall;
  return over === 0 ? moment : momentOfChange(offset, moment - over, moment);
}

/** The first whole minute of the new offset, between a moment of the old one and one of the new one. */
function momentOfChange(offset: (time: number) => number, before: number, after: number): number {
  let [low, high] = [Math.floor(before / minuteMs), Math.ceil(after / minuteMs)];
  const old = offset(before);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offset(middle * minuteMs) === old) low = middle;
    else high = middle;
  }
  return high * minuteMs;
}
