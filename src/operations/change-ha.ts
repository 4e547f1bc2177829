import { z } from 'zod';
import { apiRead, defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import { readState, TheGuest, theGuest } from './guest-config.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said, some } from './said.ts';
import type { GuestPlace } from './target.ts';

/** Whether the HA stack looks after a guest, and how. */
export const changeHa = defineApiChange(
  {
    name: 'change-ha',
    title: 'Change HA',
    summary: 'Put a VM or container under high availability (HA), take it out, or say what HA is to do with it.',
    description:
      'High availability (HA) of a VM or container: add it to the HA resources, so that the cluster starts it again elsewhere when its node fails; remove it; set what HA wants of it (state started, stopped, disabled, ignored) and how often it tries. HA acts by itself: stopped shuts the guest down. In Proxmox VE 8 a group says on which nodes; from 9 on HA rules do.',
    guide: 'ha-manager by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Sys.Audit', on: 'root' },
      ],
      changes: [{ privilege: 'Sys.Console', on: 'root' }],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        action: z.enum(['add', 'remove', 'set']).describe('What to do'),
        state: z
          .enum(['started', 'stopped', 'disabled', 'ignored'])
          .optional()
          .describe('What HA wants of it; of a new one by itself what it is now: started or stopped'),
        maxRestart: z.int().min(0).max(100).optional().describe('How often it is started again on its node'),
        maxRelocate: z.int().min(0).max(100).optional().describe('How often it is tried on another node'),
        group: z
          .string()
          .regex(/^[a-zA-Z][a-zA-Z0-9_-]{1,39}$/, 'expected the name of an HA group')
          .optional()
          .describe('Only in Proxmox VE 8: HA group of nodes'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        before: haOf().optional().describe('Absent: HA did not look after it'),
        after: haOf().optional().describe('Absent: HA does not look after it'),
      }),
    steps: ['Look', 'Change', 'Wait'],
    undo: {
      how: 'What HA had for the guest is put back, as long as nobody has changed it since. Rules that named a removed guest do not come back.',
      reverse({ host, vmid: of }, { before, after }) {
        if (haText(before) === haText(after)) return { why: 'It was so already, and nothing was done.' };
        const input = {
          host,
          vmid: of,
          action: before === undefined ? 'remove' : after === undefined ? 'add' : 'set',
          ...(before?.state !== undefined && { state: before.state }),
          ...(before?.max_restart !== undefined && { maxRestart: Number(before.max_restart) }),
          ...(before?.max_relocate !== undefined && { maxRelocate: Number(before.max_relocate) }),
          ...(before?.group !== undefined && { group: before.group }),
        };
        return {
          input,
          expects: [{ name: 'HA', value: haText(after) }],
          asLongAs: 'nobody has changed what HA does with it since',
          ...(after === undefined && { remains: 'HA rules that named it are not put back.' }),
        };
      },
    },
  },
  {
    reads: ({ guest }) => ({ state: readState(guest), ha: readHa(guest), rules: readHaRules(guest) }),
    plan({ input, guest, node }, { state, ha: [had], rules }) {
      const { action } = input;
      const sid = sidOf(guest);
      const refuse = (code: Refusal['refused']['code'], why: string, remedy: string, field: string): Refusal => ({
        refused: { code, message: `${why}, and nothing was done`, remedy, field },
      });
      if (state.template === 1) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is a template, which never runs`,
          'Name a guest that runs.',
          'vmid',
        );
      }
      if (action === 'set' && had === undefined) {
        return refuse('conflict', `HA does not look after ${theGuest(guest)}`, 'Add it first (action add).', 'action');
      }
      const given = {
        ...(input.state !== undefined && { state: input.state }),
        ...(input.maxRestart !== undefined && { max_restart: String(input.maxRestart) }),
        ...(input.maxRelocate !== undefined && { max_relocate: String(input.maxRelocate) }),
        ...(input.group !== undefined && { group: input.group }),
      };
      if (action === 'set' && Object.keys(given).length === 0) {
        return refuse('invalid-input', 'There is nothing to set', 'Give state, maxRestart or maxRelocate.', 'state');
      }
      const before = had && plainOf(had);
      const wanted = {
        ...(action === 'add' && before === undefined && { state: state.status === 'running' ? 'started' : 'stopped' }),
        ...given,
      };
      const after = action === 'remove' ? undefined : { ...before, ...wanted };
      const output = { vmid: guest.vmid, node, before, after };
      const lines = {
        state: [
          { name: 'HA', value: haText(before) },
          { name: 'State', value: state.status },
          { name: 'Node', value: node },
        ],
        risks: action === 'remove' ? ['Nobody starts it elsewhere any more when its node fails'] : [],
      };
      const isSo =
        action === 'remove'
          ? had === undefined
          : before !== undefined && Object.entries(wanted).every(([name, value]) => isAs(before, name, value));
      if (isSo) {
        return {
          ...lines,
          summary: `nothing: HA has ${theGuest(guest)} so already`,
          affected: [],
          risks: [],
          steps: [],
          output: { ...output, after: before },
          done: `HA has ${theGuest(guest)} so already; nothing was done.`,
        };
      }
      const goal = { started: 'running', stopped: 'stopped', disabled: 'stopped' }[after?.state ?? ''];
      const now = { ha: readHa(guest) };
      const isWaitedFor = goal !== undefined && goal !== state.status;
      const parameters = { ...wanted, ...(had?.digest !== undefined && { digest: had.digest }) };
      const one = { template: '/cluster/ha/resources/*', values: [sid] };
      const isUndone = (seen: { readonly ha: readonly HaResource[] }) => {
        const [is] = seen.ha;
        if (before === undefined) return is === undefined ? undefined : 'HA still looks after it';
        if (is === undefined) return 'HA does not look after it';
        const other = Object.keys(before).find((name) => !isAs(plainOf(is), name, before[name] ?? ''));
        return other === undefined ? undefined : `${other} is not as before`;
      };
      return {
        ...lines,
        summary:
          action === 'remove'
            ? `take ${theGuest(guest)} out of HA`
            : `${action === 'add' && before === undefined ? 'put' : 'keep'} ${theGuest(guest)} under HA: ${haText(after)}`,
        affected: [
          ...(isWaitedFor ? [`HA ${goal === 'running' ? 'starts' : 'shuts down'} ${theGuest(guest)} by itself`] : []),
          ...(action === 'remove' && rules.length > 0
            ? [`It goes out of the HA rules ${some(rules.map(({ rule }) => rule))}, too`]
            : []),
        ],
        steps: [
          {
            title: 'Change',
            call:
              action === 'remove'
                ? { method: 'DELETE', ...one }
                : before === undefined
                  ? { method: 'POST', template: '/cluster/ha/resources', values: [], parameters: { sid, ...wanted } }
                  : { method: 'PUT', ...one, parameters },
            effect: effect({
              reads: now,
              withinSeconds: 30,
              lacks(seen) {
                const [is] = seen.ha;
                if (action === 'remove') return is === undefined ? undefined : 'HA still looks after it';
                if (is === undefined) return 'HA does not look after it';
                const other = Object.entries(wanted).find(([name, value]) => !isAs(plainOf(is), name, value));
                return other === undefined ? undefined : `${other[0]} is not ${said(other[1], 40)}`;
              },
              facts: (seen) => ({ after: seen.ha[0] && plainOf(seen.ha[0]) }),
            }),
            undo: undoBy({
              says: before === undefined ? 'it is taken out of HA again' : 'what HA had for it is put back',
              reads: { ha: readHa(guest) },
              plan(seen) {
                const [is] = seen.ha;
                if (isUndone(seen) === undefined) return undefined;
                const back = effect({ reads: { ha: readHa(guest) }, lacks: isUndone });
                if (before === undefined) return { call: { method: 'DELETE', ...one }, effect: back };
                if (is === undefined) {
                  const values = { sid, ...before };
                  return {
                    call: { method: 'POST', template: '/cluster/ha/resources', values: [], parameters: values },
                    effect: back,
                  };
                }
                const gone = Object.keys(wanted).filter((name) => before[name] === undefined);
                return {
                  call: {
                    method: 'PUT',
                    ...one,
                    parameters: {
                      ...before,
                      ...(gone.length > 0 && { delete: gone.join(',') }),
                      ...(is.digest !== undefined && { digest: is.digest }),
                    },
                  },
                  effect: back,
                };
              },
            }),
          },
          ...(isWaitedFor
            ? [
                {
                  title: 'Wait',
                  effect: effect({
                    reads: { state: readState(guest) },
                    withinSeconds: 300,
                    lacks: (seen) =>
                      seen.state.status === goal ? undefined : `HA has not made it so: it is ${seen.state.status}`,
                  }),
                },
              ]
            : []),
        ],
        output,
        done:
          action === 'remove'
            ? `HA does not look after ${theGuest(guest)} any more.`
            : `HA looks after ${theGuest(guest)}: ${haText(after)}.`,
      };
    },
  },
);

function sidOf({ type, vmid: of }: GuestPlace): string {
  return `${type === 'qemu' ? 'vm' : 'ct'}:${of}`;
}

const haOf = () => z.record(z.string(), z.string());

const textual = () =>
  z.union([z.string(), z.number().transform(String), z.boolean().transform((value) => String(Number(value)))]);

const resource = () =>
  z.object({
    sid: z.string(),
    digest: z.string().optional(),
    state: z.string().default('started'),
    max_restart: textual().optional(),
    max_relocate: textual().optional(),
    group: z.string().optional(),
    failback: textual().optional(),
    comment: z.string().optional(),
  });
type HaResource = z.output<ReturnType<typeof resource>>;

/** What HA has of a guest: one or none. */
function readHa(guest: GuestPlace) {
  return apiRead({
    template: '/cluster/ha/resources',
    values: [],
    schema: z.array(resource()).transform((all) => all.filter(({ sid }) => sid === sidOf(guest))),
  });
}

/** The HA rules that name a guest; older versions have none. */
function readHaRules(guest: GuestPlace) {
  return apiRead({
    template: '/cluster/ha/rules',
    values: [],
    parameters: { resource: sidOf(guest) },
    schema: z.array(z.object({ rule: z.string() })),
    absent: [],
  });
}

function plainOf({ sid: _, digest: __, ...rest }: HaResource): Record<string, string> {
  return Object.fromEntries(
    Object.entries(rest).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** What counts where nothing is set. */
const defaults: Readonly<Record<string, string>> = { max_restart: '1', max_relocate: '1', failback: '1' };

function isAs(is: Readonly<Record<string, string>>, name: string, wanted: string): boolean {
  const now = is[name] ?? defaults[name];
  return now === wanted || (wanted === 'started' && now === 'enabled');
}

function haText(of: Readonly<Record<string, string>> | undefined): string {
  if (of === undefined) return 'no';
  const { state = 'started', max_restart = '1', max_relocate = '1', group } = of;
  return `${state}, restart ${max_restart}, relocate ${max_relocate}${group === undefined ? '' : `, group ${said(group, 40)}`}`;
}
