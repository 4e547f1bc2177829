import { isServiceError } from '../errors.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import type { ApiRight, OperationDefinition } from '../operations/definition.ts';
import { rightPaths, type WideRight, wideNames, wideRights } from '../operations/rights.ts';
import type { ProxmoxApis } from './connect.ts';
import { membersOf } from './locate.ts';
import type { ProxmoxPermissions } from './schemas.ts';
import type { CallOptions } from './transport.ts';

/** What an API token may not do. */
export interface MissingRight {
  /** `Sys.Audit` */
  readonly privilege: string;
  /** `/nodes/pve1` */
  readonly path: string;
}

/** An operation or a tool, and what it needs. */
export interface ApiUse {
  /** `get_host`, `control-guest` */
  readonly name: string;
  readonly isOfGuests: boolean;
  /** Only where ENABLE_DANGEROUS_COMMANDS is true: else it is refused whatever its rights. */
  readonly isDangerous?: boolean;
  readonly reads: readonly ApiRight[];
  readonly changes: readonly ApiRight[];
}

/** Which operations can be asked for at all. */
export interface Enabled {
  readonly dangerousCommands: boolean;
}

/** Tools of MCP that ask the API without being operations. */
const tools: readonly ApiUse[] = [
  { name: 'list_guests', isOfGuests: true, reads: [{ privilege: 'VM.Audit', on: 'guest' }], changes: [] },
  {
    name: 'get_guest',
    isOfGuests: true,
    reads: [
      { privilege: 'VM.Audit', on: 'guest' },
      { privilege: 'VM.GuestAgent.Audit', on: 'guest', when: 'addresses by the guest agent' },
      { privilege: 'Datastore.Audit', on: 'storage', when: 'backups' },
    ],
    changes: [],
  },
  {
    name: 'get_host',
    isOfGuests: false,
    reads: [
      { privilege: 'Sys.Audit', on: 'node' },
      { privilege: 'Sys.Audit', on: 'root', when: 'cluster, HA and disks' },
      { privilege: 'Sys.Syslog', on: 'node', when: 'journal' },
      { privilege: 'Datastore.Audit', on: 'storage', when: 'storages' },
      { privilege: 'Pool.Audit', on: 'pool', when: 'pools' },
      { privilege: 'VM.Audit', on: 'guest', when: 'pools, replication and tasks' },
    ],
    changes: [],
  },
];

/** Everything of the tools and of the catalogue that needs rights of the API token. */
export const apiUses: readonly ApiUse[] = [
  ...tools,
  ...Object.values<OperationDefinition>(catalogue).flatMap(({ name, target, api, needsDangerousCommands }) => {
    const isOfGuests = target === 'guest' || target === 'guests';
    return api === undefined ? [] : [{ name, isOfGuests, isDangerous: needsDangerousCommands === true, ...api }];
  }),
];

function usesOf({ dangerousCommands }: Enabled): readonly ApiUse[] {
  return apiUses.filter(({ isDangerous }) => dangerousCommands || !isDangerous);
}

const isWide = ({ on }: ApiRight) => on === 'root';
/** Rights of all operations, each once. */
function distinct(rights: readonly ApiRight[]): readonly ApiRight[] {
  return rights.filter(
    (one, index) => rights.findIndex(({ privilege, on }) => privilege === one.privilege && on === one.on) === index,
  );
}
/** Some looks need a right that also lets change something, as the one whether a guest can be migrated. */
const onlyLooks = ({ privilege }: ApiRight) => /\.Audit$/.test(privilege) || privilege === 'Sys.Syslog';

/** What an API token may do besides look, as `VM.PowerMgmt on /vms`; nothing: it only reads. */
export function changingPrivileges(permissions: ProxmoxPermissions): readonly string[] {
  return Object.entries(permissions).flatMap(([path, held]) =>
    Object.keys(held)
      .filter((privilege) => !onlyLooks({ privilege, on: 'root' }))
      .map((privilege) => `${privilege} on ${path}`),
  );
}

/** By what they let do, not by what they are needed for. */
function rightsOf({ reads, changes }: ApiUse) {
  return {
    toLook: reads.filter(onlyLooks),
    toChange: [...reads.filter((right) => !onlyLooks(right)), ...changes].filter((right) => !isWide(right)),
  };
}
const readRights = distinct(apiUses.flatMap((use) => rightsOf(use).toLook));
const changeRights = (enabled: Enabled) => distinct(usesOf(enabled).flatMap((use) => rightsOf(use).toChange));

/** The wide rights that an operation, or a part of one, can't do without. */
export function usedWideRights(enabled: Enabled): readonly WideRight[] {
  const wide = usesOf(enabled).flatMap(({ changes }) => changes.filter(isWide));
  return wideNames.filter((name) => wide.some(({ privilege }) => privilege === wideRights[name].privilege));
}

/**
 * What Proxmox VE 8 has instead of the privileges for the guest agent. It also lets execute anything in a guest, so that a role
 * which is only to look never gets it.
 */
const olderNames: Readonly<Record<string, string>> = Object.fromEntries(
  ['Audit', 'FileRead', 'FileSystemMgmt', 'FileWrite', 'Unrestricted'].map((name) => [
    `VM.GuestAgent.${name}`,
    'VM.Monitor',
  ]),
);

/** What a role is to have on a host, by what its version knows. */
export interface RoleWanted {
  readonly privileges: readonly string[];
  /** What this version doesn't know, or has only together with much more. */
  readonly leftOut: readonly string[];
}

/** The role that reads. @param known - every privilege of the host's version */
export function readingRoleFor(known: readonly string[]): RoleWanted {
  return roleOf(readRights, known, {});
}

/** The role that changes. */
export function changingRoleFor(known: readonly string[], enabled: Enabled): RoleWanted {
  return roleOf(changeRights(enabled), known, olderNames);
}

function roleOf(
  rights: readonly ApiRight[],
  known: readonly string[],
  instead: Readonly<Record<string, string>>,
): RoleWanted {
  const wanted = [...new Set(rights.map(({ privilege }) => privilege))];
  const found = wanted.map((privilege) => {
    const other = instead[privilege];
    return known.includes(privilege) ? privilege : other !== undefined && known.includes(other) ? other : undefined;
  });
  return {
    privileges: [...new Set(found.filter((name) => name !== undefined))].sort(),
    leftOut: wanted.filter((_, index) => found[index] === undefined).sort(),
  };
}

/** The paths on which the changing role is needed. */
export function changingPaths(enabled: Enabled): readonly string[] {
  return [...new Set(changeRights(enabled).map(({ on }) => rightPaths[on]))].sort();
}

const healthRights = catalogue['check-health'].api?.reads ?? [];

/** Which of the rights that the health check needs a host's API token lacks. */
export async function missingForHealth(
  apis: ProxmoxApis,
  host: string,
  options: CallOptions,
): Promise<readonly MissingRight[]> {
  const client = apis.get(host);
  const node = await nodeIfSeen(apis, host, options);
  const wanted = healthRights.flatMap(({ privilege, on }): MissingRight[] => {
    if (on !== 'node') return [{ privilege, path: rightPaths[on] }];
    return node === undefined ? [] : [{ privilege, path: `/nodes/${node}` }];
  });
  const held = await Promise.all(wanted.map(({ path }) => client.permissions(path, options)));
  return wanted.filter(({ privilege, path }, index) => held[index]?.[path]?.[privilege] === undefined);
}

async function nodeIfSeen(apis: ProxmoxApis, host: string, options: CallOptions): Promise<string | undefined> {
  try {
    return await apis.node(host, options);
  } catch (error) {
    if (isServiceError(error, 'proxmox-permission')) return undefined;
    throw error;
  }
}

/** A right that an API token lacks, and what is refused for it. */
export interface LackedRight extends MissingRight {
  /** Names of operations and tools, with which requests of theirs where it isn't all: `get_host (journal)`. */
  readonly refused: readonly string[];
  /** Where it has the right all the same: `guests 100, 101`, `backup`. */
  readonly but?: string;
}

/** What a host's API token lacks of everything that operations need. */
export interface LackedRights {
  readonly toLook: readonly LackedRight[];
  readonly toChange: readonly LackedRight[];
  /** It has none of the rights to change something, on nothing: it is meant to look. */
  readonly onlyLooks: boolean;
  /** How many operations and tools there are that look, and that change something. */
  readonly uses: { readonly look: number; readonly change: number };
  /** Wide rights that operations could use, and that it doesn't have. */
  readonly wide: readonly WideRight[];
}

/** Of how many guests one by one, where the rights aren't given on all. */
const askedGuests = 50;

/** Compares what the API token may with what every operation needs. Changes nothing; tries nothing. */
export async function lackedRights(
  apis: ProxmoxApis,
  host: string,
  options: CallOptions = {},
  enabled: Enabled = { dangerousCommands: true },
): Promise<LackedRights> {
  const uses = usesOf(enabled);
  const forChanges = changeRights(enabled);
  const client = apis.get(host);
  const [{ version }, all, node] = await Promise.all([
    client.version(options),
    client.permissions(undefined, options),
    nodeIfSeen(apis, host, options),
  ]);
  const isOld = Number.parseInt(version, 10) < 9;
  const pathOf = ({ on }: ApiRight) => (on === 'node' && node !== undefined ? `/nodes/${node}` : rightPaths[on]);
  // The list of all has some paths only.
  const paths = [...new Set([...readRights, ...forChanges].map(pathOf))];
  const held = new Map(
    await Promise.all(
      paths.map(async (path) => [path, (await client.permissions(path, options))[path] ?? {}] as const),
    ),
  );
  const guests = await partOfGuests(apis, host, all, options);

  function lacked(right: ApiRight): Omit<LackedRight, 'refused'> | undefined {
    const { privilege: named, on } = right;
    // There it comes only together with much more, which a role that looks is not to have.
    if (isOld && onlyLooks(right) && named in olderNames) return undefined;
    const privilege = (isOld ? olderNames[named] : undefined) ?? named;
    const path = pathOf(right);
    const reaches = held.get(path)?.[privilege];
    // On a node and on `/` nothing below is needed.
    if (on === 'node' || on === 'root' ? reaches !== undefined : reaches === true) return undefined;
    const but =
      on === 'guest'
        ? guests(privilege)
        : Object.keys(all)
            .filter((one) => one.startsWith(`${path}/`) && all[one]?.[privilege] !== undefined)
            .map((one) => one.slice(path.length + 1))
            .join(', ');
    return { privilege, path, ...(but && { but }) };
  }

  async function guestsAreLocked(): Promise<MissingRight | undefined> {
    try {
      await membersOf(apis, host, options);
      return undefined;
    } catch (error) {
      if (!isServiceError(error, 'proxmox-permission')) throw error;
      return { privilege: 'Sys.Audit', path: '/' };
    }
  }

  const unlocked = await guestsAreLocked();
  const group = (kind: 'toLook' | 'toChange'): readonly LackedRight[] => {
    const found = new Map<string, LackedRight>();
    const add = (missing: Omit<LackedRight, 'refused'>, name: string) => {
      const key = `${missing.privilege} ${missing.path}`;
      const before = found.get(key)?.refused ?? [];
      found.set(key, { ...missing, refused: before.includes(name) ? before : [...before, name] });
    };
    for (const use of uses) {
      for (const right of rightsOf(use)[kind]) {
        const missing = lacked(right);
        if (missing) add(missing, right.when === undefined ? use.name : `${use.name} (${right.when})`);
      }
      // Guests are locked by the name of their cluster.
      if (kind === 'toLook' && use.isOfGuests && unlocked) add(unlocked, use.name);
    }
    return [...found.values()].sort((a, b) => b.refused.length - a.refused.length);
  };
  const toChange = group('toChange');
  return {
    toLook: group('toLook'),
    toChange,
    onlyLooks: forChanges.length > 0 && toChange.length === forChanges.length && toChange.every(({ but }) => !but),
    uses: {
      look: uses.filter(({ changes }) => changes.length === 0).length,
      change: uses.filter(({ changes }) => changes.length > 0).length,
    },
    wide: usedWideRights(enabled).filter((name) => all['/']?.[wideRights[name].privilege] === undefined),
  };
}

/** On which guests a privilege is given that isn't on all, in words; nothing: on none that is seen. */
async function partOfGuests(
  apis: ProxmoxApis,
  host: string,
  all: ProxmoxPermissions,
  options: CallOptions,
): Promise<(privilege: string) => string> {
  const isGivenBelow = Object.keys(all).some((path) => /^\/(vms|pool)\/./.test(path));
  if (!isGivenBelow) return () => '';
  const client = apis.get(host);
  const guests = (await client.guests(options)).toSorted((a, b) => a.vmid - b.vmid).slice(0, askedGuests);
  const held = await Promise.all(
    guests.map(async ({ vmid }) => {
      const path = `/vms/${vmid}`;
      return { vmid, privileges: (await client.permissions(path, options))[path] ?? {} };
    }),
  );
  return (privilege) => {
    const given = held.filter(({ privileges }) => privileges[privilege] !== undefined).map(({ vmid }) => vmid);
    return given.length === 0 ? '' : `guests ${given.join(', ')}`;
  };
}
