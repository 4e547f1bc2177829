import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { backUp } from '../operations/back-up.ts';
import { checkHealth } from '../operations/check-health.ts';
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
  'host' | 'backupVerified' | 'healthVerdict' | 'healthChecked' | 'blockedCommands' | 'failedLogins'
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
  report: z.object({ finishedAt: z.iso.datetime() }),
  output: z.object({ archive: z.object({ counts: z.literal(true) }) }),
});

/** The only kind of archive that there is; the run's result doesn't say it. */
const backupKind = 'daily';

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
        for (const operation of [checkHealth, backUp]) await readLast(operation.name, host);
      }
      for (const { name: host, ssh, local } of config.hosts) {
        if (!shown.has(`${checkHealth.name} ${host}`)) instruments.healthChecked.set({ host }, 0);
        const isKnown = shown.has(`${backUp.name} ${host}`) || (ssh ?? local) === undefined;
        if (!isKnown) instruments.backupVerified.set({ host, kind: backupKind }, 0);
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
    if (operation !== checkHealth.name && operation !== backUp.name) return false;
    const result: unknown = await client.workflow.getHandle(id, runId, { followRuns: false }).result();
    return operation === backUp.name ? showBackup(host, result) : showHealth(host, result);
  }

  function showBackup(host: string, result: unknown): boolean {
    const { success, data } = backupResult.safeParse(result);
    if (!success) return false;
    const at = Date.parse(data.report.finishedAt) / 1_000;
    if (isNewer(`${backUp.name} ${host}`, at)) instruments.backupVerified.set({ host, kind: backupKind }, at);
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
