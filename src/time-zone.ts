import { distance } from 'fastest-levenshtein';
import type { Config } from './config.ts';

/** Today's names of zones that Node.js 20 and 22 call by an older one: both are right, people write these. */
const modern = [
  'Africa/Asmara',
  'America/Argentina/Buenos_Aires',
  'America/Argentina/Catamarca',
  'America/Argentina/Cordoba',
  'America/Argentina/Jujuy',
  'America/Argentina/Mendoza',
  'America/Atikokan',
  'America/Indiana/Indianapolis',
  'America/Kentucky/Louisville',
  'America/Nuuk',
  'Asia/Ho_Chi_Minh',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Asia/Yangon',
  'Atlantic/Faroe',
  'Europe/Kyiv',
  'Pacific/Chuuk',
  'Pacific/Kanton',
  'Pacific/Pohnpei',
];

/**
 * The one spelling of a time zone that every part understands. JavaScript takes `europe/berlin`, `utc` and the aliases of
 * other systems; a Temporal server looks for a file of exactly that name. `undefined` for what is no IANA time zone.
 */
export function canonicalTimeZone(text: string): string | undefined {
  const known = modern.find((name) => name.toLowerCase() === text.toLowerCase());
  if (known !== undefined) return known;
  // Offsets such as +02:00 are no zones for Temporal.
  if (!/^[A-Za-z]/.test(text)) return undefined;
  try {
    const name = new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone;
    return isShared(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

/** ICU also knows names of its own, such as SystemV/PST8PDT. */
function isShared(name: string): boolean {
  return name === 'UTC' || /^Etc\/GMT[+-]\d{1,2}$/.test(name) || Intl.supportedValuesOf('timeZone').includes(name);
}

/** The time zone that was most likely meant: by its whole name, or by its city alone. `undefined` when none is near. */
export function nearestTimeZone(text: string): string | undefined {
  const wanted = split(
    text
      .trim()
      .toLowerCase()
      .replace(/[\s-]+/g, '_'),
  );
  const best = ['UTC', ...modern, ...Intl.supportedValuesOf('timeZone')]
    .map((name) => ({ name, edits: editsTo(split(name.toLowerCase()), wanted) }))
    .reduce((a, b) => (b.edits < a.edits ? b : a));
  return best.edits === Number.POSITIVE_INFINITY ? undefined : best.name;
}

interface ZoneName {
  readonly region: string;
  readonly city: string;
}

function split(name: string): ZoneName {
  const slash = name.lastIndexOf('/');
  return { region: name.slice(0, Math.max(slash, 0)), city: name.slice(slash + 1) };
}

/** Infinite where it is another name, not a mistyped one. */
function editsTo(name: ZoneName, wanted: ZoneName): number {
  const region = wanted.region === '' ? 0 : distance(name.region, wanted.region);
  const city = distance(name.city, wanted.city);
  const isNear = region <= 2 && city <= Math.max(1, Math.floor(wanted.city.length / 4));
  return isNear ? region + city : Number.POSITIVE_INFINITY;
}

/**
 * The time zone in which people read what is said of a target: that of its host or hosts; of a fleet and of the service,
 * which have none, the one that all hosts share. UTC where zones differ, or nothing is known.
 *
 * @param target as a report and a run name it: `pve1`, `pve1/100`, `pve1,pve2`, `fleet`, `service`
 */
export function zoneOfTarget({ hosts }: Pick<Config, 'hosts'>, target: string): string {
  const names = target.split(',').map((part) => part.trim().replace(/\/.*$/, ''));
  const named = hosts.filter(({ name }) => names.includes(name));
  const [zone, ...others] = new Set((named.length > 0 ? named : hosts).map(({ timeZone }) => timeZone));
  return zone === undefined || others.length > 0 ? 'UTC' : zone;
}
