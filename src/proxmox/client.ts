import { createRequire } from 'node:module';
import type { Proxmox } from 'proxmox-api';
import { z } from 'zod';
import type { ProxmoxApiConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type ApiCall, type ApiParameters, apiCallLine } from '../operations/api-change.ts';
import { unexpectedAnswer } from './failures.ts';
import {
  backupServerTasksSchema,
  clusterStatusSchema,
  guestStatusSchema,
  guestsSchema,
  nodeStatusSchema,
  nodesSchema,
  type ProxmoxClusterStatus,
  type ProxmoxGuest,
  type ProxmoxGuestStatus,
  type ProxmoxNode,
  type ProxmoxNodeStatus,
  type ProxmoxPermissions,
  type ProxmoxResource,
  type ProxmoxTask,
  type ProxmoxTaskStatus,
  type ProxmoxVersion,
  permissionsSchema,
  resourcesSchema,
  taskLogSchema,
  taskStatusSchema,
  tasksSchema,
  upidSchema,
  versionSchema,
} from './schemas.ts';
import { type ApiAnswer, type CallOptions, createTransport, type TransportOptions } from './transport.ts';
import { parseUpid } from './upid.ts';

/** One guest where it is. */
export interface GuestAddress {
  readonly node: string;
  readonly type: 'qemu' | 'lxc';
  readonly vmid: number;
}

/** What can be done to a guest's power. */
export type GuestAction = 'start' | 'stop' | 'shutdown' | 'reboot';

export interface GuestActionParameters {
  /** Seconds that a shutdown or reboot waits for the guest. */
  readonly timeout?: number;
  /** Of a stop: ends shutdowns of the guest that still wait, which would else keep it from being stopped. */
  readonly 'overrule-shutdown'?: boolean;
}

/** Which tasks of a node; all filters hold together. */
export interface TaskFilter {
  /** Default 50. */
  readonly limit?: number;
  readonly start?: number;
  /** Ended, running or both. Default `archive`. */
  readonly source?: 'archive' | 'active' | 'all';
  /** `vzdump`, `qmstart` … */
  readonly typefilter?: string;
  readonly vmid?: number;
  /** Unix seconds. */
  readonly since?: number;
  readonly until?: number;
  /** Only those that didn't end with OK (this includes warnings). */
  readonly errors?: boolean;
}

/**
 * One Proxmox VE API. What it answers is checked before it is given on. Throws `ServiceError` with
 * `proxmox-authentication`, `-permission`, `-not-found`, `-locked`, `-invalid`, `-unavailable`, `-certificate`,
 * `already-exists`, `conflict`, `unexpected-answer`, `invalid-input`, `timeout`, `cancelled`, and for changes
 * `outcome-unknown`.
 */
export interface ProxmoxClient {
  /** `user@realm!name` */
  readonly token: string;
  /**
   * Every call of the API with `proxmox-api`'s types and syntax, over the same transport:
   * `client.api({ signal }).nodes.$(node).qemu.$(100).config.$get()`. What it answers is not checked.
   */
  api(options?: CallOptions): Proxmox.Api;
  /** Any other read: a path template, each `*` filled with the next value, its data held to the schema. */
  read<Schema extends z.ZodType>(
    schema: Schema,
    template: string,
    values?: readonly string[],
    parameters?: object,
    options?: CallOptions,
  ): Promise<z.output<Schema>>;
  /** Any other write, once and never again by itself; its path as that of {@link read}. */
  write<Schema extends z.ZodType>(schema: Schema, call: ApiCall, options?: CallOptions): Promise<z.output<Schema>>;
  version(options?: CallOptions): Promise<ProxmoxVersion>;
  nodes(options?: CallOptions): Promise<ProxmoxNode[]>;
  nodeStatus(node: string, options?: CallOptions): Promise<ProxmoxNodeStatus>;
  /** Guests (`vm`), nodes, storages; without a type all. Lists only what the API token may see. */
  resources(type?: 'vm' | 'storage' | 'node' | 'sdn', options?: CallOptions): Promise<ProxmoxResource[]>;
  /** `local` is the host's own node, whichever node has answered. */
  clusterStatus(options?: CallOptions): Promise<ProxmoxClusterStatus[]>;
  /** Guests of the whole cluster, as far as the API token may see them (`VM.Audit`). */
  guests(options?: CallOptions): Promise<ProxmoxGuest[]>;
  /** Throws `proxmox-not-found` when the guest isn't on that node (any more). */
  guestStatus(guest: GuestAddress, options?: CallOptions): Promise<ProxmoxGuestStatus>;
  /**
   * Starts the task that does it, and gives its UPID. What Proxmox only finds out in the task is its result; a container
   * that runs already, or doesn't, is refused at once (`conflict`).
   */
  changeGuest(
    guest: GuestAddress,
    action: GuestAction,
    parameters?: GuestActionParameters,
    options?: CallOptions,
  ): Promise<string>;
  /** The API token's own effective rights, on one path or all. */
  permissions(path?: string, options?: CallOptions): Promise<ProxmoxPermissions>;
  /** Newest first. */
  tasks(node: string, filter?: TaskFilter, options?: CallOptions): Promise<ProxmoxTask[]>;
  /** Asked of the node that the UPID names: no other one knows the task. */
  taskStatus(upid: string, options?: CallOptions): Promise<ProxmoxTaskStatus>;
  /** `total` counts all lines there are so far; `start` counts from 0; a `limit` of 0 gives all. */
  taskLog(
    upid: string,
    range?: { readonly start?: number; readonly limit?: number },
    options?: CallOptions,
  ): Promise<{ readonly lines: readonly string[]; readonly total: number }>;
  /** Asks a task to end. One that has ended already is left as it is. */
  stopTask(upid: string, options?: CallOptions): Promise<void>;
  /**
   * Any call of a path template, each `*` filled with the next value, for what the API's own schema describes. What it
   * answers is not checked.
   */
  send(
    method: ApiMethodName,
    template: string,
    values: readonly string[],
    parameters?: Readonly<Record<string, unknown>>,
    options?: CallOptions,
  ): Promise<ApiAnswer>;
  /**
   * A download, as its bytes come, from the host's own node; its path as that of {@link read}. Where they end before they
   * should, nothing says so: the caller has to know.
   */
  download(
    template: string,
    values: readonly string[],
    parameters: Readonly<Record<string, unknown>>,
    options?: Pick<CallOptions, 'signal'>,
  ): Promise<AsyncIterable<Uint8Array>>;
  /** The data file of the API viewer that the host itself serves: JavaScript, at most 16 MiB of it. Needs no right. */
  apiViewerData(options?: CallOptions): Promise<string>;
  close(): Promise<void>;
}

export type ApiMethodName = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Where the package pve-docs has it, below `/usr/share`. */
const apiViewerPath = '/pve-docs/api-viewer/apidoc.js';
/** Of Proxmox VE 9.1 it is some 2 MB. */
const maxViewerBytes = 16 * 2 ** 20;

/** Makes a client; it connects with the first call and keeps connections for the next ones. */
export function createProxmoxClient(config: ProxmoxApiConfig, options: TransportOptions): ProxmoxClient {
  const transport = createTransport(config, options);

  /** A call of a path template, each `*` filled with the next value, its data held to the schema. */
  async function call<Schema extends z.ZodType>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    schema: Schema,
    template: string,
    values: readonly string[],
    parameters: object | undefined,
    callOptions: CallOptions | undefined,
  ): Promise<{ data: z.infer<Schema>; total: number; elsewhere: boolean }> {
    const path = filled(template, values);
    const answer = await transport.send(method, at(path), at(template), { ...parameters }, callOptions);
    const parsed = schema.safeParse(answer.data);
    if (parsed.success) return { data: parsed.data, total: answer.total ?? 0, elsewhere: answer.elsewhere ?? false };
    const [issue] = parsed.error.issues;
    const where = ['data', ...(issue?.path ?? [])].join('.');
    throw unexpectedAnswer({ host: config.host, port: config.port, method, path }, `${where}: ${issue?.message}`);
  }

  const get = <Schema extends z.ZodType>(
    schema: Schema,
    template: string,
    values: readonly string[],
    parameters: object | undefined,
    callOptions: CallOptions | undefined,
  ) => call('GET', schema, template, values, parameters, callOptions);

  return {
    token: `${config.user}!${config.tokenName}`,
    api: (callOptions) => buildApi()(transport.engine(callOptions)),
    read: async (schema, template, values = [], parameters, callOptions) =>
      (await get(schema, template, values, parameters, callOptions)).data,
    write: async (schema, { method, template, values, parameters }, callOptions) =>
      (await call(method, schema, template, values, parameters, callOptions)).data,
    version: async (callOptions) => (await get(versionSchema, '/version', [], undefined, callOptions)).data,
    nodes: async (callOptions) => (await get(nodesSchema, '/nodes', [], undefined, callOptions)).data,
    nodeStatus: async (node, callOptions) =>
      (await get(nodeStatusSchema, '/nodes/*/status', [node], undefined, callOptions)).data,
    resources: async (type, callOptions) =>
      (await get(resourcesSchema, '/cluster/resources', [], { type }, callOptions)).data,
    clusterStatus: async (callOptions) => {
      const { data, elsewhere } = await get(clusterStatusSchema, '/cluster/status', [], undefined, callOptions);
      if (!elsewhere) return data;
      // Who answers says that it is the local one.
      const own = options.cluster?.own();
      return data.map((entry) => (entry.type === 'node' ? { ...entry, local: entry.name === own } : entry));
    },
    guests: async (callOptions) =>
      (await get(guestsSchema, '/cluster/resources', [], { type: 'vm' }, callOptions)).data,
    guestStatus: async ({ node, type, vmid }, callOptions) =>
      (await get(guestStatusSchema, `/nodes/*/${type}/*/status/current`, [node, String(vmid)], undefined, callOptions))
        .data,
    changeGuest: async ({ node, type, vmid }, action, parameters, callOptions) => {
      const template = guestActionTemplate(type, action);
      return (await call('POST', upidSchema, template, [node, String(vmid)], parameters, callOptions)).data;
    },
    permissions: async (path, callOptions) =>
      (await get(permissionsSchema, '/access/permissions', [], { path }, callOptions)).data,
    tasks: async (node, filter, callOptions) => {
      if (config.product !== 'backup-server') {
        return (await get(tasksSchema, '/nodes/*/tasks', [node], filter, callOptions)).data;
      }
      // It lists those that run among the others, and takes no other filter of ours.
      const { limit, errors, since } = filter ?? {};
      const asked = { limit, errors, since };
      return (await get(backupServerTasksSchema, '/nodes/*/tasks', [node], asked, callOptions)).data;
    },
    taskStatus: async (upid, callOptions) =>
      (await get(taskStatusSchema, '/nodes/*/tasks/*/status', [nodeOf(upid), upid], undefined, callOptions)).data,
    taskLog: async (upid, range, callOptions) => {
      const log = await get(taskLogSchema, '/nodes/*/tasks/*/log', [nodeOf(upid), upid], range, callOptions);
      return { lines: log.data.map((line) => line.t), total: log.total };
    },
    stopTask: async (upid, callOptions) => {
      await call('DELETE', z.unknown(), '/nodes/*/tasks/*', [nodeOf(upid), upid], undefined, callOptions);
    },
    send: (method, template, values, parameters, callOptions) =>
      transport.send(method, at(filled(template, values)), at(template), parameters, callOptions),
    download: (template, values, parameters, callOptions) =>
      transport.open(at(filled(template, values)), at(template), parameters, callOptions),
    apiViewerData: (callOptions) => transport.publicFile(apiViewerPath, maxViewerBytes, callOptions),
    close: transport.close,
  };
}

function filled(template: string, values: readonly string[]): string {
  const rest = [...values];
  return template.replace(/\*/g, () => (rest.shift() ?? '').replaceAll('/', '%2F'));
}

function at(path: string): string {
  return `/api2/json${path}`;
}

function guestActionTemplate(type: GuestAddress['type'], action: GuestAction) {
  return `/nodes/*/${type}/*/status/${action}` as const;
}

/** The call that {@link ProxmoxClient.changeGuest} makes, on one line: `POST /nodes/pve1/qemu/100/status/shutdown timeout=180`. */
export function guestActionLine(
  { node, type, vmid }: GuestAddress,
  action: GuestAction,
  parameters: GuestActionParameters = {},
): string {
  const given = { ...parameters } as ApiParameters;
  return apiCallLine({
    method: 'POST',
    template: guestActionTemplate(type, action),
    values: [node, String(vmid)],
    parameters: given,
  });
}

/** `proxmox-api` loads an undici of its own, some 100 ms that a start needn't pay: only its syntax needs it. */
function buildApi(): typeof import('proxmox-api').proxmoxApi {
  const { proxmoxApi } = createRequire(import.meta.url)('proxmox-api') as typeof import('proxmox-api');
  return proxmoxApi;
}

function nodeOf(upid: string): string {
  const node = parseUpid(upid)?.node;
  if (node !== undefined) return node;
  throw new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(upid.slice(0, 100))} is not the id of a Proxmox task.`,
    remedy: 'Give the whole UPID, as the call that started the task answered it: UPID:node:…:user@realm:',
  });
}
