import { randomUUID } from 'node:crypto';
import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import type { Parameters } from '../parameters.ts';
import type { Route } from '../router.ts';
import type { BackupJob } from '../state/cluster.ts';
import { type SimulatorState, unixTime } from '../state.ts';

const selections = ['vmid', 'all', 'pool'] as const;

/** Backups that are made by a schedule: what is planned. Nothing runs by itself here. */
export const backupJobRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/cluster/backup',
    handle: ({ state }) => ({
      data: [...state.configuration.backupJobs.values()].map((job) => ({ ...shown(job), 'next-run': nextRun() })),
    }),
  },
  {
    method: 'GET',
    path: '/cluster/backup/{id}',
    handle: ({ state, parameters: { id } }) => {
      const job = state.configuration.backupJobs.get(String(id));
      if (!job) throw invalidParameters({ id: `No such job '${id}'` });
      return { data: shown(job) };
    },
  },
  {
    method: 'POST',
    path: '/cluster/backup',
    handle: async ({ state, parameters }) => {
      const { id = randomUUID(), schedule, starttime } = parameters;
      if (schedule === undefined && starttime === undefined) {
        throw invalidParameters({ schedule: "neither 'starttime' nor 'schedule' were set" });
      }
      await changeClusterFile(state, 'jobs.cfg', undefined, () => {
        const jobs = state.configuration.backupJobs;
        if (jobs.has(String(id))) throw new ApiFailure(500, `Job '${id}' already exists`);
        selects(parameters);
        jobs.set(String(id), { enabled: 1, ...parameters, id: String(id) });
      });
      return { data: null };
    },
  },
  {
    method: 'PUT',
    path: '/cluster/backup/{id}',
    handle: async ({ state, parameters }) => {
      const { delete: unset, ...fields } = parameters;
      await changeClusterFile(state, 'jobs.cfg', undefined, () => {
        const job = state.configuration.backupJobs.get(String(parameters.id));
        if (!job) throw new ApiFailure(500, 'no such vzdump job');
        Object.assign(job, fields);
        for (const name of listOf(unset)) delete job[name];
      });
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/cluster/backup/{id}',
    handle: async ({ state, parameters: { id } }) => {
      await changeClusterFile(state, 'jobs.cfg', undefined, () => {
        if (!state.configuration.backupJobs.delete(String(id))) throw nested(`id: No such job '${id}'`);
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/cluster/backup-info/not-backed-up',
    handle: ({ state, permissions }) => ({
      data: [...state.guests.values()]
        .filter(({ vmid }) => permissions.has(`/vms/${vmid}`, 'VM.Audit') && !isCovered(state, vmid))
        .map(({ vmid, type, name }) => ({ vmid, type, name })),
    }),
  },
];

/** What is wrong inside of the lock comes as a text, without the map of fields. */
function nested(problem: string): ApiFailure {
  return new ApiFailure(500, `400 Parameter verification failed.\n${problem}`);
}

function selects(parameters: Parameters): void {
  const given = selections.filter((name) => parameters[name] !== undefined);
  if (given.length === 0) throw nested('vmid: property is missing');
  if (given.includes('all') && given.includes('vmid')) throw nested("all: option conflicts with option 'vmid'");
}

function isCovered(state: SimulatorState, vmid: number): boolean {
  return [...state.configuration.backupJobs.values()].some(({ all, vmid: only, exclude, pool }) => {
    if (all) return !listOf(exclude).includes(String(vmid));
    if (pool !== undefined) return state.pools.get(String(pool))?.vms.has(vmid) === true;
    return listOf(only).includes(String(vmid));
  });
}

function shown(job: BackupJob): Record<string, unknown> {
  const keep = job['prune-backups'];
  if (keep === undefined) return { ...job, type: 'vzdump' };
  const rules = String(keep)
    .split(',')
    .map((rule) => rule.split('='));
  return { ...job, type: 'vzdump', 'prune-backups': Object.fromEntries(rules) };
}

/** Schedules aren't read: always the next midnight. */
function nextRun(): string {
  return String(Math.ceil((unixTime() + 1) / 86_400) * 86_400);
}
