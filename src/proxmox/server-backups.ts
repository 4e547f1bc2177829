import { z } from 'zod';
import { isServiceError, ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxClient } from './client.ts';
import type { CallOptions } from './transport.ts';

/** A snapshot that a Proxmox Backup Server holds. */
export interface ServerBackup {
  /** `vm/100/2026-11-22T02:00:00Z` */
  readonly name: string;
  /** `vm/100`, of one namespace of one datastore. */
  readonly group: string;
  /** Of a VM or container. */
  readonly vmid?: number;
  /** `main`, or `main/site/pve1` with its namespace. */
  readonly where: string;
  /** ISO 8601, UTC. */
  readonly takenAt: string;
  readonly bytes?: number;
  readonly verified: 'ok' | 'failed' | 'none';
  /** It is being written, or was broken off. */
  readonly isUnfinished: boolean;
}

/** What of a server could be seen. */
export interface ServerBackups {
  /** Newest first. */
  readonly backups: readonly ServerBackup[];
  /** Datastores and namespaces that could not be read, and why. */
  readonly unseen: readonly { readonly where: string; readonly why: string }[];
}

/** So many namespaces of a datastore are read. */
const mostNamespaces = 100;

const stores = z.array(z.object({ store: z.string(), error: z.string().optional() }));
const namespaces = z.array(z.object({ ns: z.string().default('') }));
const snapshots = z.array(
  z.object({
    'backup-type': z.string(),
    'backup-id': z.string(),
    'backup-time': z.number().min(0).max(253_402_300_799),
    size: z.number().nullish(),
    verification: z.object({ state: z.string() }).nullish(),
  }),
);

/** The snapshots of all datastores that the API token may see. Throws where not even those can be listed. */
export async function readServerBackups(client: ProxmoxClient, options: CallOptions): Promise<ServerBackups> {
  const backups: ServerBackup[] = [];
  const unseen: { where: string; why: string }[] = [];
  const listed = await client.read(stores, '/status/datastore-usage', [], undefined, options);
  for (const { store, error } of listed) {
    if (error !== undefined) unseen.push({ where: store, why: cleanLine(error, 200) });
    else await within(store, () => readStore(store));
  }
  return { backups: backups.sort((a, b) => b.takenAt.localeCompare(a.takenAt)), unseen };

  async function readStore(store: string): Promise<void> {
    const all = await client
      .read(namespaces, '/admin/datastore/*/namespace', [store], undefined, options)
      .catch((error: unknown) => {
        // Before 2.2 there were none.
        if (isServiceError(error, 'proxmox-not-found')) return [{ ns: '' }];
        throw error;
      });
    if (all.length > mostNamespaces) unseen.push({ where: store, why: `It has ${all.length} namespaces.` });
    for (const { ns } of all.slice(0, mostNamespaces)) {
      const where = ns === '' ? store : `${store}/${ns}`;
      await within(where, async () => {
        const parameters = ns === '' ? undefined : { ns };
        const found = await client.read(snapshots, '/admin/datastore/*/snapshots', [store], parameters, options);
        backups.push(...found.map((one) => backupOf(cleanLine(where, 300), one)));
      });
    }
  }

  /** One that can't be read doesn't hide the others. */
  async function within(where: string, read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
      unseen.push({ where: cleanLine(where, 300), why: cleanLine(error.message, 200) });
    }
  }
}

function backupOf(where: string, one: z.output<typeof snapshots>[number]): ServerBackup {
  const { 'backup-type': type, 'backup-id': id, 'backup-time': time, size, verification } = one;
  const takenAt = new Date(time * 1000).toISOString();
  const group = cleanLine(`${type}/${id}`, 200);
  const isGuest = (type === 'vm' || type === 'ct') && /^[1-9]\d{2,8}$/.test(id);
  const bytes = size ?? 0;
  return {
    name: `${group}/${takenAt.replace('.000Z', 'Z')}`,
    group,
    where,
    takenAt,
    ...(isGuest && { vmid: Number(id) }),
    ...(bytes > 1 && { bytes }),
    verified: verification == null ? 'none' : verification.state === 'ok' ? 'ok' : 'failed',
    // Without an index, which is written last, there is no size.
    isUnfinished: bytes <= 1,
  };
}
