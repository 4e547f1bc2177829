import type { SwitchState } from '../operations/switch.ts';
import { cleanLine } from './clean.ts';
import { readableTime } from './units.ts';

/** The kill switch in a sentence. */
export function switchWords({ on, since, by, why }: SwitchState, timeZone: string): string {
  if (since === undefined) return on ? 'All changes are stopped.' : 'Changes are allowed.';
  const who = by === undefined ? '' : ` by ${cleanLine(by.name, 100)}`;
  const reason = why ? `: ${cleanLine(why, 500)}` : '';
  const words = on ? 'All changes are stopped' : 'Changes are allowed';
  return `${words} since ${readableTime(since, timeZone)}${who}${reason}`;
}

/** Which hosts refuse changes by themselves, one a line; none where it isn't on. */
export function toldLines({ on, hosts }: SwitchState, timeZone: string): readonly string[] {
  if (!on) return [];
  if (hosts === undefined) return ['The hosts are not told yet.'];
  return hosts.map(({ host: name, at, why }) => {
    const host = cleanLine(name, 100);
    if (at !== undefined) return `${host} refuses changes itself since ${readableTime(at, timeZone)}.`;
    return why === undefined
      ? `${host} is not told yet.`
      : `${host} is not told yet, and is told again: ${cleanLine(why, 300)}`;
  });
}
