/** When a host's clock said it, for reading log lines that carry no zone, and perhaps no year. */
export interface HostClock {
  /** Seconds since 1970. */
  readonly now: number;
  /** Offsets from UTC in seconds now and 24 hours ago; they differ when daylight saving changed in between. */
  readonly offset: number;
  readonly earlierOffset: number;
}

/** `+0530` → 19800. */
export function readOffset(text: string): number | undefined {
  const [, sign, hours, minutes] = /^([+-])(\d\d):?(\d\d)$/.exec(text) ?? [];
  if (sign === undefined) return undefined;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * The time of a log line in seconds since 1970: classic syslog and sudo's own log (`Nov 22 23:00:01`, the year perhaps
 * after it), ISO 8601 as rsyslog writes since Debian 12, journalctl's `short-unix`, and sudo's JSON log.
 * `undefined`: none of these.
 */
export function readLogTime(line: string, clock: HostClock): number | undefined {
  const unix = /^(\d{9,11})\.\d+ /.exec(line);
  if (unix) return Number(unix[1]);
  const json = /"server_time":\s*\{\s*"seconds":\s*(\d+)/.exec(line);
  if (json) return Number(json[1]);
  const iso = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?\s*(Z|[+-]\d\d:?\d\d)?/.exec(line);
  if (iso) {
    const local = Date.parse(`${iso[1]}T${iso[2]}Z`) / 1000;
    if (Number.isNaN(local)) return undefined;
    if (iso[3] === undefined) return atHost(local, clock);
    return local - (iso[3] === 'Z' ? 0 : (readOffset(iso[3]) ?? 0));
  }
  const classic = /^([A-Z][a-z]{2})\s+(\d{1,2}) (\d\d):(\d\d):(\d\d)(?: (\d{4}))?\b/.exec(line);
  const month = months.indexOf(classic?.[1] ?? '');
  if (!classic || month < 0) return undefined;
  const [day, hour, minute, second] = classic.slice(2, 6).map(Number);
  const at = (year: number) => Date.UTC(year, month, day, hour, minute, second) / 1000;
  if (classic[6] !== undefined) return atHost(at(Number(classic[6])), clock);
  // No year: the latest that isn't in the future; a day is left for clocks that were set back.
  const year = new Date((clock.now + clock.offset) * 1000).getUTCFullYear();
  const thisYear = atHost(at(year), clock);
  return thisYear > clock.now + 86_400 ? atHost(at(year - 1), clock) : thisYear;
}

/** Local time to UTC. In the hour that an autumn change repeats, the later reading wins, so that nothing is missed. */
function atHost(local: number, clock: HostClock): number {
  const candidates = [local - clock.offset, local - clock.earlierOffset].filter((time) => time <= clock.now + 60);
  return candidates.length === 0 ? local - clock.offset : Math.max(...candidates);
}
