import { z } from 'zod';
import { apiRead, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import { nodeName, readNodes, refuseNode } from './cluster-places.ts';
import { readConfig, TheGuest, theGuest } from './guest-config.ts';
import { disksOf, propertiesOf, readStorages } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said, some } from './said.ts';

/** Copies of a guest's disks on another node, kept up to date by a job. */
export const changeReplication = defineApiChange(
  {
    name: 'change-replication',
    title: 'Change replication',
    summary: "Create, change, switch or delete the job that replicates a guest's disks to another node.",
    description:
      'Storage replication of a VM or container: a job that copies its disks (on ZFS) to another node of the cluster every so often, so that it can be started there after a failure, or migrates quickly. create with target and schedule; set changes schedule, rate and whether it is on; delete takes the job and its copies away.',
    guide: 'pvesr by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Sys.Audit', on: 'node' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [{ privilege: 'VM.Replicate', on: 'guest' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        action: z.enum(['create', 'set', 'delete']).describe('What to do'),
        target: nodeName().describe('Node that keeps the copies; it says which job, too'),
        schedule: z
          .string()
          .regex(/^[a-zA-Z0-9*/:., -]{1,100}$/, 'expected a calendar event, e.g. */15 or mon..fri 22:00')
          .optional()
          .describe('When: */15 (every 15 minutes, the default), 22:00, mon..fri 22:00'),
        rate: z.number().min(1).max(100_000).optional().describe('At most so many MB a second'),
        on: z.boolean().optional().describe('set: switch the job on or off'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        target: z.string(),
        job: z.string().optional().describe('100-0'),
        before: z.record(z.string(), z.string()).optional().describe('Absent: there was no such job'),
        after: z.record(z.string(), z.string()).optional().describe('Absent: there is none any more'),
      }),
    steps: ['Look', 'Change'],
    undo: {
      how: 'A new job is deleted, a deleted one created again (its copies are made anew), a changed one set back, as long as nobody has changed it since.',
      reverse({ host, vmid: of, target }, { before, after }) {
        if (jobText(before) === jobText(after)) return { why: 'It was so already, and nothing was done.' };
        return {
          input: {
            host,
            vmid: of,
            target,
            action: before === undefined ? 'delete' : after === undefined ? 'create' : 'set',
            ...(before !== undefined && { schedule: before.schedule ?? '*/15' }),
            ...(before?.rate !== undefined && { rate: Number(before.rate) }),
            ...(before !== undefined && { on: before.disable !== '1' }),
          },
          expects: [{ name: 'Job', value: jobText(after) }],
          asLongAs: 'nobody has changed the job since',
          ...(after === undefined && { remains: 'The copies are made anew, which takes its time.' }),
        };
      },
    },
  },
  {
    reads: ({ guest, node }) => ({
      config: readConfig(guest),
      jobs: readJobs(guest.vmid),
      nodes: readNodes(),
      storages: readStorages(node),
    }),
    plan({ input, guest, node }, { config, jobs, nodes, storages }) {
      const { action, target } = input;
      const found = jobs.find((job) => job.target === target);
      const before = found && plainOf(found);
      const refuse = (code: Refusal['refused']['code'], why: string, remedy: string, field: string): Refusal => ({
        refused: { code, message: `${why}, and nothing was done`, remedy, field },
      });
      const lines = {
        state: [
          { name: 'Node', value: node },
          { name: 'Job', value: jobText(before) },
        ],
        risks: [] as string[],
      };
      const output = { vmid: guest.vmid, node, target, before, after: before, ...(found && { job: found.id }) };
      const nothing = (why: string) => ({
        ...lines,
        summary: `nothing: ${why}`,
        affected: [],
        steps: [],
        output,
        done: `${why[0]?.toUpperCase()}${why.slice(1)}; nothing was done.`,
      });
      const now = { jobs: readJobs(guest.vmid) };
      const jobNow = (seen: { readonly jobs: readonly Job[] }) => seen.jobs.find((job) => job.target === target);
      const given = {
        ...(input.schedule !== undefined && { schedule: input.schedule }),
        ...(input.rate !== undefined && { rate: String(input.rate) }),
        ...(input.on !== undefined && { disable: input.on ? '0' : '1' }),
      };
      const isAs = (job: Job, wanted: Readonly<Record<string, string>>) =>
        Object.entries(wanted).every(([name, value]) => (plainOf(job)[name] ?? defaults[name]) === value);
      const lacksJob = (seen: { readonly jobs: readonly Job[] }) =>
        jobNow(seen) === undefined ? `there is no job to ${target}` : undefined;

      if (action === 'delete') {
        if (found === undefined) return nothing(`no job replicates ${theGuest(guest)} to ${target}`);
        return {
          ...lines,
          summary: `delete the job ${found.id}, which replicates ${theGuest(guest)} to ${target}`,
          affected: [`The copies of its disks on ${target} go`],
          risks: [`${TheGuest(guest)} can't be started on ${target} any more when ${node} fails`],
          steps: [
            {
              title: 'Change',
              call: { method: 'DELETE', template: '/cluster/replication/*', values: [found.id] },
              effect: effect({
                reads: now,
                withinSeconds: 30,
                // The node takes it away with its next look at the jobs.
                lacks: (seen) =>
                  jobNow(seen) === undefined || jobNow(seen)?.remove_job !== undefined
                    ? undefined
                    : `the job ${found.id} is still there`,
                facts: () => ({ after: undefined }),
              }),
              undo: undoBy({
                says: 'the job is created again',
                reads: now,
                plan: (seen) =>
                  jobNow(seen) === undefined
                    ? { call: createCall(found.id, before ?? {}), effect: effect({ reads: now, lacks: lacksJob }) }
                    : undefined,
              }),
            },
          ],
          output: { ...output, after: undefined },
          done: `The job ${found.id} is deleted: ${theGuest(guest)} is not replicated to ${target} any more.`,
        };
      }

      if (action === 'set') {
        if (found === undefined) {
          return refuse(
            'not-found',
            `No job replicates ${theGuest(guest)} to ${target}`,
            jobs.length > 0 ? `Its jobs go to ${some(jobs.map((job) => job.target))}.` : 'Create one first.',
            'target',
          );
        }
        if (Object.keys(given).length === 0) {
          return refuse('invalid-input', 'There is nothing to set', 'Give schedule, rate or on.', 'schedule');
        }
        if (isAs(found, given)) return nothing(`the job ${found.id} of ${theGuest(guest)} is so already`);
        const put = (values: Readonly<Record<string, string>>, gone: readonly string[] = []) =>
          ({
            method: 'PUT',
            template: '/cluster/replication/*',
            values: [found.id],
            parameters: { ...values, ...(gone.length > 0 && { delete: gone.join(',') }) },
          }) as const;
        return {
          ...lines,
          summary: `change the job ${found.id}, which replicates ${theGuest(guest)} to ${target}: ${jobText({ ...before, ...given })}`,
          affected: input.on === false ? [`The copies on ${target} grow old`] : [],
          steps: [
            {
              title: 'Change',
              call: put(given),
              effect: effect({
                reads: now,
                lacks(seen) {
                  const job = jobNow(seen);
                  return job !== undefined && isAs(job, given)
                    ? undefined
                    : `the job is ${jobText(job && plainOf(job))}`;
                },
                facts: (seen) => ({ after: afterOf(jobNow(seen)) }),
              }),
              undo: undoBy({
                says: 'the job is set back',
                reads: now,
                plan(seen) {
                  const job = jobNow(seen);
                  if (job === undefined || jobText(plainOf(job)) === jobText(before)) return undefined;
                  const gone = Object.keys(given).filter((name) => before?.[name] === undefined);
                  const back = Object.fromEntries(
                    Object.keys(given).flatMap((name) => (before?.[name] ? [[name, before[name]]] : [])),
                  );
                  return {
                    call: put(back, gone),
                    effect: effect({
                      reads: now,
                      lacks: (then) =>
                        jobText(afterOf(jobNow(then))) === jobText(before) ? undefined : 'the job is not as before',
                    }),
                  };
                },
              }),
            },
          ],
          output: { ...output, after: { ...before, ...given } },
          done: `The job ${found.id} of ${theGuest(guest)} is changed.`,
        };
      }

      if (target === node) {
        return refuse('invalid-input', `${TheGuest(guest)} is on ${node} itself`, 'Name another node.', 'target');
      }
      const refused = refuseNode(nodes, target, 'target');
      if (refused) return refused;
      const wanted = { schedule: input.schedule ?? '*/15', ...given };
      if (found !== undefined && isAs(found, given))
        return nothing(`${theGuest(guest)} is replicated to ${target} already`);
      if (found !== undefined) {
        return refuse(
          'already-exists',
          `The job ${found.id} replicates ${theGuest(guest)} to ${target} already`,
          'Change it by the action set.',
          'action',
        );
      }
      const replicated = disksOf(guest.type, config).filter(({ line }) => propertiesOf(line).rest.replicate !== '0');
      const other = replicated.filter(
        ({ storage }) => storages.find((one) => one.storage === storage)?.type !== 'zfspool',
      );
      if (other.length > 0 || replicated.length === 0) {
        return refuse(
          'conflict',
          other.length > 0
            ? `Only disks on ZFS are replicated, and ${some(other.map(({ key, storage }) => `${key} is on ${storage}`))}`
            : `${TheGuest(guest)} has no disk to replicate`,
          'Move the disks to a ZFS storage first (move-disk), or leave them out (configure-guest, replicate=0).',
          'vmid',
        );
      }
      const id = `${guest.vmid}-${nextNumber(jobs)}`;
      return {
        ...lines,
        summary: `replicate ${theGuest(guest)} to ${target}: ${jobText(wanted)}`,
        affected: [`Its disks are copied to ${target}, the first time as a whole`],
        risks: [`The storage of ${target} fills by as much`],
        steps: [
          {
            title: 'Change',
            call: createCall(id, wanted),
            effect: effect({
              reads: now,
              lacks(seen) {
                const job = jobNow(seen);
                if (job === undefined) return `there is no job to ${target}`;
                return isAs(job, wanted) ? undefined : `the job is ${jobText(plainOf(job))}`;
              },
              facts: (seen) => ({ after: afterOf(jobNow(seen)), job: jobNow(seen)?.id }),
            }),
            undo: undoBy({
              says: 'the new job is deleted',
              reads: now,
              plan: (seen) =>
                jobNow(seen)?.id === id
                  ? {
                      call: { method: 'DELETE', template: '/cluster/replication/*', values: [id] },
                      effect: effect({
                        reads: now,
                        withinSeconds: 30,
                        lacks: (then) =>
                          jobNow(then) === undefined || jobNow(then)?.remove_job !== undefined
                            ? undefined
                            : `the job ${id} is still there`,
                      }),
                    }
                  : undefined,
            }),
          },
        ],
        output: { ...output, after: wanted, job: id },
        done: `${TheGuest(guest)} is replicated to ${target} (${id}).`,
      };

      function createCall(job: string, values: Readonly<Record<string, string>>) {
        return {
          method: 'POST',
          template: '/cluster/replication',
          values: [],
          parameters: { id: job, type: 'local', target, ...values },
        } as const;
      }
    },
  },
);

const textual = () =>
  z.union([z.string(), z.number().transform(String), z.boolean().transform((value) => String(Number(value)))]);

const job = () =>
  z.object({
    id: z.string(),
    guest: z.union([z.number(), z.string()]).transform(Number),
    target: z.string(),
    schedule: z.string().optional(),
    rate: textual().optional(),
    comment: z.string().optional(),
    disable: textual().optional(),
    remove_job: z.string().optional(),
  });
type Job = z.output<ReturnType<typeof job>>;

/** The jobs of a guest. */
function readJobs(of: number) {
  return apiRead({
    template: '/cluster/replication',
    values: [],
    schema: z.array(job()).transform((all) => all.filter(({ guest }) => guest === of)),
  });
}

/** What counts where nothing is set. */
const defaults: Readonly<Record<string, string>> = { schedule: '*/15', disable: '0' };

function plainOf({ id: _, guest: __, target: ___, remove_job: ____, ...rest }: Job): Record<string, string> {
  return Object.fromEntries(
    Object.entries(rest).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function afterOf(of: Job | undefined): Record<string, string> | undefined {
  return of && plainOf(of);
}

function jobText(of: Readonly<Record<string, string>> | undefined): string {
  if (of === undefined) return 'none';
  const { schedule = '*/15', rate, disable = '0' } = of;
  return `${said(schedule, 100)}${rate === undefined ? '' : `, at most ${rate} MB/s`}${disable === '1' ? ', off' : ''}`;
}

function nextNumber(jobs: readonly Job[]): number {
  const taken = new Set(jobs.map(({ id }) => Number(id.split('-')[1])));
  let number = 0;
  while (taken.has(number)) number += 1;
  return number;
}
