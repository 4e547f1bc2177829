import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { backUp } from '../operations/back-up.ts';
import { kindOfBackup } from '../operations/backup-id.ts';
import { checkHealth } from '../operations/check-health.ts';
import { copyBackups } from '../operations/copy-backups.ts';
import { workflowType } from '../operations/definition.ts';
import { finding, verdict } from '../operations/finding.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { quote } from '../runs/list-runs.ts';
import type { EndedRun } from './ended-runs.ts';
import type { ServiceInstruments } from './instruments.ts';

/** Of how many runs the results are read until one counts: the newest may have made what doesn't. */
const lookedThrough = 10;

type HostInstruments = Pick<
  ServiceInstruments,
  | 'host'
  | 'backupVerified'
  | 'backupBytes'
  | 'backupDuration'
  | 'copiesMade'
  | 'copies'
  | 'copiesMissing'
  | 'healthVerdict'
  | 'healthChecked'
  | 'blockedCommands'
  | 'failedLogins'
>;

export interface HostState {
  /** The last ones of every host, once. */
  readonly readAll: () => Promise<void>;
  /** One that has just ended. */
  readonly readEnded: (run: EndedRun) => Promise<void>;
}

/** What of a health check's result is shown; a check that could not be told has no number. */
const healthResult = z.object({
  report: z.object({
    verdict,
    finishedAt: z.iso.datetime(),
    sections: z.array(z.object({ findings: z.array(finding).optional() })),
  }),
});

const backupResult = z.object({
  report: z.object({ startedAt: z.iso.datetime(), finishedAt: z.iso.datetime() }),
  output: z.object({ archive: z.object({ path: z.string(), bytes: z.number(), counts: z.literal(true) }) }),
});

const copiesResult = z.object({
  report: z.object({ finishedAt: z.iso.datetime() }),
  output: z.object({ copies: z.number(), missing: z.array(z.string()) }),
});

/** What is done with a nightly one is done with each, so each is one for the alert; only in size and duration they differ. */
const backupKind = 'daily';

const shownOperations = [checkHealth.name, backUp.name, copyBackups.name] as readonly string[];

const security = { 'Blocked commands': 'blockedCommands', 'Failed logins': 'failedLogins' } as const;

/**
 * What the last health check and the last good backup of each host have found, read from the runs themselves: it is known
 * again after a restart, and of runs of any worker.
 */
export function createHostState(options: {
  readonly client: Client;
  readonly config: Config;
  readonly instruments: HostInstruments;
}): HostState {
  const { client, config, instruments } = options;
  for (const one of Object.values(instruments)) one.reset();
  const names = new Set(config.hosts.map(({ name }) => name));
  for (const { name: host, ssh, local, api } of config.hosts) {
    const byCommands = (ssh ?? local) !== undefined;
    instruments.host.set({ host, ways: byCommands ? (api === undefined ? 'commands' : 'both') : 'api' }, 1);
  }
  /** When what is shown was found, so that what is read late doesn't replace what is newer. */
  const shown = new Map<string, number>();

  return {
    async readAll() {
      for (const host of names) {
        for (const operation of shownOperations) await readLast(operation, host);
      }
      for (const { name: host, ssh, local } of config.hosts) {
        if (!shown.has(`${checkHealth.name} ${host}`)) instruments.healthChecked.set({ host }, 0);
        if ((ssh ?? local) === undefined) continue;
        if (!shown.has(`${backUp.name} ${host}`)) {
          for (const one of [instruments.backupVerified, instruments.backupBytes, instruments.backupDuration])
            one.set({ host, kind: backupKind }, 0);
        }
        if (!shown.has(`${copyBackups.name} ${host}`)) {
          for (const one of [instruments.copiesMade, instruments.copies, instruments.copiesMissing])
            one.set({ host }, 0);
        }
      }
    },
    async readEnded({ id, runId, operation, target, state }) {
      if (state === 'done' && names.has(target)) await show(operation, target, id, runId);
    },
  };

  async function readLast(operation: string, host: string): Promise<void> {
    const { target, outcome } = searchAttributes;
    const query = `WorkflowType = ${quote(workflowType(operation))} AND ${target} = ${quote(host)} AND ${outcome} = 'done'`;
    let read = 0;
    for await (const { workflowId, runId } of client.workflow.list({ query, pageSize: lookedThrough })) {
      read += 1;
      if (read > lookedThrough || (await show(operation, host, workflowId, runId))) return;
    }
  }

  /** False: this one says nothing that could be shown. */
  async function show(operation: string, host: string, id: string, runId: string): Promise<boolean> {
    if (!shownOperations.includes(operation)) return false;
    const result: unknown = await client.workflow.getHandle(id, runId, { followRuns: false }).result();
    if (operation === copyBackups.name) return showCopies(host, result);
    return operation === backUp.name ? showBackup(host, result) : showHealth(host, result);
  }

  function showBackup(host: string, result: unknown): boolean {
    const { success, data } = backupResult.safeParse(result);
    if (!success) return false;
    const { report, output } = data;
    const at = Date.parse(report.finishedAt) / 1_000;
    if (!isNewer(`${backUp.name} ${host}`, at)) return true;
    instruments.backupVerified.set({ host, kind: backupKind }, at);
    const [, id = ''] = /([^/]+?)\.tar(?:\.\w+)?$/.exec(output.archive.path) ?? [];
    const kind = kindOfBackup(id) ?? backupKind;
    instruments.backupBytes.set({ host, kind }, output.archive.bytes);
    instruments.backupDuration.set({ host, kind }, at - Date.parse(report.startedAt) / 1_000);
    return true;
  }

  function showCopies(host: string, result: unknown): boolean {
    const { success, data } = copiesResult.safeParse(result);
    if (!success) return false;
    const { report, output } = data;
    const at = Date.parse(report.finishedAt) / 1_000;
    if (!isNewer(`${copyBackups.name} ${host}`, at)) return true;
    instruments.copies.set({ host }, output.copies);
    instruments.copiesMissing.set({ host }, output.missing.length);
    // Where some are missing, the one before counts, which may not be known any more.
    if (output.missing.length === 0) instruments.copiesMade.set({ host }, at);
    return true;
  }

  function showHealth(host: string, result: unknown): boolean {
    const { success, data } = healthResult.safeParse(result);
    if (!success) return false;
    const { report } = data;
    const at = Date.parse(report.finishedAt) / 1_000;
    if (!isNewer(`${checkHealth.name} ${host}`, at)) return true;
    instruments.healthChecked.set({ host }, at);
    for (const one of verdict.options)
      instruments.healthVerdict.set({ host, verdict: one }, Number(one === report.verdict));
    for (const { check, value } of report.sections.flatMap(({ findings = [] }) => findings)) {
      const name = Object.hasOwn(security, check) ? security[check as keyof typeof security] : undefined;
      if (name !== undefined && value !== undefined) instruments[name].set({ host }, value);
    }
    return true;
  }

  function isNewer(of: string, at: number): boolean {
    if (at < (shown.get(of) ?? 0)) return false;
    shown.set(of, at);
    return true;
  }
}
