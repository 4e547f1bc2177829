import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { replacePrivateFile } from '../private-file.ts';
import { keys } from '../workflows/lib/attributes.ts';
import { runDetails, runLogLine } from './schema.ts';

/** What Temporal said of a run when it was moved. */
const movedInfo = z.object({
  workflowId: z.string(),
  runId: z.string(),
  type: z.string(),
  status: z.string(),
  startTime: z.iso.datetime(),
  closeTime: z.iso.datetime(),
  memo: z.record(z.string(), z.unknown()),
  attributes: z.record(z.string(), z.string()),
});
export type MovedInfo = z.infer<typeof movedInfo>;

/** A run that ended on another Temporal server, from which the service was moved here. */
const movedRun = z.object({
  info: movedInfo,
  end: runDetails.pick({ result: true, failure: true, ending: true, verdict: true }),
  log: z.array(runLogLine),
});
export type MovedRun = z.infer<typeof movedRun>;

/** As {@link WorkflowExecutionInfo}, as far as one is read that has ended. */
export type MovedExecution = Omit<WorkflowExecutionInfo, 'raw'> & { readonly moved: true };

/** The runs of earlier servers, which Temporal's own interface can't take. They only are read. */
export interface MovedRuns {
  /** By its whole id. */
  get(workflowId: string): MovedRun | undefined;
  /** Newest first. */
  list(): readonly MovedExecution[];
}

/** Where who serves MCP reads, too. */
export function movedRunsFolder({ accessDir }: Pick<Config, 'accessDir'>): string {
  return join(accessDir, 'moved-runs');
}

/** The name of a run's file: ids hold slashes, and may be longer than names of files. */
export function movedRunFile(workflowId: string): string {
  return `${createHash('sha256').update(workflowId).digest('hex').slice(0, 32)}.json`;
}

const indexName = 'index.json';

/** Reads what is there; the list again only when it was written anew. */
export function createMovedRuns(config: Pick<Config, 'accessDir'>): MovedRuns {
  const folder = movedRunsFolder(config);
  let known: { readonly stamp: string; readonly list: readonly MovedExecution[] } | undefined;
  return {
    get(workflowId) {
      const run = readMovedRun(join(folder, movedRunFile(workflowId)));
      return run?.info.workflowId === workflowId ? run : undefined;
    },
    list() {
      const path = join(folder, indexName);
      const stat = existsSync(path) ? statSync(path, { throwIfNoEntry: false, bigint: true }) : undefined;
      if (stat === undefined) return [];
      const stamp = `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
      if (known?.stamp !== stamp) {
        const list = z.array(movedInfo).parse(JSON.parse(readFileSync(path, 'utf8')));
        known = { stamp, list: list.map(executionOf) };
      }
      return known.list;
    },
  };
}

/** Undefined where there is no such file, or it is none of a run. */
export function readMovedRun(path: string): MovedRun | undefined {
  try {
    return movedRun.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

/** Makes the list of what lies in the folder. Called when something was put there. */
export function indexMovedRuns(folder: string): number {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const all = readdirSync(folder)
    .filter((name) => name !== indexName && name.endsWith('.json'))
    .flatMap((name) => readMovedRun(join(folder, name))?.info ?? [])
    .sort((a, b) => Date.parse(b.startTime) - Date.parse(a.startTime));
  replacePrivateFile(join(folder, indexName), JSON.stringify(all));
  return all.length;
}

/** As Temporal would describe it. */
export function executionOf(info: MovedInfo): MovedExecution {
  const pairs = Object.values(keys).flatMap((key) => {
    const value = info.attributes[key.name];
    return value === undefined ? [] : [{ key, value }];
  });
  return {
    workflowId: info.workflowId,
    runId: info.runId,
    type: info.type,
    taskQueue: '',
    status: { code: 0, name: info.status as WorkflowExecutionInfo['status']['name'] },
    historyLength: 0,
    startTime: new Date(info.startTime),
    closeTime: new Date(info.closeTime),
    memo: info.memo,
    searchAttributes: {},
    typedSearchAttributes: new TypedSearchAttributes(pairs),
    moved: true,
  };
}
