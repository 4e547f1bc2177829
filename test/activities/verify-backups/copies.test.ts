import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  compareWithPlace,
  judgePlace,
  judgeWithoutCopy,
  whichToCompare,
} from '../../../src/activities/verify-backups/copies.ts';
import { createVerifyBackupsActivities } from '../../../src/activities/verify-backups/verify-backups.ts';
import { encryptTo } from '../../../src/backups/copies/age.ts';
import { type CopyStore, createCopyStore } from '../../../src/backups/copies/store.ts';
import type { Archive } from '../../../src/hosts/commands/back-up/archives.ts';
import type { Hosts } from '../../../src/hosts/host.ts';
import type { ProxmoxApis } from '../../../src/proxmox/connect.ts';

// Real copies in a folder of their own, of a host that nobody asks.

const folder = mkdtempSync(join(tmpdir(), 'pmx-verify-copies-'));
const nights = ['20261120', '20261121', '20261122'].map((day) => `daily-backup-${day}-020000`);
const [oldest = '', middle = '', newest = ''] = nights;
const now = Date.parse('2026-11-22T04:00:00Z');
let clock = now;
let store: CopyStore;
let recipient: string;

beforeAll(async () => {
  recipient = await identityToRecipient(await generateX25519Identity());
});
beforeEach(async () => {
  clock = now - 30 * 86_400_000;
  rmSync(folder, { recursive: true, force: true });
  store = createCopyStore(folder, () => new Date(clock));
  for (const backup of nights) await write(backup);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function write(backup: string): Promise<void> {
  const content = randomBytes(1000);
  const archive = { bytes: 1000, sha256: 'a'.repeat(64), publishedAt: '2026-11-22T02:05:00Z' };
  await store.write('pve1', backup, { recipients: [recipient], encryptedBy: 'service', archive }, async (to) => {
    const encrypting = await encryptTo([recipient]);
    const done = pipeline(encrypting, to);
    encrypting.end(content);
    await done;
    return { plainBytes: content.length };
  });
}

function archive(id: string, more: Partial<Archive> = {}): Archive {
  const at = '2026-11-20T02:05:00.000Z';
  const sums = { sha256: 'a'.repeat(64), manifestSha256: 'b'.repeat(64) };
  return { id, bytes: 1000, writtenAt: at, publishedAt: at, state: 'verified', ...sums, ...more };
}

describe('which copies are compared', () => {
  it('the newest one, and those that nobody has compared for a week, first those of longest ago', async () => {
    expect(whichToCompare(store.list('pve1'), now)).toEqual([newest, middle, oldest]);
    clock = now - 2 * 86_400_000;
    await store.verify('pve1', middle, undefined);
    expect(whichToCompare(store.list('pve1'), now)).toEqual([newest, oldest]);
    clock = now - 8 * 86_400_000;
    for (const one of [oldest, newest]) await store.verify('pve1', one, undefined);
    expect(whichToCompare(store.list('pve1'), now)).toEqual([newest, oldest]);
    expect(whichToCompare(store.list('pve1'), now, true)).toEqual([newest, middle, oldest]);
  });

  it('no more than 200 GiB of the older ones, but one in any case', () => {
    const large = store.list('pve1').map((one) => ({ ...one, bytes: 150 * 1024 ** 3 }));
    expect(whichToCompare(large, now)).toEqual([newest, middle]);
  });

  it('none of which it is known that it is another', async () => {
    truncateSync(join(folder, 'pve1', `${newest}.age`), 10);
    rmSync(join(folder, 'pve1', `${middle}.age`));
    expect(whichToCompare(store.list('pve1'), now)).toEqual([oldest]);
  });
});

describe('what lies on the host alone', () => {
  it('is named, once it should have been copied', () => {
    const copies = store.list('pve1');
    const archives = nights.map((id) => archive(id));
    expect(judgeWithoutCopy(archives, copies, now, 'pve1')).toEqual([]);
    const more = [
      archive('full-backup-20261115-010000'),
      archive('full-backup-20261108-010000', { state: 'doubted' }),
      archive('full-backup-20261122-010000', { publishedAt: '2026-11-22T01:30:00.000Z' }),
    ];
    rmSync(join(folder, 'pve1', `${middle}.age`));
    expect(judgeWithoutCopy([...archives, ...more], store.list('pve1'), now, 'pve1')).toMatchObject([
      { verdict: 'warning', summary: `They lie on pve1 alone: ${middle}, full-backup-20261115-010000.` },
    ]);
  });
});

describe('a further place', () => {
  const place = 'rclone:nas:copies';
  const judged = (sizes: Record<string, number>) => {
    const copies = store.list('pve1');
    const brought = copies.filter(({ places }) => place in places);
    const found = compareWithPlace(brought, new Map(Object.entries(sizes)));
    return judgePlace(place, { brought, copies }, found, 'pve1');
  };

  it('that holds what was brought there is well; what is gone, has another size or was never brought is named', () => {
    for (const backup of nights) store.placed('pve1', backup, place);
    const { size } = statSync(join(folder, 'pve1', `${newest}.age`));
    const all = Object.fromEntries(nights.map((backup) => [backup, size]));
    expect(judged(all)).toMatchObject([{ verdict: 'ok', value: 3 }]);
    const { [oldest]: _gone, ...less } = all;
    expect(judged({ ...less, [middle]: size - 1 })).toMatchObject([
      { verdict: 'failed', value: 2, summary: expect.stringContaining(`${oldest} (gone)`) },
    ]);
    store.displaced('pve1', newest, place);
    expect(judged(all)).toMatchObject([
      { verdict: 'warning', summary: `Not there yet: ${newest}.`, remedy: expect.stringContaining('copy-backups') },
    ]);
    expect(Object.keys(store.find('pve1', middle)?.places ?? {})).toEqual([place]);
  });
});

describe('the record of a copy', () => {
  it('that was brought to a place while it was compared keeps that', async () => {
    const placing = store.verify('pve1', newest, undefined, {
      onBytes: () => store.placed('pve1', newest, 'restic:/srv'),
    });
    expect(await placing).toMatchObject({ whole: true });
    expect(store.find('pve1', newest)).toMatchObject({ checked: { proves: 'ciphertext' } });
    expect(Object.keys(store.find('pve1', newest)?.places ?? {})).toEqual(['restic:/srv']);
  });

  it('that was removed while it was compared stays away', async () => {
    const verifying = store.verify('pve1', newest, undefined, {
      onBytes: () => rmSync(join(folder, 'pve1', `${newest}.json`)),
    });
    await verifying;
    expect(store.find('pve1', newest)).toBeUndefined();
  });
});

describe('of a host that is lost', () => {
  it('the copies are judged, without asking it', async () => {
    const hosts = { get: () => ({ name: 'pve1', config: { name: 'pve1', copies: { recipients: [] } } }) };
    const { judgeListOfCopies } = createVerifyBackupsActivities({
      hosts: hosts as unknown as Hosts,
      proxmox: {} as ProxmoxApis,
      config: { copies: { folder, remotes: ['rclone:nas:copies'] } },
    });
    rmSync(join(folder, 'pve1', `${middle}.age`));
    const found = await judgeListOfCopies({ host: 'pve1', all: true, archives: false });
    expect(found.compare).toEqual([newest, oldest]);
    expect(found.places).toEqual(['rclone:nas:copies']);
    expect(found.findings).toContainEqual(
      expect.objectContaining({ check: 'Broken copies', verdict: 'failed', summary: expect.stringContaining(middle) }),
    );
  });
});
