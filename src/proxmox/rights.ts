import { isServiceError } from '../errors.ts';
import type { ProxmoxApis } from './connect.ts';
import { membersOf } from './locate.ts';
import type { ProxmoxGuest, ProxmoxPermissions } from './schemas.ts';
import type { CallOptions } from './transport.ts';

/** What an API token may not do. */
export interface MissingRight {
  /** `Sys.Audit` */
  readonly privilege: string;
  /** `/nodes/pve1` */
  readonly path: string;
}

/** What came of trying an operation with the API token. */
export interface TriedRights {
  /** What it may do: `node pve1`, `guests 100, 101`; empty: nothing. */
  readonly may: string;
  readonly missing: readonly MissingRight[];
}

/** One operation, or tool, that asks the Proxmox API for something. */
export interface RightsTrial {
  /** `get_host`, `control-guest` */
  readonly operation: string;
  /** The privileges with which it looks; what it changes with is another role's. */
  readonly reads: readonly string[];
  /** Tries what it reads and asks for the rights to what it changes; changes nothing. Throws what the API throws else. */
  readonly run: (apis: ProxmoxApis, host: string, options: CallOptions) => Promise<TriedRights>;
}

/**
 * What the health check looks at by the API, and the right that each needs. Archives of guests need more (what it takes
 * to restore them), and their tasks stand in for them; updates need Sys.Modify, and are left out without it.
 */
const healthRights: readonly MissingRight[] = [
  { privilege: 'Sys.Audit', path: '/' },
  { privilege: 'Datastore.Audit', path: '/storage' },
  { privilege: 'VM.Audit', path: '/vms' },
];

/** What the list of guests' backups needs, beside the rights to see each archive, which the list itself names. */
const backupRights = healthRights.filter(({ privilege }) => privilege !== 'Sys.Audit');

const privilegesOf = (rights: readonly MissingRight[]) => rights.map(({ privilege }) => privilege);

/** Everything of the catalogue and the tools that needs rights of the API token. */
export const rightsTrials: readonly RightsTrial[] = [
  { operation: 'get_host', reads: ['Sys.Audit'], run: tryNode },
  { operation: 'check-health', reads: privilegesOf(healthRights), run: tryHealth },
  { operation: 'control-guest', reads: ['Sys.Audit', 'VM.Audit'], run: tryGuests },
  { operation: 'list-backups', reads: privilegesOf(backupRights), run: tryBackups },
];

/** What the reading role has that `host install` makes: no more than what the operations look with. */
export const readingPrivileges: readonly string[] = [...new Set(rightsTrials.flatMap(({ reads }) => reads))].sort();

/** Which of the rights that the health check needs a host's API token lacks. */
export async function missingForHealth(
  apis: ProxmoxApis,
  host: string,
  options: CallOptions,
): Promise<readonly MissingRight[]> {
  const client = apis.get(host);
  const node = await apis
    .node(host, options)
    .catch((error: unknown) => (isServiceError(error, 'proxmox-permission') ? undefined : Promise.reject(error)));
  const wanted = [...healthRights, ...(node === undefined ? [] : [{ privilege: 'Sys.Audit', path: `/nodes/${node}` }])];
  const held = await Promise.all(wanted.map(({ path }) => client.permissions(path, options)));
  return wanted.filter(({ privilege, path }, index) => held[index]?.[path]?.[privilege] === undefined);
}

async function tryHealth(apis: ProxmoxApis, host: string, options: CallOptions): Promise<TriedRights> {
  const missing = await missingForHealth(apis, host, options);
  return { may: missing.length === 0 ? 'services, quorum, storages, guests' : '', missing };
}

async function tryBackups(apis: ProxmoxApis, host: string, options: CallOptions): Promise<TriedRights> {
  const client = apis.get(host);
  const held = await Promise.all(backupRights.map(({ path }) => client.permissions(path, options)));
  const missing = backupRights.filter(({ privilege, path }, index) => held[index]?.[path]?.[privilege] === undefined);
  return { may: missing.length === 0 ? 'storages, guests' : '', missing };
}

/** Of how many guests one by one, where the rights aren't given on all. */
const askedGuests = 50;

const look = 'VM.Audit';
const power = 'VM.PowerMgmt';

async function tryNode(apis: ProxmoxApis, host: string, options: CallOptions): Promise<TriedRights> {
  try {
    const node = await apis.node(host, options);
    await apis.get(host).nodeStatus(node, options);
    return { may: `node ${node}`, missing: [] };
  } catch (error) {
    return { may: '', missing: [missingOf(error)] };
  }
}

async function tryGuests(apis: ProxmoxApis, host: string, options: CallOptions): Promise<TriedRights> {
  const client = apis.get(host);
  const missing: MissingRight[] = [];
  try {
    await membersOf(apis, host, options);
  } catch (error) {
    missing.push(missingOf(error));
  }
  const all = await client.permissions('/vms', options);
  const lacking = [look, power].filter((privilege) => !reachesBelow(all, privilege));
  if (lacking.length === 0) return { may: missing.length === 0 ? 'all guests' : '', missing };
  const guests = (await client.guests(options)).toSorted((a, b) => a.vmid - b.vmid).slice(0, askedGuests);
  const asked = await Promise.all(
    guests.map(async ({ vmid }: ProxmoxGuest) => {
      const path = `/vms/${vmid}`;
      return { vmid, path, powered: (await client.permissions(path, options))[path]?.[power] !== undefined };
    }),
  );
  const without = asked.filter(({ powered }) => !powered);
  if (without.length === asked.length) missing.push(...lacking.map((privilege) => ({ privilege, path: '/vms' })));
  else missing.push(...without.map(({ path }) => ({ privilege: power, path })));
  const allowed = asked.filter(({ powered }) => powered).map(({ vmid }) => vmid);
  return { may: allowed.length === 0 ? '' : `guests ${allowed.join(', ')}`, missing };
}

function reachesBelow(permissions: ProxmoxPermissions, privilege: string): boolean {
  return permissions['/vms']?.[privilege] === true;
}

/** The right that a refusal names. Throws every other error. */
function missingOf(error: unknown): MissingRight {
  if (!isServiceError(error, 'proxmox-permission')) throw error;
  const { path, privilege } = error.details;
  if (path === undefined || privilege === undefined) throw error;
  return { path: String(path), privilege: String(privilege) };
}
