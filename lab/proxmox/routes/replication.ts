import { ApiFailure, forbidden, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { digestOf } from '../digest.ts';
import { listOf } from '../formats.ts';
import type { Parameters } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import type { ReplicationJob } from '../state/cluster.ts';
import { type SimulatorState, unixTime } from '../state.ts';

/** Copies of guests' disks that a node keeps for another one. */
export const replicationRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/cluster/replication',
    handle: (call) => ({ data: visible(call).map((job) => definition(call.state, job)) }),
  },
  {
    method: 'GET',
    path: '/cluster/replication/{id}',
    handle: (call) => ({
      data: {
        ...definition(call.state, jobNamed(call, 'VM.Audit')),
        digest: digestOf([...call.state.configuration.replication.values()]),
      },
    }),
  },
  { method: 'POST', path: '/cluster/replication', handle: createJob },
  {
    method: 'PUT',
    path: '/cluster/replication/{id}',
    handle: async (call) => {
      const { state, parameters } = call;
      const job = jobNamed(call, 'VM.Replicate');
      await changeClusterFile(state, 'replication.cfg', undefined, () => {
        Object.assign(job, optionsOf(parameters));
        for (const name of listOf(parameters.delete)) {
          if (name === 'comment' || name === 'rate') delete job[name];
          if (name === 'disable') delete job.disabled;
          if (name === 'schedule') job.schedule = '*/15';
        }
      });
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/cluster/replication/{id}',
    handle: async (call) => {
      const { id } = jobNamed(call, 'VM.Replicate');
      await changeClusterFile(call.state, 'replication.cfg', undefined, () => {
        call.state.configuration.replication.delete(id);
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/replication',
    handle: (call) => ({
      data: visible(call)
        .filter((job) => call.state.guests.get(job.guest)?.node === call.parameters.node)
        .filter((job) => call.parameters.guest === undefined || job.guest === call.parameters.guest)
        .map((job) => status(call.state, job)),
    }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/replication/{id}',
    handle: () => ({ data: ['schedule_now', 'log', 'status'].map((name) => ({ name })) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/replication/{id}/status',
    handle: (call) => ({ data: status(call.state, jobNamed(call, 'VM.Audit')) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/replication/{id}/log',
    handle: (call) => {
      const lines = jobNamed(call, 'VM.Audit').log.map((t, index) => ({ n: index + 1, t }));
      const start = Number(call.parameters.start ?? 0);
      return { total: lines.length, data: lines.slice(start, start + Number(call.parameters.limit ?? 50)) };
    },
  },
  {
    method: 'POST',
    path: '/nodes/{node}/replication/{id}/schedule_now',
    handle: (call) => {
      const job = jobNamed(call, 'VM.Replicate');
      setTimeout(() => synchronize(job), 20).unref();
      return { data: null };
    },
  },
];

function synchronize(job: ReplicationJob): void {
  const now = unixTime();
  job.lastTry = now;
  job.log.splice(0, job.log.length, `${new Date(now * 1000).toISOString()} ${job.id}: start replication job`);
  if (job.error === undefined) {
    job.lastSync = now;
    job.failCount = 0;
    job.log.push(`${job.id}: end replication job`);
    return;
  }
  job.failCount = (job.failCount ?? 0) + 1;
  job.log.push(`${job.id}: end replication job with error: ${job.error}`);
}

async function createJob({ state, permissions, parameters }: Call) {
  const { id, target } = parameters;
  const guest = Number(String(id).split('-')[0]);
  if (!permissions.has(`/vms/${guest}`, 'VM.Replicate')) throw forbidden(`/vms/${guest}`, ['VM.Replicate']);
  if (target === undefined) throw invalidParameters({ target: 'property is missing and it is not optional' });
  await changeClusterFile(state, 'replication.cfg', undefined, () => {
    const jobs = state.configuration.replication;
    if (jobs.has(String(id))) throw new ApiFailure(500, `replication job '${id}' already exists`);
    const there = state.guests.get(guest);
    if (!there) throw new ApiFailure(500, `guest '${guest}' does not exist`);
    if (!state.nodes.has(String(target))) throw new ApiFailure(500, `node '${target}' does not exist`);
    if (there.node === target) throw new ApiFailure(500, 'source and target node are the same');
    if ([...jobs.values()].some((job) => job.guest === guest && job.target === target)) {
      throw new ApiFailure(500, `replication job for guest '${guest}' to target '${target}' already exists`);
    }
    const job = { id: String(id), guest, target: String(target), schedule: '*/15', log: [], ...optionsOf(parameters) };
    jobs.set(job.id, job);
  });
  return { data: null };
}

function optionsOf({ schedule, rate, comment, disable }: Parameters): Partial<ReplicationJob> {
  return {
    ...(schedule === undefined ? {} : { schedule: String(schedule) }),
    ...(rate === undefined ? {} : { rate: Number(rate) }),
    ...(comment === undefined ? {} : { comment: String(comment) }),
    ...(disable === undefined ? {} : { disabled: disable === 1 }),
  };
}

function visible({ state, permissions }: Call): ReplicationJob[] {
  const jobs = [...state.configuration.replication.values()];
  return jobs.filter(({ guest }) => permissions.has(`/vms/${guest}`, 'VM.Audit'));
}

function jobNamed({ state, permissions, parameters }: Call, privilege: string): ReplicationJob {
  const id = String(parameters.id);
  const guest = id.split('-')[0];
  if (!permissions.has(`/vms/${guest}`, privilege)) throw forbidden(`/vms/${guest}`, [privilege]);
  const job = state.configuration.replication.get(id);
  if (!job) throw new ApiFailure(500, `no such replication job '${id}'`);
  return job;
}

function definition(state: SimulatorState, job: ReplicationJob) {
  const { id, guest, target, schedule, rate, comment, disabled } = job;
  return {
    id,
    type: 'local',
    guest,
    jobnum: Number(id.split('-')[1]),
    source: state.guests.get(guest)?.node,
    target,
    schedule,
    ...(rate === undefined ? {} : { rate }),
    ...(comment === undefined ? {} : { comment }),
    ...(disabled ? { disable: 1 } : {}),
  };
}

function status(state: SimulatorState, job: ReplicationJob) {
  const { lastSync = 0, lastTry = 0, failCount = 0, error } = job;
  return {
    ...definition(state, job),
    vmtype: state.guests.get(job.guest)?.type,
    last_sync: lastSync,
    last_try: lastTry,
    next_sync: job.disabled ? 0 : Math.ceil((unixTime() + 1) / 900) * 900,
    fail_count: failCount,
    ...(lastSync > 0 ? { duration: 1.5 } : {}),
    ...(error !== undefined && failCount > 0 ? { error } : {}),
  };
}
