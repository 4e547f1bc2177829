import { z } from 'zod';
import { type ApiCall, type ApiStep, apiRead, defineApiChange, effect, refuse, undoBy } from './api-change.ts';
import {
  type GuestConfig,
  guestPath,
  madeBy,
  readConfig,
  readState,
  refuseLocked,
  refuseMissing,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { guestName, poolName, readPools, tag } from './new-guest.ts';
import { said } from './said.ts';
import type { GuestPlace } from './target.ts';

const labels = () =>
  z.object({
    tags: z.array(z.string()),
    notes: z.string(),
    name: z.string(),
    pool: z.string().describe('Empty: in none'),
  });
type Labels = z.output<ReturnType<typeof labels>>;
type Label = keyof Labels;

/** What people find a guest by: its tags, notes, name and pool. */
export const labelGuest = defineApiChange(
  {
    name: 'label-guest',
    title: 'Label guest',
    summary: 'Change tags, notes, name or pool of a VM or container.',
    description:
      'Label a VM or container: add and remove tags (or set all of them), replace its notes (description, comment), rename it, put it into a pool or take it out. What is not given stays. Can be taken back exactly.',
    guide: 'qm set and pct set by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Pool.Audit', on: 'pool', when: 'a pool is given' },
      ],
      changes: [
        { privilege: 'VM.Config.Options', on: 'guest' },
        { privilege: 'VM.Config.Network', on: 'guest', when: 'the name of a container' },
        { privilege: 'Pool.Allocate', on: 'pool', when: 'a pool is given' },
        { privilege: 'VM.Allocate', on: 'guest', when: 'a pool is given' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        addTags: z.array(tag()).max(30).default([]),
        removeTags: z.array(tag()).max(30).default([]),
        tags: z.array(tag()).max(30).optional().describe('All of its tags, instead of those that it has'),
        notes: z.string().max(8192).optional().describe('Instead of those that it has; empty: none'),
        name: z
          .union([guestName(), z.literal('')])
          .optional()
          .describe('Empty: none'),
        pool: z
          .union([poolName(), z.literal('')])
          .optional()
          .describe('Empty: out of the one that it is in'),
        dryRun: dryRun(),
      }),
    output: () => z.object({ vmid: z.int(), node: z.string(), before: labels(), after: labels() }),
    steps: ['Look', 'Label', 'Pool'],
    undo: {
      how: 'Tags, notes, name and pool are put back exactly, as long as nobody has changed them since.',
      reverse({ host, vmid: of }, { before, after }) {
        const changed = changedIn(before, after);
        if (changed.length === 0) return { why: 'It had these labels already, and nothing was done.' };
        return {
          input: { host, vmid: of, ...Object.fromEntries(changed.map((label) => [label, before[label]])) },
          expects: changed.map((label) => ({ name: titles[label], value: shown(after, label) })),
          asLongAs: 'nobody has changed them since',
        };
      },
    },
  },
  {
    reads: ({ guest }) => ({
      state: readState(guest),
      config: readConfig(guest),
      own: readPool(guest),
      pools: readPools(),
    }),
    plan({ input, guest, node }, { state, config, own, pools }) {
      const given = [...input.addTags, ...input.removeTags].length > 0;
      if (!given && [input.tags, input.notes, input.name, input.pool].every((one) => one === undefined)) {
        return refuse(
          'invalid-input',
          'Nothing is given that the guest is to have',
          'Give tags, notes, a name or a pool.',
          'addTags',
        );
      }
      if (input.tags !== undefined && given) {
        return refuse(
          'invalid-input',
          'tags is all of them, so there is nothing to add or remove beside it',
          'Give either tags, or addTags and removeTags.',
          'tags',
        );
      }
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      const nameOption = guest.type === 'qemu' ? 'name' : 'hostname';
      const before: Labels = {
        tags: tagsIn(config),
        notes: notesIn(config),
        name: config[nameOption] ?? '',
        pool: own,
      };
      const removed = new Set(input.removeTags);
      const after: Labels = {
        tags: input.tags ?? [...new Set([...before.tags, ...input.addTags])].filter((one) => !removed.has(one)),
        notes: input.notes ?? before.notes,
        name: input.name ?? before.name,
        pool: input.pool ?? before.pool,
      };
      if (after.pool !== '' && after.pool !== before.pool && !pools.some(({ poolid }) => poolid === after.pool)) {
        return refuseMissing(
          `pool "${after.pool}" that the API token may see`,
          'pool',
          pools.map(({ poolid }) => poolid),
        );
      }
      const changed = changedIn(before, after);
      const known = {
        state: (Object.keys(titles) as Label[]).map((label) => ({ name: titles[label], value: shown(before, label) })),
        output: { vmid: guest.vmid, node, before, after },
      };
      if (changed.length === 0) {
        return {
          ...known,
          summary: `leave ${theGuest(guest)} as it is: it has these labels already`,
          affected: [],
          risks: [],
          steps: [],
          done: `${TheGuest(guest)} has these labels already; nothing was done.`,
        };
      }
      const steps: ApiStep[] = [];
      const options = changed.filter((label) => label !== 'pool');
      if (options.length > 0) {
        const set = (to: Labels, digest?: string) => configCall(guest, options, to, digest);
        steps.push({
          title: 'Label',
          call: set(after, config.digest),
          effect: effect({
            reads: { config: readConfig(guest) },
            lacks(now) {
              const wrong = options.find((label) => !isSo(after, now.config, label, nameOption));
              return wrong === undefined
                ? undefined
                : `its ${wrong} ${wrong === 'name' ? 'is' : 'are'} not what was set`;
            },
          }),
          undo: undoBy({
            says: `its ${options.join(', ')} are put back`,
            reads: { config: readConfig(guest) },
            plan(now) {
              // What isn't as this run has set it, somebody else has changed, or nobody yet.
              const mine = options.filter(
                (label) => isSo(after, now.config, label, nameOption) && !isSo(before, now.config, label, nameOption),
              );
              if (mine.length === 0) return undefined;
              return {
                call: configCall(guest, mine, before, now.config.digest),
                effect: effect({
                  reads: { config: readConfig(guest) },
                  lacks: (then) =>
                    mine.every((label) => isSo(before, then.config, label, nameOption))
                      ? undefined
                      : `its ${mine.join(', ')} are not what they were`,
                }),
              };
            },
          }),
        });
      }
      if (changed.includes('pool')) {
        steps.push({
          title: 'Pool',
          call: poolCall(guest, before.pool, after.pool),
          effect: effect({
            reads: { own: readPool(guest) },
            lacks: (now) =>
              now.own === after.pool ? undefined : `it is in ${now.own === '' ? 'no pool' : `the pool ${now.own}`}`,
          }),
          undo: undoBy({
            says: before.pool === '' ? 'it is taken out of the pool' : `it is put back into the pool ${before.pool}`,
            reads: { own: readPool(guest) },
            plan: (now) =>
              now.own === after.pool
                ? {
                    call: poolCall(guest, after.pool, before.pool),
                    effect: effect({
                      reads: { own: readPool(guest) },
                      lacks: (then) => (then.own === before.pool ? undefined : 'it is not in the pool that it was in'),
                    }),
                  }
                : undefined,
          }),
        });
      }
      const maker = madeBy(before.notes);
      return {
        ...known,
        summary: `give ${theGuest(guest)} ${changed.join(', ')}`,
        affected: changed.map((label) => `${titles[label]}: ${shown(before, label)} → ${shown(after, label)}`),
        risks: [
          ...(changed.includes('name') && guest.type === 'lxc' && state.status === 'running'
            ? ['The container itself has its new name only when it has been restarted']
            : []),
          ...(changed.includes('pool') || changed.includes('tags')
            ? ['Rights, backup jobs and policies that go by pool or tag follow']
            : []),
          ...(maker !== undefined && madeBy(after.notes) !== maker
            ? ['Its notes no longer name the run that has made it, so that run can not be undone']
            : []),
        ],
        steps,
        done: `${TheGuest(guest)} has ${changed.map((label) => `${label} ${shown(after, label)}`).join(', ')}.`,
        findings: changed.map((label) => ({
          check: titles[label],
          verdict: 'ok' as const,
          summary: `${shown(before, label)} → ${shown(after, label)}`,
        })),
      };
    },
  },
);

const titles: Readonly<Record<Label, string>> = { tags: 'Tags', notes: 'Notes', name: 'Name', pool: 'Pool' };

function changedIn(before: Labels, after: Labels): readonly Label[] {
  return (Object.keys(titles) as Label[]).filter((label) => String(before[label]) !== String(after[label]));
}

/** On one line, as the plan and its undo have it. */
function shown(of: Labels, label: Label): string {
  const text = label === 'tags' ? of.tags.join(';') : of[label];
  return text === '' ? 'none' : said(text, 200);
}

function tagsIn({ tags = '' }: GuestConfig): string[] {
  return tags.split(/[;,\s]+/).filter((one) => one !== '');
}

/** Proxmox ends them with a line end of its own, of containers at least. */
function notesIn({ description = '' }: GuestConfig): string {
  return description.replace(/\n$/, '');
}

/** Whether the configuration has the label so. */
function isSo(wanted: Labels, config: GuestConfig, label: Label, nameOption: 'name' | 'hostname'): boolean {
  // Proxmox may order them.
  if (label === 'tags') return tagsIn(config).toSorted().join() === wanted.tags.toSorted().join();
  if (label === 'notes') return notesIn(config) === wanted.notes.replace(/\n$/, '');
  return label !== 'name' || (config[nameOption] ?? '') === wanted.name;
}

function configCall(guest: GuestPlace, which: readonly Label[], to: Labels, digest: string | undefined): ApiCall {
  const values = {
    tags: { option: 'tags', value: to.tags.join(';') },
    notes: { option: 'description', value: to.notes },
    name: { option: guest.type === 'qemu' ? 'name' : 'hostname', value: to.name },
    pool: { option: '', value: '' },
  };
  const options = which.map((label) => values[label]);
  const gone = options.filter(({ value }) => value === '').map(({ option }) => option);
  return {
    method: 'PUT',
    ...guestPath(guest, '/config'),
    parameters: {
      ...Object.fromEntries(options.filter(({ value }) => value !== '').map(({ option, value }) => [option, value])),
      ...(gone.length === 0 ? {} : { delete: gone.join(',') }),
      ...(digest === undefined ? {} : { digest }),
    },
  };
}

function poolCall({ vmid: of }: GuestPlace, from: string, to: string): ApiCall {
  const parameters =
    to === ''
      ? { poolid: from, vms: String(of), delete: true }
      : { poolid: to, vms: String(of), 'allow-move': from !== '' };
  return { method: 'PUT', template: '/pools', values: [], parameters };
}

/** The pool that the guest is in; empty: none. */
function readPool({ vmid: of }: GuestPlace) {
  const schema = z
    .array(z.object({ vmid: z.number().optional(), pool: z.string().optional() }))
    .transform((list) => list.find((one) => one.vmid === of)?.pool ?? '');
  return apiRead({ template: '/cluster/resources', values: [], parameters: { type: 'vm' }, schema });
}
