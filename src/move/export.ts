import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { packageVersion } from '../package.ts';
import { idsOf, openRuns as isOpen } from '../runs/list-runs.ts';
import { requireOwnLedger } from './ledger.ts';
import { type MoveFolder, openMoveFolder, requirePrivate } from './move-folder.ts';
import { pauseSchedules, resumeSchedules } from './schedules.ts';
import type { MoveOutcome, MoveStore } from './store.ts';
import { moveStores } from './stores.ts';

const manifestFile = 'move.json';

export const manifest = z.object({
  format: z.literal(1),
  id: z.uuid(),
  version: z.string(),
  from: z.string(),
  startedAt: z.iso.datetime(),
  /** When each store was read, by its name. */
  stores: z.record(z.string(), z.iso.datetime()),
});
export type Manifest = z.infer<typeof manifest>;

export interface ExportOptions {
  readonly folder: string;
  readonly config: Config;
  readonly configFolder: string;
  readonly dryRun: boolean;
  /** Names of stores that stay behind. */
  readonly skip?: readonly string[];
  /** Only these: where the ledger lies in another place than the rest. */
  readonly only?: readonly string[];
  readonly say: (line: string) => void;
  /** Undefined where the server doesn't answer. */
  readonly connect: () => Promise<Client | undefined>;
  /** Called when the schedules were paused, for the record. */
  readonly paused: (client: Client) => Promise<void>;
  /** Ends the old service, so that its files can be read. */
  readonly stop: () => Promise<void>;
  /** How long runs that only look are waited for. Default 60 s. */
  readonly settleMs?: number;
}

export interface MovedStore extends MoveOutcome {
  readonly store: string;
}

/**
 * Reads everything that comes along into a folder: first what the server has, after its schedules were paused, then, with the
 * service stopped, what stands in files. Throws `conflict` while something is changed or asked. May be cut off anywhere and
 * done again; once the server has given what it has, it need not run any more.
 */
export async function exportService(options: ExportOptions): Promise<readonly MovedStore[]> {
  const { folder, config, dryRun, skip = [], only, say } = options;
  requirePrivate(folder);
  const root = openMoveFolder(folder, { dryRun });
  const stores = chosen(skip, only);
  requireOwnLedger(config, stores, `move export ${folder}`);
  let state = root.has(manifestFile) ? root.read(manifestFile, manifest) : begun(config);
  root.write(manifestFile, state);
  const common = { config, configFolder: options.configFolder, dryRun, say };
  const done: MovedStore[] = [];

  const client = ofServer().length === 0 ? undefined : await options.connect();
  if (ofServer().length === 0) say('Of the Temporal server nothing is read.');
  else if (client !== undefined) await readServer(client);
  else if (ofServer().some(({ name }) => state.stores[name] === undefined)) throw serverAway();
  else say('The Temporal server does not answer; what it has was read before.');
  if (!dryRun) await options.stop();
  for (const store of stores) {
    if (store.keptBy !== 'files') continue;
    done.push({ store: store.name, ...(await store.export(common, partOf(store))) });
    keep(store);
  }
  return done;

  async function readServer(client: Client): Promise<void> {
    try {
      await requireQuiet(client);
      // Brought last, and read first: from then on nothing begins by itself.
      const schedules = ofServer().find(({ name }) => name === 'schedules');
      if (schedules !== undefined) await read(schedules);
      if (!dryRun && schedules !== undefined) {
        await pauseSchedules(client);
        await options.paused(client);
      }
      await settle(client);
      for (const store of ofServer()) if (store !== schedules) await read(store);
      await settle(client);
    } catch (error) {
      // It goes on as if nothing had been asked; what was read will be too old.
      if (!dryRun) {
        await resumeSchedules(client);
        state = { ...state, stores: {} };
        root.write(manifestFile, state);
      }
      throw error;
    }

    async function read(store: Extract<MoveStore, { keptBy: 'server' }>): Promise<void> {
      done.push({ store: store.name, ...(await store.export({ ...common, client }, partOf(store))) });
      keep(store);
    }
  }

  function ofServer() {
    return stores.filter((store) => store.keptBy === 'server');
  }

  function partOf({ name }: MoveStore): MoveFolder {
    return openMoveFolder(join(folder, name), { dryRun });
  }

  function keep({ name }: MoveStore): void {
    state = { ...state, stores: { ...state.stores, [name]: new Date().toISOString() } };
    root.write(manifestFile, state);
  }

  /** What only looks is over soon; what began in the last moment is waited for, too. */
  async function settle(client: Client): Promise<void> {
    if (dryRun) return;
    const deadline = Date.now() + (options.settleMs ?? 60_000);
    for (let told = false; ; told = true) {
      const going = await goingOn(client);
      if (going.length === 0) return;
      await requireQuiet(client);
      if (Date.now() > deadline) throw stillGoing(going);
      if (!told) say(`Waiting for ${going.join(', ')}`);
      await sleep(500);
    }
  }
}

/**
 * The service stays where it is: the schedules that the export paused fire again, and what was exported counts for nothing.
 * Gives their ids.
 */
export async function cancelExport(client: Client, folder: string): Promise<readonly string[]> {
  rmSync(join(folder, manifestFile), { force: true });
  return resumeSchedules(client);
}

/** What of all stores was not exported into a folder yet. */
export function restOf(folder: string): readonly string[] {
  const { stores } = openMoveFolder(folder, { dryRun: true }).read(manifestFile, manifest);
  return moveStores.map(({ name }) => name).filter((name) => stores[name] === undefined);
}

/** The stores that are not left out. Throws `invalid-input` for a name that there isn't. */
export function chosen(skip: readonly string[], only?: readonly string[]): readonly MoveStore[] {
  const names = moveStores.map(({ name }) => name);
  const unknown = [...skip, ...(only ?? [])].find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `There is no store "${unknown}"`,
      remedy: `There are ${names.join(', ')}.`,
    });
  }
  return moveStores.filter(({ name }) => !skip.includes(name) && (only === undefined || only.includes(name)));
}

/** What {@link exportService} has written; throws `not-found` or `unreadable`, and `conflict` for one that was not finished. */
export function readManifest(folder: string, stores: readonly MoveStore[]): Manifest {
  const root = openMoveFolder(folder, { dryRun: true });
  if (!root.has(manifestFile)) {
    throw new ServiceError({
      code: 'not-found',
      message: `${folder} holds nothing that move export has written`,
      remedy: 'On the old machine: npx proxmox-mcp move export FOLDER. Then bring the whole folder here.',
    });
  }
  const found = root.read(manifestFile, manifest);
  const missing = stores.filter(({ name }) => found.stores[name] === undefined).map(({ name }) => name);
  if (missing.length === 0) return found;
  throw new ServiceError({
    code: 'conflict',
    message: `The export in ${folder} was not finished: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`,
    remedy: `Run it again on the old machine: npx proxmox-mcp move export ${folder}. What is to stay behind: --skip ${missing.join(' ')}`,
  });
}

function begun(config: Config): Manifest {
  const { address, port, namespace } = config.temporal;
  return {
    format: 1,
    id: randomUUID(),
    version: packageVersion(),
    from: `${address ?? `127.0.0.1:${port}`}, namespace ${namespace}`,
    startedAt: new Date().toISOString(),
    stores: {},
  };
}

function goingOn(client: Client): Promise<readonly string[]> {
  return idsOf(client, isOpen);
}

/** Nothing is changed, and nothing waits for a person: such a run would be left on the old server for ever. */
async function requireQuiet(client: Client): Promise<void> {
  const { risk, phase } = searchAttributes;
  const loud = await idsOf(client, `${isOpen} AND (${risk} != 'read' OR ${phase} = 'paused')`);
  if (loud.length === 0) return;
  throw new ServiceError({
    code: 'conflict',
    message: `${loud.length === 1 ? 'A run goes' : `${loud.length} runs go`} on that can't be moved: ${loud.slice(0, 5).join(', ')}. Nothing was changed`,
    remedy:
      'Wait for their end, decide what they ask, or cancel them (npx proxmox-mcp runs wait, decide, cancel). Then export again.',
  });
}

function stillGoing(going: readonly string[]): ServiceError {
  return new ServiceError({
    code: 'timeout',
    message: `${going.slice(0, 5).join(', ')} did not end, so that nothing was moved. The schedules go on`,
    remedy: 'Wait for their end, or cancel them. Then export again.',
  });
}

function serverAway(): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: 'The Temporal server does not answer, and it has not been read yet',
    remedy: 'Start the old service (npm start), then export again.',
  });
}
