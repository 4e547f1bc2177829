import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { clusterNamed, guestOrders, listGuests, notesOf } from '../../src/proxmox/guest-list.ts';
import type { Inventory, ListedGuest } from '../../src/proxmox/inventory.ts';

const states = ['running', 'stopped', 'paused', 'template'] as const;

/** Two clusters of a hundred guests each, with the same numbers. */
const guests: ListedGuest[] = ['alpha', 'beta'].flatMap((cluster) =>
  Array.from({ length: 100 }, (_, at): ListedGuest => {
    const type = at % 3 === 0 ? 'lxc' : 'qemu';
    return {
      cluster,
      host: cluster,
      vmid: 100 + at,
      type,
      name: `${at % 2 === 0 ? 'web' : 'db'}-${cluster}-${at}`,
      node: `pve${at % 4}`,
      state: states[at % 4] ?? 'running',
      tags: at % 5 === 0 ? ['Prod', 'net'] : [],
      ...(at % 10 === 0 && { pool: 'office' }),
      cpu: (at % 7) / 10,
      cpus: 2,
      memory: (at % 9) * 2 ** 30,
      maxMemory: 2 ** 34,
      maxDisk: 2 ** 35,
      ...(at % 4 === 0 && { uptimeSeconds: at * 1_000 }),
    };
  }),
);
const clusters = ['alpha', 'beta'].map((name) => ({ name, hosts: [name], via: name }));
const inventory: Inventory = { guests, clusters };
const page = { limit: 1_000 };
const found = (filter: Parameters<typeof listGuests>[1]) => listGuests(inventory, filter, page);

describe('the list of guests', () => {
  it.each([
    [{ kind: 'container' } as const, ({ type }: ListedGuest) => type === 'lxc'],
    [
      { kind: 'vm', state: 'running' } as const,
      ({ type, state }: ListedGuest) => type === 'qemu' && state === 'running',
    ],
    [{ node: 'pve3', cluster: 'beta' }, ({ node, cluster }: ListedGuest) => node === 'pve3' && cluster === 'beta'],
    [{ tag: 'prod' }, ({ tags }: ListedGuest) => tags.includes('Prod')],
    [{ tag: '#PROD', pool: 'office' }, ({ tags, pool }: ListedGuest) => tags.includes('Prod') && pool === 'office'],
    [{ name: 'WEB' }, ({ name }: ListedGuest) => name.includes('web')],
    [{ name: 'web-*-4?' }, ({ name }: ListedGuest) => /^web-.*-4.$/.test(name)],
    [{ name: '*-beta-*' }, ({ name }: ListedGuest) => /-beta-/.test(name)],
  ])('of %j has those and no others', (filter, is) => {
    const { total, rows, columns } = found(filter);
    expect(total).toBe(guests.filter(is).length);
    expect(total).toBeGreaterThan(0);
    expect(rows.map((row) => `${row[columns.indexOf('cluster')]}/${row[0]}`)).toEqual(
      guests.filter(is).map(({ cluster, vmid }) => `${cluster}/${vmid}`),
    );
  });

  it('counts what it shows', () => {
    expect(found({}).summary).toBe('200 guests in 2 clusters: 50 paused, 50 running, 50 stopped, 50 template');
    expect(found({ pool: 'office', state: 'running' }).summary).toBe('10 of 200 guests in 2 clusters: 10 running');
    expect(found({ name: 'nobody' }).summary).toBe('0 of 200 guests in 2 clusters');
  });

  it('takes a pattern of many stars in no time', () => {
    const begun = performance.now();
    found({ name: `${'*a'.repeat(40)}*x` });
    expect(performance.now() - begun).toBeLessThan(500);
  });

  it.each(guestOrders)('comes page by page, sorted by %s, each guest once', (sort) => {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const next = listGuests(inventory, {}, { limit: 30, cursor, sort });
      seen.push(...next.rows.map((row) => `${row[next.columns.indexOf('cluster')]}/${row[0]}`));
      cursor = next.cursor;
    } while (cursor !== undefined);
    expect(seen).toHaveLength(200);
    expect(new Set(seen).size).toBe(200);
    const whole = listGuests(inventory, {}, { ...page, sort });
    expect(whole.rows.map((row) => `${row[whole.columns.indexOf('cluster')]}/${row[0]}`)).toEqual(seen);
  });

  it('goes on behind the last one, whatever has come or gone meanwhile', () => {
    const first = listGuests(inventory, { cluster: 'alpha' }, { limit: 10 });
    const less = { guests: guests.filter(({ vmid }) => vmid !== 109 && vmid !== 110), clusters };
    const next = listGuests(less, { cluster: 'alpha' }, { limit: 2, cursor: first.cursor });
    expect(next.rows.map(([vmid]) => vmid)).toEqual([111, 112]);
  });

  it('refuses a cursor of another order, or of nothing', () => {
    const { cursor } = listGuests(inventory, {}, { limit: 1, sort: 'name' });
    for (const wrong of [
      cursor,
      'x',
      '',
      Buffer.from('[]').toString('base64url'),
      Buffer.from('{}').toString('base64url'),
    ])
      expect(() => listGuests(inventory, {}, { limit: 1, cursor: wrong })).toThrow(
        /cursor: .* is none that an answer gave/,
      );
  });

  it('of a hundred guests is as long as a page of text', () => {
    const { rows, columns } = listGuests({ guests: guests.slice(0, 100), clusters: clusters.slice(0, 1) }, {}, page);
    expect(JSON.stringify({ columns, rows }).length).toBeLessThan(10_000);
    // What no guest has takes no room.
    expect(columns).not.toContain('lock');
    expect(columns).not.toContain('cluster');
  });

  it('names clusters that are away', () => {
    const problem = new ServiceError({ code: 'proxmox-unavailable', message: 'beta is off.', remedy: 'Switch it on.' });
    expect(notesOf([{ name: 'beta', hosts: ['b1', 'b2'], problem }])).toEqual([
      'beta (b1, b2) was not asked, and its guests are missing here: beta is off. Switch it on.',
    ]);
    expect(clusterNamed(inventory, 'beta', [])).toBe('beta');
    expect(() => clusterNamed(inventory, 'gamma', ['pve1'])).toThrow('there is no host or cluster "gamma"');
  });
});
