import type { HostConfig } from '../config.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import type { GuestPlace, GuestSelection } from '../operations/target.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxApis } from './connect.ts';
import type { ProxmoxClusterStatus, ProxmoxGuest } from './schemas.ts';
import type { CallOptions } from './transport.ts';

/** How long a host may take that is only asked which node it is. */
const askMs = 5_000;
/** How many guests an error names. */
const named = 10;

/**
 * Where a guest is now: the one place where a cluster's and a node's names come from.
 *
 * `host` is any configured host of the guest's cluster; while its own node is away, another one answers. The place's
 * `host` is the configured host that is the guest's node: one that said so itself, or one that can't be asked and has that node's address. See {@link membersOf} for
 * clusters whose name the API token may not see: their guests are named by the one host through which they are reached.
 *
 * @throws ServiceError `not-found` when there is no such guest, or none that the API token may see; what the API throws
 */
export async function locateGuest(
  apis: ProxmoxApis,
  { host, vmid }: { readonly host: string; readonly vmid: number },
  options: CallOptions = {},
): Promise<GuestPlace> {
  const seen = await askCluster(apis, host, options);
  const { via, members, guests } = seen;
  const guest = guests.find((one) => one.vmid === vmid);
  const cluster = clusterOf(seen);
  if (!guest) throw notFound(vmid, cluster ?? via, guests, apis.get(via).token);
  const own = await hostOf(apis, { cluster, node: guest.node, via, members }, options);
  return placeOf(guest, cluster ?? via, own);
}

/**
 * Where all guests are now that a selection means, by VMID; all for which everything holds that it gives.
 *
 * @throws ServiceError `not-found` when there is none, or one of the named numbers isn't there; what {@link locateGuest} throws
 */
export async function selectGuests(
  apis: ProxmoxApis,
  { host, of }: { readonly host: string; readonly of: GuestSelection },
  options: CallOptions = {},
): Promise<readonly GuestPlace[]> {
  const seen = await askCluster(apis, host, options);
  const { via, members, guests } = seen;
  const cluster = clusterOf(seen);
  for (const vmid of of.vmids ?? []) {
    if (guests.every((one) => one.vmid !== vmid))
      throw notFound(vmid, cluster ?? via, guests, apis.get(via).token, 'vmids');
  }
  const meant = guests
    .filter((guest) => isMeant({ ...guest, tags: tagsOf(guest) }, of))
    .toSorted((a, b) => a.vmid - b.vmid);
  if (meant.length === 0) {
    const those = `${guests.length} guests of ${cluster ?? via} that the API token ${apis.get(via).token} may see`;
    throw noneMeant(those, of);
  }
  const nodes = [...new Set(meant.map(({ node }) => node))];
  const hosts = new Map(
    await Promise.all(
      nodes.map(async (node) => [node, await hostOf(apis, { cluster, node, via, members }, options)] as const),
    ),
  );
  return meant.map((guest) => placeOf(guest, cluster ?? via, hosts.get(guest.node)));
}

/** None of `those` is what was selected: `12 guests of homelab`. */
export function noneMeant(those: string, of: GuestSelection): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `None of the ${those} has ${selectionText(of)}`,
    remedy:
      'Look at the guests and what they have (list_guests, or `npx proxmox-mcp guests`), and correct the selection.',
  });
}

/** `tag web, node pve1` */
export function selectionText(of: GuestSelection): string {
  const given = Object.entries(of).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
  return cleanLine(given.join(', '), 300);
}

/** Whether a guest is one of a selection. */
export function isMeant(
  guest: Pick<ProxmoxGuest, 'vmid' | 'type' | 'node' | 'name' | 'pool' | 'status'> & {
    readonly tags: readonly string[];
  },
  { vmids, tag, pool, name, node, kind, state }: GuestSelection,
): boolean {
  const same = (one: string | undefined, other: string) => one?.toLowerCase() === other.toLowerCase();
  return (
    (vmids === undefined || vmids.includes(guest.vmid)) &&
    (tag === undefined || guest.tags.some((own) => same(own, tag))) &&
    (pool === undefined || guest.pool === pool) &&
    (name === undefined || matchesName(guest.name ?? '', name)) &&
    (node === undefined || guest.node === node) &&
    (kind === undefined || guest.type === (kind === 'vm' ? 'qemu' : 'lxc')) &&
    (state === undefined || guest.status === state)
  );
}

/** `*` stands for anything; else letter by letter, whatever their case. Takes no longer than the two are long. */
export function matchesName(name: string, pattern: string): boolean {
  const [text, wanted] = [name.toLowerCase(), pattern.toLowerCase()];
  const [first = '', ...rest] = wanted.split('*');
  if (!text.startsWith(first)) return false;
  const last = rest.pop();
  if (last === undefined) return text === first;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - at >= last.length && text.endsWith(last);
}

function clusterOf({ members }: Seen): string | undefined {
  return members.find((entry) => entry.type === 'cluster')?.name;
}

function placeOf(guest: ProxmoxGuest, cluster: string, host: string | undefined): GuestPlace {
  const { vmid, node, type, pool } = guest;
  const tags = tagsOf(guest);
  return {
    kind: 'guest',
    cluster,
    vmid,
    node,
    type,
    name: cleanLine(guest.name ?? '', 100) || String(vmid),
    ...(host === undefined ? {} : { host }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(pool ? { pool } : {}),
  };
}

function tagsOf({ tags = '' }: ProxmoxGuest): readonly string[] {
  return tags.split(/[;,\s]+/).filter((tag) => tag !== '');
}

interface Seen {
  /** The host that was named. */
  readonly via: string;
  readonly members: readonly ProxmoxClusterStatus[];
  readonly guests: readonly ProxmoxGuest[];
}

async function askCluster(apis: ProxmoxApis, host: string, options: CallOptions): Promise<Seen> {
  const client = apis.get(host);
  const [members, guests] = await Promise.all([membersOf(apis, host, options), client.guests(options)]);
  return { via: host, members, guests };
}

/**
 * The cluster's members as {@link ProxmoxApis.cluster} has them, or none where the API token may not see them and nothing
 * depends on it: the node is in no cluster, or no other configured host could be in the same one. Else its name is needed
 * for the guests' locks, which have to be the same through every host.
 */
export async function membersOf(
  apis: ProxmoxApis,
  via: string,
  options: CallOptions = {},
): Promise<readonly ProxmoxClusterStatus[]> {
  try {
    return await apis.cluster(via, options);
  } catch (error) {
    if (!isServiceError(error, 'proxmox-permission')) throw error;
    const others = apis.hosts.filter(({ name, api }) => name !== via && api !== undefined);
    if (others.length === 0 || (await apis.get(via).nodes(options)).length === 1) return [];
    const { token } = apis.get(via);
    throw new ServiceError({
      code: 'proxmox-permission',
      message: `The API token ${token} may not see the name of the cluster that ${via} is in, by which its guests are locked, and ${others.map(({ name }) => name).join(', ')} could be in the same one`,
      remedy: `Give it Sys.Audit on / (pveum acl modify / --propagate 0 --tokens '${token}' --roles PVEAuditor); an API token with privilege separation needs it besides its user.`,
      details: { ...error.details, path: '/', privilege: 'Sys.Audit' },
      cause: error,
    });
  }
}

async function hostOf(
  apis: ProxmoxApis,
  at: { readonly cluster: string | undefined; readonly node: string } & Pick<Seen, 'via' | 'members'>,
  options: CallOptions,
): Promise<string | undefined> {
  // No other configured host is in its cluster, if it is in one.
  if (at.cluster === undefined) return (await apis.node(at.via, options)) === at.node ? at.via : undefined;
  const isIt = ({ name }: HostConfig) => {
    const member = apis.known(name);
    return member?.cluster === at.cluster && member?.node === at.node;
  };
  const known = apis.hosts.find(isIt);
  if (known) return known.name;
  const unknown = apis.hosts.filter(({ name }) => apis.has(name) && apis.known(name) === undefined);
  await Promise.allSettled(unknown.map(({ name }) => apis.member(name, { ...options, timeoutMs: askMs })));
  const asked = apis.hosts.find(isIt);
  if (asked) return asked.name;
  const address = at.members.find((entry) => entry.type === 'node' && entry.name === at.node);
  const ip = address?.type === 'node' ? address.ip : undefined;
  return apis.hosts.find(
    ({ name, api, ssh }) => ip !== undefined && apis.known(name) === undefined && (api ?? ssh)?.host === ip,
  )?.name;
}

function notFound(
  vmid: number,
  where: string,
  guests: readonly ProxmoxGuest[],
  token: string,
  field = 'vmid',
): ServiceError {
  const near = guests
    .toSorted((a, b) => Math.abs(a.vmid - vmid) - Math.abs(b.vmid - vmid) || a.vmid - b.vmid)
    .slice(0, named)
    .sort((a, b) => a.vmid - b.vmid)
    .map((guest) => cleanLine(`${guest.vmid} ${guest.name ?? ''}`, 60));
  const more = guests.length > near.length ? ` and ${guests.length - near.length} more` : '';
  const sees = `${near.join(', ')}${more}`;
  return new ServiceError({
    code: 'not-found',
    message: `There is no guest ${vmid} in ${where}, or none that the API token ${token} may see`,
    remedy:
      near.length === 0
        ? `It sees no guest at all: give it VM.Audit on /vms (role PVEAuditor), then try again.`
        : `It sees: ${sees}. Correct the number, or give the API token VM.Audit on /vms/${vmid}.`,
    details: { field, path: `/vms/${vmid}`, privilege: 'VM.Audit' },
  });
}
