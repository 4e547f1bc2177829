import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { findGuest, findHost } from '../../src/proxmox/find-guests.ts';
import type { InventoryReader, ListedGuest, SeenCluster } from '../../src/proxmox/inventory.ts';
import { failureOf } from './support.ts';

function guest(vmid: number, name: string, changes: Partial<ListedGuest> = {}): ListedGuest {
  return {
    cluster: 'homelab',
    host: 'pve1',
    vmid,
    type: 'qemu',
    name,
    node: 'pve1',
    state: 'running',
    tags: [],
    ...changes,
  };
}

const all = [
  guest(100, 'files'),
  guest(101, 'dns', { type: 'lxc', host: 'pve2', node: 'pve2', tags: ['net', 'prod'] }),
  guest(102, 'mail-server', { tags: ['prod'] }),
  guest(103, 'web'),
  guest(104, 'web'),
  guest(105, 'Proxy.example.com'),
  guest(106, '200'),
  guest(100, 'archive', { cluster: 'office', host: 'office', node: 'pve1' }),
  guest(110, 'dns2', { cluster: 'office', host: 'office', node: 'pve1', tags: ['Lonely'] }),
];
const clusters: SeenCluster[] = [
  { name: 'homelab', hosts: ['pve1', 'pve2'], via: 'pve1' },
  { name: 'office', hosts: ['office'], via: 'office' },
];

function inventoryOf(seen: readonly SeenCluster[] = clusters): InventoryReader {
  return {
    async read({ host } = {}) {
      const shown = seen.filter(({ hosts }) => host === undefined || hosts.includes(host));
      return {
        clusters: shown,
        guests: all.filter(({ cluster }) => shown.some((one) => one.via && one.name === cluster)),
      };
    },
  };
}
const find = (wanted: string | number, host?: string) => findGuest(inventoryOf(), { guest: wanted, host });

describe('a guest is found', () => {
  it.each([
    [101, 'dns'],
    ['101', 'dns'],
    ['dns', 'dns'],
    ['DNS', 'dns'],
    ['mail server', 'mail-server'],
    ['Mail_Server', 'mail-server'],
    ['proxy', 'Proxy.example.com'],
    ['proxy.example.com', 'Proxy.example.com'],
    ['net', 'dns'],
    ['#net', 'dns'],
    ['lonely', 'dns2'],
    ['VM 102', 'mail-server'],
    ['container 101 (dns)', 'dns'],
    ['lxc/101', 'dns'],
    ['pve1/100', 'files'],
    ['office/100', 'archive'],
    // A name of digits, where no guest has that number.
    ['200', '200'],
  ])('%s is %s', async (wanted, name) => {
    expect(await find(wanted)).toMatchObject({ name });
  });

  it('in the cluster of the host that is named', async () => {
    expect(await find(100, 'office')).toMatchObject({ name: 'archive', host: 'office' });
  });
});

describe('a guest is asked back', () => {
  it('where several have the name, with what tells them apart', async () => {
    const error = await failureOf(find('web'));
    expect(error).toMatchObject({ code: 'ambiguous', details: { field: 'guest', candidates: 2 } });
    expect(error.message).toContain('VM 103 (web) on pve1, running; VM 104 (web) on pve1, running');
    expect(error.remedy).toBe('Ask which one is meant; then give its number as guest.');
  });

  it('where two clusters have the number, with the host of each', async () => {
    const error = await failureOf(find(100));
    expect(error.code).toBe('ambiguous');
    expect(error.message).toContain('VM 100 (files) on pve1 of homelab, running (host: pve1)');
    expect(error.message).toContain('(host: office)');
    expect(error.remedy).toContain('its number as guest, and its host');
  });

  it('where several have the tag', async () => {
    expect((await failureOf(find('#prod'))).message).toContain('"#prod" could be 2 guests');
  });

  it('where a cluster that is away could have it as well', async () => {
    const problem = new ServiceError({
      code: 'proxmox-unavailable',
      message: 'office is off',
      remedy: 'Switch it on.',
    });
    const away = inventoryOf([...clusters.slice(0, 1), { name: 'office', hosts: ['office'], problem }]);
    const error = await failureOf(findGuest(away, { guest: 'files' }));
    expect(error.code).toBe('unavailable');
    expect(error.message).toContain('office (office is off)');
    expect(error.remedy).toBe('Where that one is meant, give host: pve1 as well.');
    expect(await findGuest(away, { guest: 'files', host: 'pve1' })).toMatchObject({ vmid: 100 });
    expect((await failureOf(findGuest(away, { guest: 'nothing' }))).remedy).toContain('office was not asked');
  });
});

describe('a guest that there is not', () => {
  it.each([
    ['mail', 'VM 102 (mail-server)'],
    ['fiels', 'VM 100 (files)'],
    ['the dns server', 'container 101 (dns)'],
    ['1022', 'VM 102 (mail-server)'],
  ])('%s: names %s as near', async (wanted, near) => {
    const error = await failureOf(find(wanted));
    expect(error.code).toBe('not-found');
    expect(error.remedy).toContain(near);
  });

  it('is never one whose name only has the text in it', async () => {
    expect((await failureOf(find('file'))).code).toBe('not-found');
  });

  it('says what the token may not see', async () => {
    const hidden = 'The API token a@pve!b sees no guest';
    const blind = inventoryOf([{ name: 'homelab', hosts: ['pve1'], hidden }]);
    expect((await failureOf(findGuest(blind, { guest: 'files' }))).remedy).toContain(hidden);
  });
});

describe('the cluster of many guests is found', () => {
  it('where only one has such guests, whatever selects them', async () => {
    const meant = (of: Parameters<typeof findHost>[1]) => findHost(inventoryOf(), of);
    expect(await meant({ tag: 'prod' })).toBe('pve1');
    expect(await meant({ tag: 'lonely' })).toBe('office');
    expect(await meant({ name: 'dns*', kind: 'vm' })).toBe('office');
    expect(await meant({ vmids: [101, 102] })).toBe('pve1');
    expect(await meant({ node: 'pve2', state: 'running' })).toBe('pve1');
  });

  it('or is asked for', async () => {
    const error = await failureOf(findHost(inventoryOf(), { name: 'dns*' }));
    expect(error.code).toBe('ambiguous');
    expect(error.message).toBe(
      'host: name dns* means guests of several clusters: 1 of homelab (host: pve1), 1 of office (host: office)',
    );
    expect(error.remedy).toContain('Ask which cluster is meant');
  });

  it('or is none, and a cluster that is away may be it', async () => {
    const none = await failureOf(findHost(inventoryOf(), { tag: 'nothing' }));
    expect([none.code, none.message]).toEqual(['not-found', 'None of the 9 guests of homelab, office has tag nothing']);
    const problem = new ServiceError({ code: 'proxmox-unavailable', message: 'office is off', remedy: '-' });
    const away = inventoryOf([...clusters.slice(0, 1), { name: 'office', hosts: ['office'], problem }]);
    const unsure = await failureOf(findHost(away, { tag: 'prod' }));
    expect(unsure.code).toBe('unavailable');
    expect(unsure.message).toContain('tag prod means guests of homelab, and could mean others');
  });
});
