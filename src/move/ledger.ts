import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { ledgerPaths, segmentsIn } from '../ledger/paths.ts';
import { requireUnbroken, verifyFolder } from '../ledger/verify-folder.ts';
import type { LedgerVerification } from '../operations/ledger.ts';
import { syncFolderOf } from '../private-file.ts';
import { acquireKernelLock } from '../service/kernel-lock.ts';
import { copyPrivate, makePrivateFolder } from './move-folder.ts';
import type { FileStore } from './store.ts';

/** Everything of a ledger but who has it open. */
const isPart = (name: string) => /^(\d{4,}\.sqlite(-wal|-journal)?|ledger\.key|head)$/.test(name);

/** The ledger: all of it or nothing, verified on both sides. A ledger is one chain, so that two can't become one. */
export const ledgerStore: FileStore = {
  name: 'ledger',
  keptBy: 'files',

  async export({ config, dryRun }, into) {
    const folder = join(config.dataDir, 'ledger');
    if (!existsSync(folder) || segmentsIn(folder).length === 0) return { text: 'no records' };
    // Whoever has it open would have to stop first.
    if (dryRun) return { text: `${segmentsIn(folder).length} segments, as they are when the service has stopped` };
    return alone(folder, async () => {
      // Of an earlier try, when there was less.
      rmSync(into.path, { recursive: true, force: true });
      for (const name of readdirSync(folder).filter(isPart)) into.take(join(folder, name), name);
      return { text: textOf(await verified(into.path)) };
    });
  },

  async import({ config, dryRun }, from) {
    if (from.names().length === 0) return { text: 'no records' };
    const brought = await verified(from.path);
    const folder = join(config.dataDir, 'ledger');
    if (existsSync(folder) && segmentsIn(folder).length > 0 && (await alone(folder, () => isSame(folder, brought)))) {
      return { text: `${textOf(brought)}, as here already` };
    }
    if (dryRun) return { text: textOf(brought) };
    const draft = `${folder}.moving`;
    rmSync(draft, { recursive: true, force: true });
    makePrivateFolder(draft);
    for (const name of from.names().filter(isPart)) copyPrivate(join(from.path, name), join(draft, name));
    await verified(draft);
    await alone(folder, async () => undefined);
    // One in which nothing was ever written, of a worker that was started and stopped.
    rmSync(folder, { recursive: true, force: true });
    renameSync(draft, folder);
    syncFolderOf(folder);
    return { text: textOf(brought) };
  },
};

/**
 * The ledger is taken from, or put into, this process's data folder: refuses where that is another process's, so that a ledger is
 * neither missed nor put where nobody reads it. Throws `configuration`.
 */
export function requireOwnLedger(
  { compose, worker, dataDir }: Pick<Config, 'compose' | 'worker' | 'dataDir'>,
  stores: readonly { readonly name: string }[],
  command: string,
): void {
  const isElsewhere = worker.ledger === 'never' || (compose !== undefined && worker.ledger !== 'only');
  const isMixed = compose !== undefined && stores.length > 1;
  if (!stores.some(({ name }) => name === ledgerStore.name) || !(isElsewhere || isMixed)) return;
  const how =
    compose === undefined
      ? `there, with its configuration: npx proxmox-mcp ${command} --only ledger`
      : `in /opt/proxmox-mcp: ${ledgerCommand(command)}`;
  throw new ServiceError({
    code: 'configuration',
    message: `The ledger is not among what lies in ${dataDir}: one process alone has it, in a data folder of its own. Nothing was changed`,
    remedy: `Each for itself: first the rest, with --skip ledger. Then the ledger, while the service is stopped, ${how}`,
  });
}

const ledgerVolume = '/var/lib/proxmox-mcp/ledger';

/** With Compose: what reaches the ledger's volume, which no container but `ledger` has. */
export function ledgerCommand(command: string): string {
  const settings = [`DATA_DIR=${ledgerVolume}`, `TMPDIR=${ledgerVolume}`, 'WORKER_LEDGER=only'];
  return `docker compose run --rm --no-deps -v mcp_ledger:${ledgerVolume} ${settings.map((one) => `-e ${one}`).join(' ')} cli ${command} --only ledger`;
}

async function alone<Result>(folder: string, work: () => Promise<Result>): Promise<Result> {
  const claim = acquireKernelLock(ledgerPaths(folder).claim);
  if (!claim.held) {
    throw new ServiceError({
      code: 'conflict',
      message: `A worker has the ledger in ${folder} open (process ${claim.holder.pid})`,
      remedy: 'Stop the service, then run this again: it goes on where it was.',
    });
  }
  try {
    return await work();
  } finally {
    claim.release();
  }
}

function verified(folder: string): Promise<LedgerVerification> {
  return requireUnbroken(folder, {
    called: `The ledger in ${folder}`,
    remedy:
      'Look at it with `npx proxmox-mcp ledger verify`. Where the copy is damaged, export anew. To go without it: --skip ledger',
  });
}

/** Whether what is here is what was brought, or has gone on from there; false where it is empty. Throws `conflict`. */
async function isSame(folder: string, { head }: LedgerVerification): Promise<boolean> {
  const here = await verifyFolder(folder, head === undefined ? [] : [{ seq: head.seq, hash: head.hash }]);
  if (here.verdict !== 'broken' && (head === undefined || here.anchors.matched === 1)) return true;
  if (here.records === 0) return false;
  throw new ServiceError({
    code: 'conflict',
    message: `There is another ledger in ${folder} already (${here.records} records), and two can't become one`,
    remedy: `Stop the service, move that folder away, and import again: its records can then be looked at with \`npx proxmox-mcp ledger verify --folder\`. To keep it instead: --skip ledger`,
  });
}

function textOf({ records, head }: LedgerVerification): string {
  return head === undefined ? 'no records' : `${records} records, up to ${head.seq}`;
}
