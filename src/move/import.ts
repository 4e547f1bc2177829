import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { createPrivateJson } from '../private-json.ts';
import { chosen, type MovedStore, readManifest } from './export.ts';
import { requireOwnLedger } from './ledger.ts';
import { openMoveFolder, requirePrivate } from './move-folder.ts';

export interface ImportOptions {
  readonly folder: string;
  readonly config: Config;
  readonly configFolder: string;
  readonly dryRun: boolean;
  readonly skip?: readonly string[];
  /** Only these: where what is kept in files and the server are reached from different places. */
  readonly only?: readonly string[];
  readonly say: (line: string) => void;
  /** The new server, which answers and has the search attributes. */
  readonly connect: () => Promise<Client>;
}

/** What was brought into this data folder: by the export's id, when each of its stores was. */
const content = z.record(z.uuid(), z.record(z.string(), z.iso.datetime()));

/**
 * Brings what was exported to the new server and into the new data folder, store by store: schedules last, so that nothing
 * begins before what judges and records it is there. May be cut off anywhere and done again: a store that was brought whole
 * is not brought again, whatever people have changed since.
 */
export async function importService(options: ImportOptions): Promise<readonly MovedStore[]> {
  const { folder, config, configFolder, dryRun, skip = [], only, say } = options;
  requirePrivate(folder);
  const stores = chosen(skip, only);
  requireOwnLedger(config, stores, `move import ${folder}`);
  const { id } = readManifest(folder, stores);
  const brought = createPrivateJson<z.infer<typeof content>>({
    path: join(config.dataDir, 'moved.json'),
    schema: content,
    empty: {},
    of: 'what was moved here',
    consequence: 'nothing is brought',
    anew: 'import again into an empty data folder',
  });
  const client = stores.some(({ keptBy }) => keptBy === 'server') ? await options.connect() : undefined;
  const common = { config, configFolder, dryRun, say };
  const done: MovedStore[] = [];
  for (const store of stores) {
    const at = brought.read()[id]?.[store.name];
    if (at !== undefined) {
      done.push({ store: store.name, text: `brought already, at ${at}` });
      continue;
    }
    const from = openMoveFolder(join(folder, store.name), { dryRun: true });
    const outcome =
      store.keptBy === 'files'
        ? await store.import(common, from)
        : await store.import({ ...common, client: client as Client }, from);
    done.push({ store: store.name, ...outcome });
    if (dryRun) continue;
    await brought.change((before) => ({
      content: { ...before, [id]: { ...before[id], [store.name]: new Date().toISOString() } },
      result: undefined,
    }));
  }
  return done;
}
