import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';

const unitSeconds: Readonly<Record<string, number>> = { m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** Unix seconds of a moment before now: `30m`, `2h`, `3d`, `1w`, or ISO 8601. Throws `invalid-input`. */
export function secondsOf(since: string, now = Date.now()): number {
  const [, count, unit = ''] = /^(\d{1,5}) ?([mhdw])$/.exec(since.trim()) ?? [];
  if (count !== undefined) return Math.floor(now / 1_000 - Number(count) * (unitSeconds[unit] ?? 0));
  const time = /^\d{4}-\d{2}-\d{2}/.test(since) ? Date.parse(since) : Number.NaN;
  if (Number.isFinite(time) && time <= now) return Math.floor(time / 1_000);
  throw new ServiceError({
    code: 'invalid-input',
    message: `since: ${JSON.stringify(cleanLine(since, 60))} is no time before now`,
    remedy: 'Write how long ago it was (30m, 2h, 3d, 1w), or a time as 2026-11-22T09:00:00Z.',
    details: { field: 'since' },
  });
}
