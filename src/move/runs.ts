import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { createRuns } from '../runs/create-runs.ts';
import { ofTypes } from '../runs/list-runs.ts';
import {
  createMovedRuns,
  indexMovedRuns,
  type MovedInfo,
  type MovedRun,
  movedRunFile,
  movedRunsFolder,
  readMovedRun,
} from '../runs/moved-runs.ts';
import { keys } from '../workflows/lib/attributes.ts';
import { copyPrivate, type MoveFolder, makePrivateFolder } from './move-folder.ts';
import type { MoveContext, ServerStore } from './store.ts';

/** Between two lines about how far it is. */
const sayEvery = 500;

/**
 * The runs that have ended: Temporal takes no history of another server, so that what people read of them (report, failure,
 * log, how they are taken back) becomes a file each, which stands beside Temporal's own.
 */
export const runStore: ServerStore = {
  name: 'runs',
  keptBy: 'server',

  async export(context, into) {
    const { client, config } = context;
    const runs = createRuns({ client, config });
    const seen = new Set<string>();
    const query = `${ofTypes()} AND ExecutionStatus != 'Running'`;
    for await (const info of client.workflow.list({ query, pageSize: 500 })) {
      // Of several lives of one id the newest is the run.
      if (seen.has(info.workflowId)) continue;
      seen.add(info.workflowId);
      const name = movedRunFile(info.workflowId);
      if (isWhole(into, name, info) || context.dryRun) continue;
      const { result, failure, ending, verdict } = await runs.get(info.workflowId);
      const end = {
        ...(result && { result }),
        ...(failure && { failure }),
        ...(ending && { ending }),
        ...(verdict && { verdict }),
      };
      into.write(name, { info: infoOf(info), end, log: [...(await runs.log(info.workflowId))] } satisfies MovedRun);
      if (seen.size % sayEvery === 0) context.say(`${seen.size} runs …`);
    }
    return { text: `${seen.size + takeEarlier(context, into, seen)} runs` };
  },

  async import({ config, dryRun }, from) {
    const names = from.names().filter((name) => name.endsWith('.json'));
    if (dryRun) return { text: `${names.length} runs` };
    const folder = movedRunsFolder(config);
    makePrivateFolder(folder);
    const damaged: string[] = [];
    for (const name of names) {
      const path = join(from.path, name);
      if (existsSync(join(folder, name))) continue;
      if (readMovedRun(path) === undefined) damaged.push(name);
      else copyPrivate(path, join(folder, name));
    }
    const remarks =
      damaged.length === 0 ? [] : [`${damaged.length} files of runs can't be read: ${damaged.join(', ')}`];
    return { text: `${indexMovedRuns(folder)} runs, in ${folder}`, remarks };
  },
};

/** Runs that ended on a server before this one come along, too. */
function takeEarlier({ config }: Pick<MoveContext, 'config'>, into: MoveFolder, seen: ReadonlySet<string>): number {
  const earlier = createMovedRuns(config)
    .list()
    .filter(({ workflowId }) => !seen.has(workflowId));
  for (const { workflowId } of earlier) {
    into.take(join(movedRunsFolder(config), movedRunFile(workflowId)), movedRunFile(workflowId));
  }
  return earlier.length;
}

/** A run that has ended changes no more; one that was reset meanwhile is another one. */
function isWhole(into: MoveFolder, name: string, { runId }: WorkflowExecutionInfo): boolean {
  return into.has(name) && readMovedRun(join(into.path, name))?.info.runId === runId;
}

function infoOf(info: WorkflowExecutionInfo): MovedInfo {
  const attributes = info.typedSearchAttributes ?? new TypedSearchAttributes();
  const pairs = Object.values(keys).flatMap((key) => {
    const value = attributes.get(key);
    return value === undefined ? [] : [[key.name, String(value)] as const];
  });
  return {
    workflowId: info.workflowId,
    runId: info.runId,
    type: info.type,
    status: info.status.name,
    startTime: info.startTime.toISOString(),
    closeTime: (info.closeTime ?? info.startTime).toISOString(),
    memo: { ...info.memo },
    attributes: Object.fromEntries(pairs),
  };
}
