import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import { listBackups } from '../../hosts/commands/back-up/archives.ts';
import { compareBackups, type Differences } from '../../hosts/commands/compare-backups/compare.ts';
import type { Hosts } from '../../hosts/host.ts';
import type { compareBackups as definition } from '../../operations/compare-backups.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { cleanLine } from '../../reports/clean.ts';
import { runJob } from '../lib/run-job.ts';
import { type Chosen, choose, type Wanted } from './choose.ts';

export const queue = 'host';

type Output = z.output<typeof definition.output>;

/** What the host itself found. */
export type Compared = Pick<Output, 'parts' | 'notCompared' | 'files' | 'packages' | 'guests'> & {
  /** Lines of its answer that nobody understands. */
  readonly notUnderstood: number;
};

/** What changed on a host. Both only look. */
export interface CompareActivities {
  chooseBackups(input: Wanted): Promise<Chosen>;
  compareBackups(input: { readonly host: string; readonly from: string; readonly to: string }): Promise<Compared>;
}

export function createCompareActivities({
  hosts,
  proxmox,
}: {
  readonly hosts: Hosts;
  readonly proxmox: Pick<ProxmoxApis, 'hosts'>;
}): CompareActivities {
  return {
    async chooseBackups(wanted) {
      const found = await hosts.get(wanted.host).run(listBackups, {}, { signal: Context.current().cancellationSignal });
      return choose(wanted, found, proxmox.hosts.find(({ name }) => name === wanted.host)?.timeZone ?? 'UTC');
    },

    async compareBackups({ host, from, to }) {
      return told(await runJob(hosts.get(host), compareBackups, { backup: from, later: to }, { step: 'compare' }));
    },
  };
}

const longest = 400;

function told(found: Differences): Compared {
  return {
    parts: sums(found.count),
    notCompared: found.only.map(
      ([side, part, count]) => `${part}: ${count} entries, only in the ${side === 'a' ? 'earlier' : 'later'} one`,
    ),
    files: files(found),
    packages: {
      ...(found.packages !== 'unknown' && { count: found.packages }),
      changes: found.package.map(([name, from, to]) => ({
        name,
        ...(from !== '-' && { from }),
        ...(to !== '-' && { to }),
      })),
    },
    guests: guests(found),
    notUnderstood: found.notUnderstood,
  };
}

/** What is found by reading is counted in a second line of its part. */
function sums(counts: Differences['count']): Output['parts'] {
  const parts = new Map<string, Output['parts'][number]>();
  for (const one of counts) {
    const { part } = one;
    const sum = parts.get(part) ?? { part, added: 0, removed: 0, changed: 0, touched: 0, volatile: 0 };
    parts.set(part, {
      part,
      added: sum.added + one.added,
      removed: sum.removed + one.removed,
      changed: sum.changed + one.changed,
      touched: sum.touched + one.touched,
      volatile: sum.volatile + one.volatile,
    });
  }
  return [...parts.values()].sort((a, b) => a.part.localeCompare(b.part));
}

function files(found: Differences): Output['files'] {
  const numbers = new Map(found.text.map(([number, path]) => [path, number]));
  const lone = (change: 'added' | 'removed') => (one: Differences['added'][number]) => ({
    path: one.path,
    change,
    what: types[one.type],
    bytes: [one.bytes],
  });
  return [
    ...found.changed.map((one) => {
      const number = numbers.get(one.path);
      const lines = found.line.flatMap(([of, text]) => (of === number ? [cleanLine(text, longest)] : []));
      return {
        path: one.path,
        change: 'changed' as const,
        what: one.what
          .map((what) =>
            what === 'mode'
              ? `mode ${one.mode.join(' to ')}`
              : what === 'owner'
                ? `owner ${one.owner.join(' to ')}`
                : what,
          )
          .join(', '),
        bytes: [...one.bytes],
        ...(lines.length > 0 && { lines }),
        ...(number !== undefined && found.cut.includes(number) && { more: true as const }),
      };
    }),
    ...found.added.map(lone('added')),
    ...found.removed.map(lone('removed')),
  ];
}

const types = { f: 'file', d: 'folder', l: 'link', p: 'fifo', b: 'device', c: 'device', s: 'socket' } as const;

function guests(found: Differences): Output['guests'] {
  const settings = new Map<number, Output['guests'][number]['settings']>();
  for (const [name, from, to] of found.setting) {
    const at = name.indexOf(' ');
    const vmid = Number(name.slice(0, at));
    const all = settings.get(vmid) ?? [];
    all.push({ setting: name.slice(at + 1), from: cleanLine(from, longest), to: cleanLine(to, longest) });
    settings.set(vmid, all);
  }
  return [
    ...[...settings].map(([vmid, all]) => ({ vmid, change: 'changed' as const, settings: all })),
    ...found.guest.map(([vmid, , , change]) => ({ vmid: Number(vmid), change, settings: [] })),
  ].sort((a, b) => a.vmid - b.vmid);
}
