import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { LoadedConfig } from '../config/load.ts';
import { secretsOf } from '../config/secrets.ts';
import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { compareGenerations, readLedgerGeneration } from '../ledger/generation-file.ts';
import { openLedger } from '../ledger/ledger.ts';
import { ledgerPaths } from '../ledger/paths.ts';
import type { Log } from '../log.ts';
import { type Requester, requester } from '../operations/run.ts';
import {
  type RestoredDecision,
  type RestoredMark,
  readRestoredMark,
  restoredRemedy,
  restoredWords,
} from '../restored-mark.ts';
import { readGeneration, writeGeneration } from '../runs/generation.ts';
import { switchOnAfterRestore } from '../runs/switch.ts';
import { connectTemporal } from '../runs/temporal-client.ts';
import { createRedact } from '../secret.ts';
import { acquireKernelLock } from '../service/kernel-lock.ts';
import { countGeneration } from './count-generation.ts';

const lookMs = 1_000;
const sayAgainMs = 5 * 60_000;
/** How often a worker that works looks for the file, and every how many of these looks it asks Temporal. */
const watchMs = 2_000;
const askEvery = 10;

/**
 * Resolves when this process may work: nobody has restored an older state of the service, or an administrator has said that it
 * goes on from there. Until then nothing is polled and nothing executed; a page says so where the metrics are. The process
 * that has the ledger writes that decision down and puts the kill switch on. False: it was stopped before.
 */
export async function untilMayWork(loaded: LoadedConfig, log: Log, signal: AbortSignal): Promise<boolean> {
  const { config } = loaded;
  let page: { close(): void } | undefined;
  let said: { readonly why: string; readonly at: number } | undefined;
  const say = (why: string) => {
    if (said?.why === why && Date.now() - said.at < sayAgainMs) return;
    log.error({}, why);
    said = { why, at: Date.now() };
  };
  try {
    while (!signal.aborted) {
      const why = await whyNot(config).catch((error: unknown) => failed(error));
      if (why === undefined) {
        if (said !== undefined) log.info({}, 'the service goes on');
        return true;
      }
      say(why);
      page ??= serveWaiting(config);
      await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    }
    return false;
  } finally {
    page?.close();
  }
}

/** What is wrong, for the log; undefined: it may work. Throws where Temporal doesn't answer. */
async function whyNot(config: Config): Promise<string | undefined> {
  const mark = readRestoredMark(config.accessDir);
  const hasLedger = config.worker.ledger !== 'never';
  if (mark !== undefined && (mark.decision === undefined || !hasLedger)) return waits(mark);
  const client = await connectTemporal(config);
  try {
    if (mark?.decision !== undefined) {
      await goOn(config, client, mark, mark.decision);
      return 'What was restored is written down, and changes are stopped; the service goes on when the mark is removed.';
    }
    if (hasLedger) await findRestored(config, client);
    const kept = await readGeneration(client);
    return kept?.restored === undefined ? undefined : `${kept.restored.why}. ${restoredRemedy}`;
  } finally {
    await client.connection.close();
  }
}

function waits(mark: RestoredMark): string {
  return `${restoredWords(mark)}. ${restoredRemedy}`;
}

/** A worker that works while somebody restores ends, and waits when it is started again. */
export function endWhenRestored({
  config,
  client,
  log,
  signal,
}: {
  readonly config: Config;
  readonly client: () => Client;
  readonly log: Log;
  readonly signal: AbortSignal;
}): void {
  let looks = 0;
  const look = async () => {
    looks += 1;
    const mark = readRestoredMark(config.accessDir);
    const found = mark
      ? waits(mark)
      : looks % askEvery === 0
        ? (await readGeneration(client()))?.restored?.why
        : undefined;
    if (found === undefined || signal.aborted) return;
    log.error({}, `This worker ends. ${found}`);
    process.kill(process.pid, 'SIGTERM');
  };
  // Where Temporal doesn't answer nothing is done anyway.
  const timer = setInterval(() => void look().catch(() => undefined), watchMs).unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** One of the two stores is older than the other one knows it: says so where every worker reads it. */
export async function findRestored(config: Pick<Config, 'dataDir'>, client: Client): Promise<void> {
  // In the order in which they are not counted: read the other way round, somebody may count between the two.
  const own = readLedgerGeneration(join(config.dataDir, 'ledger'));
  const kept = await readGeneration(client);
  if (kept === undefined || kept.restored !== undefined) return;
  const older = compareGenerations(kept, own);
  if (older === undefined) return;
  const why =
    older === 'temporal'
      ? "Temporal's database is older than the ledger knows it: somebody has restored it"
      : 'The ledger is older than Temporal knows it: somebody has restored it';
  await writeGeneration(client, { ...kept, restored: { at: new Date().toISOString(), why, parts: [older] } });
}

/**
 * Writes the decision into the ledger and has the kill switch be on, before anything works again. Safe to be repeated: the record
 * is written once, and so is the switch's number.
 */
async function goOn(config: Config, client: Client, mark: RestoredMark, decision: RestoredDecision): Promise<void> {
  const kept = await readGeneration(client);
  if (kept?.wentOn === decision.id) return;
  const folder = join(config.dataDir, 'ledger');
  const ledger = openLedger({
    folder,
    claim: () => acquireKernelLock(ledgerPaths(folder).claim),
    redact: createRedact(secretsOf(config)),
    isRestored: true,
  });
  try {
    const parts = mark.parts ?? kept?.restored?.parts ?? ['temporal', 'ledger'];
    const { at, backup, by, anchor } = { ...mark, ...decision, at: mark.at, by: mark.by };
    const ofTemporal = kept?.head && { ...kept.head, from: 'Temporal' };
    await ledger.recordRestore({
      id: decision.id,
      by: decision.by,
      text: `${decision.by} let the service go on: ${lower(kept?.restored?.why ?? restoredWords(mark))}`,
      data: { backup, at, restoredBy: by, parts, ended: decision.ended },
      isOlder: parts.includes('ledger'),
      // What Temporal knows of a ledger is no news where it was put back with it.
      anchors: [...(anchor ? [anchor] : []), ...(ofTemporal && ofTemporal.seq > 0 ? [ofTemporal] : [])],
    });
    const switched = ledger.search({ kind: 'switch', limit: 1 }).records[0]?.data?.number;
    const state = await switchOnAfterRestore(client, {
      after: typeof switched === 'number' ? switched : 0,
      by: asRequester(decision.by),
      why: `restored (${decision.id}): ${restoredWords(mark)}`,
    });
    await ledger.append([
      {
        key: `switch/${state.number}/on`,
        kind: 'switch',
        by: decision.by,
        text: 'All changes were stopped: an older state of the service was restored',
        data: { on: true, number: state.number, why: state.why },
      },
    ]);
    await countGeneration(client, folder, ledger.head(), { wentOn: decision.id });
  } finally {
    await ledger.close();
  }
}

function failed(error: unknown): string {
  const why = error instanceof ServiceError ? explain(error) : String(error);
  return `It can't be found out whether an older state of the service was restored, and it is tried again: ${why}`;
}

function asRequester(text: string): Requester {
  const [, kind, name] = /^([a-z]+):(.+)$/.exec(text) ?? [];
  const known = requester.safeParse({ kind, name });
  return known.success ? known.data : { kind: 'cli', name: text };
}

function lower(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}

/** The container's health check and who looks at the metrics see that the process waits, and isn't broken. */
function serveWaiting({ worker: { metricsHost, metricsPort } }: Config): { close(): void } {
  const text = '# TYPE proxmox_mcp_restored gauge\nproxmox_mcp_restored 1\n';
  const server = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end(text));
  // Another one may have the port: that is said when it works.
  server.on('error', () => undefined);
  server.listen({ host: metricsHost, port: metricsPort });
  return {
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
