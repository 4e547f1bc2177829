import { digestOf } from '../../operations/digest.ts';
import { cleanLine } from '../../reports/clean.ts';

/** What a reading call said, small enough to be kept in a run's history and compared with a later one. */
export interface ApiState {
  /** `/nodes/pve1/qemu/100/config`, or the list that the thing is in. */
  readonly path: string;
  /** Of all of it but what changes by itself. */
  readonly digest: string;
  /** `memory` → `2048`, `10.pos` → `1`; the first of them. */
  readonly fields: Readonly<Record<string, string>>;
  /** Fields beyond those that are kept. */
  readonly more: number;
}

const most = { fields: 250, value: 200, depth: 12, walked: 20_000 } as const;

/** Figures that are others at each look. */
const volatile = new Set(
  'uptime cpu mem memhost disk netin netout diskread diskwrite loadavg wait idle pid starttime endtime freemem free available shared used avail used_fraction time localtime rss swap ksm balloon_min blockstat nics pressurecpusome pressurecpufull pressureiosome pressureiofull pressurememorysome pressurememoryfull last_sync next_sync duration digest'.split(
    ' ',
  ),
);
/** What tells one entry of a list from the others. */
const identities = ['id', 'vmid', 'volid', 'upid', 'sid', 'storage', 'poolid', 'pos', 'name', 'cidr', 'iface', 'node'];

/** The state that an answer shows. Secrets have to be out of it before. */
export function stateOf(path: string, data: unknown): ApiState {
  const fields: [string, string][] = [];
  let walked = 0;

  function walk(value: unknown, at: string, depth: number): void {
    walked += 1;
    if (walked > most.walked) return;
    if (typeof value !== 'object' || value === null || depth > most.depth) {
      fields.push([at || 'value', cleanLine(typeof value === 'object' ? '…' : String(value), most.value)]);
      return;
    }
    for (const [key, inner] of Array.isArray(value) ? listed(value) : Object.entries(value)) {
      if (isVolatile(key, inner)) continue;
      walk(inner, at === '' ? cleanLine(key, 80) : `${at}.${cleanLine(key, 80)}`, depth + 1);
    }
  }

  walk(data ?? 'nothing', '', 0);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    path,
    digest: digestOf(fields),
    fields: Object.fromEntries(fields.slice(0, most.fields)),
    more: Math.max(0, fields.length - most.fields),
  };
}

/** A setting of such a name is a text; the figure is a number. */
function isVolatile(key: string, value: unknown): boolean {
  return volatile.has(key) && (key === 'digest' || typeof value !== 'string' || /^[\d.]+$/.test(value));
}

function listed(list: readonly unknown[]): [string, unknown][] {
  const key = identities.find((name) => {
    const ids = list.map((item) => scalarIn(item, name));
    return ids.every((id) => id !== undefined) && new Set(ids).size === list.length;
  });
  return list.map((item, at) => [key === undefined ? String(at) : (scalarIn(item, key) ?? String(at)), item]);
}

function scalarIn(item: unknown, name: string): string | undefined {
  if (typeof item !== 'object' || item === null || !Object.hasOwn(item, name)) return undefined;
  const value = (item as Record<string, unknown>)[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}
