import { segmentsOf } from './api-path.ts';
import { holdsSecret, isSecretName } from './api-secrets.ts';

// Calls of the Proxmox API that this service doesn't make for whoever asks, by name and with the reason. A host's own
// description of its API has no say in it: paths are compared as they are sent.

interface Refused {
  /** Segments; `*` is any one, a last `**` any that follow, none included. */
  readonly path: string;
  /** Default: all that change something. */
  readonly methods?: readonly string[];
  readonly why: string;
  /** What to do instead. */
  readonly instead: string;
}

const console_ = 'In Proxmox, open the console there.';
const byPerson = 'An administrator does it in Proxmox itself.';

/** Changing calls. */
const refusedWrites: readonly Refused[] = [
  {
    path: '/access/**',
    why: 'it changes who may do what, this service included, or makes a password, token or ticket',
    instead: byPerson,
  },
  {
    path: '/cluster/jobs/realm-sync/**',
    why: 'it changes who may do what: such a job makes and removes users and their rights',
    instead: byPerson,
  },
  {
    path: '/cluster/config/**',
    why: 'it changes which nodes the cluster has, and takes or shows its keys',
    instead: 'An administrator does it on the node (pvecm).',
  },
  { path: '/nodes/*/execute', why: 'it makes other calls, which nothing here would see', instead: 'Make each call.' },
  ...['vncproxy', 'vncshell', 'termproxy', 'spiceproxy', 'spiceshell'].flatMap((last) => [
    { path: `/nodes/*/${last}`, why: 'it opens a console as root of the node', instead: console_ },
    { path: `/nodes/*/*/*/${last}`, why: 'it makes a ticket for a console of the guest', instead: console_ },
  ]),
  ...['mtunnel', 'remote_migrate'].map((last) => ({
    path: `/nodes/*/*/*/${last}`,
    why: 'it takes or makes the secret of another cluster',
    instead: byPerson,
  })),
  {
    path: '/nodes/*/qemu/*/monitor',
    why: "it reaches the virtual machine's monitor, and by that the node's files",
    instead: byPerson,
  },
  {
    path: '/nodes/*/qemu/*/dbus-vmstate',
    why: "it is a step of Proxmox's own migration",
    instead: 'Use an operation that migrates the guest (search_operations).',
  },
  ...['exec', 'file-write', 'set-user-password'].map((last) => ({
    path: `/nodes/*/qemu/*/agent/${last}`,
    why:
      last === 'set-user-password'
        ? "it takes a password, which would stand in the run's history"
        : "it does something in the guest whose outcome this operation can't see",
    instead:
      last === 'set-user-password'
        ? 'An administrator sets it in the guest.'
        : 'Use an operation that runs a command or sends a file in a guest (search_operations).',
  })),
  ...['startall', 'stopall', 'suspendall', 'migrateall'].map((last) => ({
    path: `/nodes/*/${last}`,
    why: 'it changes many guests, past their own locks and rules',
    instead: 'Use an operation for many guests (search_operations).',
  })),
  {
    path: '/cluster/bulk-action/**',
    why: 'it changes many guests, past their own locks and rules',
    instead: 'Use an operation for many guests (search_operations).',
  },
  {
    path: '/nodes/*/certificates/**',
    why: "it changes the certificate by which this service knows the node, and may take the node's private key",
    instead: 'An administrator does it, and then has the new certificate pinned here (npx proxmox-mcp host install).',
  },
  {
    path: '/cluster/mapping/dir/**',
    why: "it gives guests folders of the node's own files, and by that root of the node",
    instead: byPerson,
  },
  {
    path: '/cluster/sdn/lock',
    why: "it makes a token that would stand in the run's history",
    instead: byPerson,
  },
  {
    path: '/nodes/*/storage/*/upload',
    why: 'it takes a file, which no parameter holds',
    instead: 'Use download-url, or an operation that downloads an image (search_operations).',
  },
  {
    path: '/nodes/*/storage/*/prunebackups',
    why: 'it deletes backups, the last good one of a guest included',
    instead: 'An administrator does it in Proxmox, where each backup is shown.',
  },
  {
    path: '/nodes/*/disks/wipedisk',
    why: 'it destroys a disk with all that is on it, backups included',
    instead: 'An administrator does it on the node.',
  },
  {
    path: '/nodes/*/disks/initgpt',
    why: 'it destroys what is on a disk',
    instead: 'An administrator does it on the node.',
  },
  {
    path: '/nodes/*/disks/*/*',
    methods: ['DELETE'],
    why: 'it destroys a whole pool or volume group with all that is on it, backups included',
    instead: 'An administrator does it on the node.',
  },
  ...(['start', 'stop', 'shutdown', 'reboot'] as const).map((action) => ({
    path: `/nodes/*/*/*/status/${action}`,
    why: 'another operation does it and sees that it worked',
    instead: `Use control-guest with the action ${action}.`,
  })),
  ...(
    [
      ['POST', 'status/suspend', 'suspend-guest'],
      ['POST', 'status/resume', 'resume-guest'],
      ['POST', 'snapshot/*/rollback', 'roll-back-guest'],
      ['POST', 'clone', 'clone-guest'],
      ['POST', 'migrate', 'migrate-guest'],
      ['POST', 'template', 'convert-to-template'],
      ['PUT', 'resize', 'resize-disk'],
      ['POST', 'move_disk', 'move-disk'],
      ['POST', 'move_volume', 'move-disk'],
      ['DELETE', '', 'delete-guest'],
    ] as const
  ).flatMap(([method, rest, operation]) =>
    ['qemu', 'lxc'].map((type) => ({
      path: `/nodes/*/${type}/*${rest === '' ? '' : `/${rest}`}`,
      methods: [method],
      why: 'another operation does it, sees that it worked, and takes it back',
      instead: `Use ${operation}.`,
    })),
  ),
];

/** Reading calls that are no harmless look. */
const refusedReads: readonly Refused[] = [
  ...['vncwebsocket', 'mtunnelwebsocket'].flatMap((last) => [
    { path: `/nodes/*/${last}`, why: 'it opens a connection and no answer', instead: console_ },
    { path: `/nodes/*/*/*/${last}`, why: 'it opens a connection and no answer', instead: console_ },
  ]),
  {
    path: '/nodes/*/qemu/*/agent/file-read',
    why: 'it reads a file of a guest, whatever is in it',
    instead: 'Use an operation that fetches a file from a guest (search_operations).',
  },
  {
    path: '/nodes/*/qemu/*/agent/exec-status',
    why: 'it shows once what a command printed, and takes that from who started it',
    instead: 'Use an operation that runs a command in a guest (search_operations).',
  },
  {
    path: '/nodes/*/storage/*/file-restore/download',
    why: 'it reads a file out of a backup, whatever is in it',
    instead:
      'An administrator does it at a terminal: npx proxmox-mcp backups fetch. browse-guest-backup lists what there is.',
  },
  ...['query-url-metadata', 'query-oci-repo-tags'].map((last) => ({
    path: `/nodes/*/${last}`,
    why: 'it has the node call an address on the network',
    instead: 'Use the call that downloads it, which is approved.',
  })),
  ...['nfs', 'cifs', 'pbs', 'iscsi'].map((last) => ({
    path: `/nodes/*/scan/${last}`,
    why: 'it has the node call an address on the network',
    instead: byPerson,
  })),
  ...['tos', 'meta'].map((last) => ({
    path: `/cluster/acme/${last}`,
    why: 'it has the node call an address on the network',
    instead: byPerson,
  })),
  ...['rrd', '*/*/rrd', 'storage/*/rrd'].map((rest) => ({
    path: `/nodes/*/${rest}`,
    why: 'it draws a picture into a file of the node',
    instead: 'Read rrddata, which has the same numbers.',
  })),
];

/** Parameters by which only root@pam itself may change a guest: they run programs on the node or open its devices. */
const rootOnly = new Set(
  'args hookscript lock skiplock script dumpdir tmpdir job-id stateuri migratedfrom migration_type force-cpu dev[n]'.split(
    ' ',
  ),
);

/** What a call must or must not say, where its path alone is not refused. */
interface Condition {
  readonly path: string;
  readonly methods: readonly string[];
  /** Undefined: nothing is wrong. */
  wrong(parameters: Readonly<Record<string, unknown>>, segments: readonly string[]): ApiProblem | undefined;
}

const conditions: readonly Condition[] = [
  ...['qemu', 'lxc'].map((type) => ({
    path: `/nodes/*/${type}`,
    methods: ['POST'],
    wrong: ({ force }: Readonly<Record<string, unknown>>) =>
      isOn(force)
        ? {
            field: 'parameters.force',
            message: 'expected false: it would put another guest in the place of one that is there',
          }
        : undefined,
  })),
  {
    path: '/nodes/*/vzdump',
    methods: ['POST'],
    wrong: (parameters) =>
      isOff(parameters.remove)
        ? undefined
        : {
            field: 'parameters.remove',
            message:
              'expected false: else the backup deletes older ones by its retention, and the last good one may be among them',
          },
  },
  {
    path: '/nodes/*/lxc',
    methods: ['POST'],
    wrong: ({ unprivileged, restore }) =>
      isOn(unprivileged) || (isOn(restore) && unprivileged === undefined)
        ? undefined
        : {
            field: 'parameters.unprivileged',
            message: "expected true: root of a privileged container is the node's own root",
          },
  },
  {
    path: '/nodes/*/lxc/*/config',
    methods: ['PUT'],
    wrong: ({ unprivileged }) =>
      unprivileged === undefined || isOn(unprivileged)
        ? undefined
        : {
            field: 'parameters.unprivileged',
            message: "expected true: root of a privileged container is the node's own root",
          },
  },
  {
    path: '/nodes/*/storage/*/content/**',
    methods: ['DELETE'],
    wrong: (_, segments) =>
      /(^|[:/])(backup\/|vzdump-)/.test(segments.slice(5).join('/'))
        ? {
            field: 'path',
            message: 'a backup is not deleted by this operation, because it may be the last good one of its guest',
          }
        : undefined,
  },
  {
    path: '/cluster/acme/plugins/**',
    methods: ['POST', 'PUT'],
    wrong: ({ data }) =>
      data === undefined
        ? undefined
        : { field: 'parameters.data', message: secretIn('the credentials of a DNS provider') },
  },
];

/** One thing that is wrong with a call. */
export interface ApiProblem {
  /** `path`, `parameters.memory` */
  readonly field: string;
  readonly message: string;
}

function secretIn(what: string): string {
  return `${what} would stand in the run's history, which others read; an administrator sets it in Proxmox`;
}

/** What keeps this service from making a changing call, if anything. All of it is known without asking a host. */
export function problemsOfWrite(
  method: string,
  path: string,
  parameters: Readonly<Record<string, unknown>>,
): readonly ApiProblem[] {
  const segments = segmentsOf(path);
  if (segments === undefined) return [notAPath];
  const refused = refusedWrites.find(({ path: pattern, methods }) => {
    return (methods === undefined || methods.includes(method)) && matches(pattern, segments);
  });
  if (refused !== undefined) {
    return [{ field: 'path', message: `${method} ${path} is not done here: ${refused.why}. ${refused.instead}` }];
  }
  const isKey = segments.at(-1) === 'sendkey';
  return [
    ...Object.entries(parameters).flatMap(([name, value]) => {
      const problem = problemOfParameter(name, value, isKey);
      return problem === undefined ? [] : [{ field: `parameters.${name}`, message: problem }];
    }),
    ...conditions.flatMap(({ path: pattern, methods, wrong }) => {
      const found = methods.includes(method) && matches(pattern, segments) ? wrong(parameters, segments) : undefined;
      return found === undefined ? [] : [found];
    }),
  ];
}

function problemOfParameter(name: string, value: unknown, isKey: boolean): string | undefined {
  if (isSecretName(name) && !(isKey && name === 'key')) return secretIn('it holds a secret, which');
  if (rootOnly.has(name) || rootOnly.has(name.replace(/\d+$/, '[n]'))) {
    return 'only root@pam itself may set it, and an API token never can: it reaches the node itself';
  }
  return [value].flat().some((one) => typeof one === 'string' && holdsSecret(one))
    ? secretIn('there is a secret in it, which')
    : undefined;
}

/** What keeps this service from making a reading call, if anything. */
export function problemsOfRead(path: string, parameters: Readonly<Record<string, unknown>>): readonly ApiProblem[] {
  const segments = segmentsOf(path);
  if (segments === undefined) return [notAPath];
  const refused = refusedReads.find(({ path: pattern }) => matches(pattern, segments));
  if (refused !== undefined) {
    return [{ field: 'path', message: `GET ${path} is not done here: ${refused.why}. ${refused.instead}` }];
  }
  return Object.keys(parameters)
    .filter((name) => isSecretName(name))
    .map((name) => ({ field: `parameters.${name}`, message: 'it is a secret, which is not taken here' }));
}

const notAPath: ApiProblem = {
  field: 'path',
  message: 'expected a path of the API with its values in it, e.g. /nodes/pve1/qemu/100/config',
};

function matches(pattern: string, segments: readonly string[]): boolean {
  const shape = pattern.slice(1).split('/');
  const open = shape.at(-1) === '**';
  const fixed = open ? shape.slice(0, -1) : shape;
  if (open ? segments.length < fixed.length : segments.length !== fixed.length) return false;
  return fixed.every((part, at) => part === '*' || part === segments[at]);
}

function isOn(value: unknown): boolean {
  return value === true || value === 1 || (typeof value === 'string' && /^(1|on|yes|true)$/i.test(value));
}

function isOff(value: unknown): boolean {
  return value === false || value === 0 || (typeof value === 'string' && /^(0|off|no|false)$/i.test(value));
}
