import { z } from 'zod';
import { canonicalPath, guestIn } from './api-path.ts';
import { problemsOfWrite } from './api-rules.ts';
import { defineOperation } from './definition.ts';
import { dryRun, hostName, vmid } from './inputs.ts';

/** Any changing call of a host's API that has no operation of its own. */
export const changeApi = defineOperation({
  name: 'change-api',
  title: 'Change by the API',
  summary: 'Make any other changing call of the Proxmox API, checked against the schema that its host serves.',
  description:
    'Any other write of the Proxmox VE API (POST, PUT, DELETE; pvesh create, set, delete), for what has no operation of its own: storage, network, DNS, firewall groups and aliases, SDN, pools, jobs, notifications, datacenter options … Find the call and its parameters by search_api. Checked against the schema of the host before it is sent, sent once, its task followed, and what was there before compared with what is there after. No passwords, tokens or keys (the input stays in the history), no users and rights, no consoles: refused by name. dryRun shows the exact call and what it rests on.',
  guide: 'pvesh by hand',
  target: 'host',
  mayNameGuest: true,
  needs: 'api',
  risk: 'dangerous',
  needsDangerousCommands: true,
  exposure: 'search',
  idempotent: false,
  input: () =>
    z
      .object({
        host: hostName().describe('The host that is the node in the path; else any of the cluster'),
        vmid: vmid()
          .optional()
          .describe('Only where the path is about a guest (/nodes/…/qemu/100/…): its number once more, for its lock'),
        method: z.enum(['POST', 'PUT', 'DELETE']).describe('POST makes or does something, PUT sets, DELETE removes'),
        path: z
          .string()
          .max(500)
          .transform((path, context) => {
            const canonical = canonicalPath(path);
            if (canonical === '/') context.addIssue({ code: 'custom', message: pathForm });
            return canonical;
          })
          .describe('With its values in it, e.g. /nodes/pve1/dns'),
        parameters: z
          .record(
            z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,99}$/, 'expected names of parameters, e.g. memory'),
            z.union([value(), z.array(value()).max(200)]),
          )
          .refine((given) => Object.keys(given).length <= 200, 'expected at most 200 parameters')
          .default({})
          .describe('As search_api shows them, without those of the path. They stay in the history: no secrets'),
        dryRun: dryRun(),
      })
      .superRefine(({ method, path, parameters, vmid: named }, context) => {
        if (path === '/') return;
        for (const { field, message } of problemsOfWrite(method, path, parameters)) {
          // A parameter's name may have a dot.
          const [of, ...name] = field.split('.');
          context.addIssue({ code: 'custom', path: [of ?? '', ...(name.length > 0 ? [name.join('.')] : [])], message });
        }
        const guest = guestIn(path)?.vmid;
        if (guest === named) return;
        const message =
          guest === undefined
            ? 'expected nothing: the path is about no guest'
            : `expected ${guest}, the guest in the path, whose lock is taken`;
        context.addIssue({ code: 'custom', path: ['vmid'], message });
      }),
  output: () =>
    z.object({
      call: z.string().describe('The exact call'),
      task: z.string().optional().describe('UPID, where it started one'),
      answer: z.string().optional().describe('What the API answered, where that is no task'),
      read: z.string().optional().describe('What was read before and after it'),
      differences: z.array(z.string()).describe('What is otherwise there; in a plan none'),
      settings: z
        .array(z.object({ name: z.string(), before: z.string().nullable(), after: z.string().nullable() }))
        .describe('What it sets and can be read; null: not set'),
      back: z
        .record(z.string(), z.union([z.string(), z.array(z.string())]))
        .optional()
        .describe('Parameters of the call that puts the former settings back'),
      noBack: z.string().optional().describe('Why nothing puts it back'),
    }),
  steps: ['Look', 'Call', 'Verify'],
  schedules: [],
  undo: {
    how: 'A PUT whose settings were read before it is put back by a PUT of their former values, as long as nobody has changed them since. Of anything else nothing is known that takes it back.',
    reverse({ host, vmid: of, method, path }, { settings, back, noBack }) {
      const expects = settings.map(({ name, after }) => ({ name, value: shownSetting(after) }));
      if (method !== 'PUT' || back === undefined || expects.length === 0) {
        return { why: noBack ?? 'Nothing is known that takes back what this call has done.' };
      }
      return {
        input: { host, ...(of === undefined ? {} : { vmid: of }), method, path, parameters: back },
        expects,
        asLongAs: 'nobody has changed these settings since',
      };
    },
  },
});

const pathForm = 'expected a path of the API with its values in it, e.g. /nodes/pve1/dns';

function value() {
  return z.union([z.string().max(8_192), z.number(), z.boolean()]);
}

/** A setting in the plan's state, and in what an undo expects to find there. */
export function shownSetting(setting: string | null): string {
  return setting === null ? 'not set' : setting.length <= 200 ? setting : `${setting.slice(0, 200)}…`;
}
