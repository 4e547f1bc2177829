import { distance } from 'fastest-levenshtein';

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
  const wanted = text
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_');
  const best = ['UTC', ...modern, ...Intl.supportedValuesOf('timeZone')]
    .map((name) => ({ name, edits: editsTo(name.toLowerCase(), wanted) }))
    .reduce((a, b) => (b.edits < a.edits ? b : a));
  return best.edits <= Math.max(1, Math.floor(wanted.length / 4)) ? best.name : undefined;
}

function editsTo(name: string, wanted: string): number {
  const city = name.slice(name.lastIndexOf('/') + 1);
  return Math.min(distance(name, wanted), wanted.includes('/') ? Number.POSITIVE_INFINITY : distance(city, wanted));
}
