import { isServiceError, ServiceError } from '../../errors.ts';
import { guestIn } from '../../operations/api-path.ts';
import { problemsOfRead } from '../../operations/api-rules.ts';
import type { ProxmoxClient } from '../client.ts';
import type { CallOptions } from '../transport.ts';
import { maskSecrets } from './mask.ts';
import { type MatchedCall, otherCall } from './match-path.ts';
import type { ApiSchema } from './schema.ts';
import { type ApiState, stateOf } from './state-of.ts';

/** What is there before or after a changing call, by a reading call of the same schema. */
export interface SeenState {
  readonly state: ApiState;
  /** There is no such thing. */
  readonly absent: boolean;
  /** It is what the call changes, and not the list that it is in. */
  readonly isOwn: boolean;
  /** The answer itself, without secrets. */
  readonly data: unknown;
}

/**
 * Reads what a changing call is about: the same path where that can be read, a guest's configuration, else the nearest list
 * above it. Undefined where nothing of that can be read with this API token.
 *
 * @param path of an earlier look, so that both are of the same
 */
export async function readState(
  client: ProxmoxClient,
  schema: ApiSchema,
  changing: MatchedCall,
  { path, ...options }: CallOptions & { readonly path?: string } = {},
): Promise<SeenState | undefined> {
  for (const candidate of path === undefined ? candidatesOf(changing.path) : [path]) {
    const call = otherCall(schema, 'GET', candidate);
    if (call === undefined || !isPlainRead(call)) continue;
    const isOwn = isOwnPath(candidate, changing.path);
    try {
      const { data } = await client.send('GET', call.template, call.values, {}, options);
      if (path === undefined && isIndex(schema, call, data)) continue;
      const shown = maskSecrets(data, call.path);
      return { state: stateOf(call.path, shown), absent: false, isOwn, data: shown };
    } catch (error) {
      const isGone = isServiceError(error, 'proxmox-not-found');
      if (!isGone && !isRefused(error, { isLater: path !== undefined })) throw error;
      // What could be read before, and now isn't, is gone: of a deleted volume the API only says that it can't read its size.
      if (!isOwn || (path === undefined && !isGone)) continue;
      return { state: stateOf(call.path, 'not there'), absent: true, isOwn, data: undefined };
    }
  }
  return undefined;
}

/** A setting as it is, to be sent again; null where it isn't set, undefined where that can't be said of it. */
export function settingIn({ absent, isOwn, data }: SeenState, name: string): string | null | undefined {
  if (absent || !isOwn || typeof data !== 'object' || data === null || Array.isArray(data)) return undefined;
  if (!Object.hasOwn(data, name)) return null;
  const value = (data as Record<string, unknown>)[name];
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const text = String(value);
  return text.length <= 8_192 && !text.includes('[secret]') ? text : undefined;
}

/** The API has answered that it doesn't show this, in whatever words: that is no reason to ask once more. */
function isRefused(error: unknown, { isLater }: { readonly isLater: boolean }): boolean {
  if (!(error instanceof ServiceError)) return false;
  const { code, details } = error;
  if (details.status === 500) return true;
  return !isLater && (code === 'proxmox-permission' || code === 'proxmox-invalid');
}

function candidatesOf(path: string): readonly string[] {
  const segments = path.slice(1).split('/');
  const guest = guestIn(path);
  const above = segments.map((_, at) => `/${segments.slice(0, segments.length - 1 - at).join('/')}`).slice(0, -1);
  const [nodes, node, storages, storage] = segments;
  // Of what is done to a storage, its contents show the most.
  const contents = nodes === 'nodes' && storages === 'storage' ? [`/nodes/${node}/storage/${storage}/content`] : [];
  if (guest === undefined) return [path, `${path}/config`, ...contents, ...above];
  const root = `/${segments.slice(0, 4).join('/')}`;
  const [within, outside] = [
    above.filter((one) => one.startsWith(`${root}/`)),
    above.filter((one) => !one.startsWith(root)),
  ];
  return [path, `${path}/config`, ...within, configOf(guest), ...outside];
}

function configOf({ node, type, vmid }: NonNullable<ReturnType<typeof guestIn>>): string {
  return `/nodes/${node}/${type}/${vmid}/config`;
}

/** A guest is its configuration, and a snapshot what it has kept of that. */
function isOwnPath(candidate: string, path: string): boolean {
  return candidate === path || candidate === `${path}/config`;
}

function isPlainRead({ about, path, named }: MatchedCall): boolean {
  const needs = [...about.parameters.values()].some(
    ({ name, optional }) => !optional && !named.has(name) && !name.endsWith('[n]'),
  );
  return !needs && !about.noToken && problemsOfRead(path, {}).length === 0;
}

/** A list of what is below the path, which says nothing of a state: `[{ subdir: 'config' }, …]`. */
function isIndex(schema: ApiSchema, { about: { template } }: MatchedCall, data: unknown): boolean {
  if (!Array.isArray(data) || data.length === 0) return false;
  const below = new Set(
    schema.templates.flatMap((one) =>
      one.startsWith(`${template}/`) ? [one.slice(template.length + 1).split('/')[0]] : [],
    ),
  );
  const names = data.map((entry: unknown) => {
    const [value, another] = typeof entry === 'object' && entry !== null ? Object.values(entry) : [];
    return another === undefined && typeof value === 'string' ? value : undefined;
  });
  if (names.includes(undefined)) return false;
  // A host's own index names a few things by other words than its schema: `move` for `move_disk`.
  return names.filter((name) => name !== undefined && below.has(name)).length > names.length / 2;
}
