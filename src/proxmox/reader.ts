import type { z } from 'zod';
import { isServiceError, ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxApis } from './connect.ts';
import type { MissingRight } from './rights.ts';
import {
  archivesSchema,
  backupJobsSchema,
  clusterStatusSchema,
  guestConfigSchema,
  nodeGuestsSchema,
  nodeStatusSchema,
  servicesSchema,
  storageDefinitionsSchema,
  storagesSchema,
  taskLogSchema,
  tasksSchema,
  uncoveredGuestsSchema,
  updatesSchema,
  versionSchema,
} from './schemas.ts';
import type { CallOptions } from './transport.ts';

interface Read {
  /** The first `*` is the node, where there is one, and the next one is what the read is of. */
  readonly template: string;
  readonly schema: z.ZodType;
  readonly parameters?: Readonly<Record<string, string | number>>;
}

/**
 * What is read of a Proxmox VE node, and what its answer is held to. The API and `pvesh` on the node answer the same
 * JSON, so that each read has one schema whichever way it takes.
 */
export const reads = {
  version: { template: '/version', schema: versionSchema },
  cluster: { template: '/cluster/status', schema: clusterStatusSchema },
  status: { template: '/nodes/*/status', schema: nodeStatusSchema },
  services: { template: '/nodes/*/services', schema: servicesSchema },
  storages: { template: '/nodes/*/storage', schema: storagesSchema },
  /** Of a storage. */
  archives: { template: '/nodes/*/storage/*/content', schema: archivesSchema, parameters: { content: 'backup' } },
  machines: { template: '/nodes/*/qemu', schema: nodeGuestsSchema },
  containers: { template: '/nodes/*/lxc', schema: nodeGuestsSchema },
  /** Of a VM. */
  'machine-config': { template: '/nodes/*/qemu/*/config', schema: guestConfigSchema },
  /** Of a container. */
  'container-config': { template: '/nodes/*/lxc/*/config', schema: guestConfigSchema },
  'backup-tasks': { template: '/nodes/*/tasks', schema: tasksSchema, parameters: { typefilter: 'vzdump', limit: 50 } },
  /** Of a task. */
  'task-log': { template: '/nodes/*/tasks/*/log', schema: taskLogSchema, parameters: { limit: 5_000 } },
  /** Guests of the whole cluster that no job under Datacenter > Backup is for. By the API alone. */
  'not-backed-up': { template: '/cluster/backup-info/not-backed-up', schema: uncoveredGuestsSchema },
  /** Jobs under Datacenter > Backup, of the whole cluster. By the API alone. */
  'backup-jobs': { template: '/cluster/backup', schema: backupJobsSchema },
  /** Storages as the whole cluster defines them. By the API alone. */
  'storage-definitions': { template: '/storage', schema: storageDefinitionsSchema },
  updates: { template: '/nodes/*/apt/update', schema: updatesSchema },
} as const satisfies Readonly<Record<string, Read>>;

export type ReadName = keyof typeof reads;
export type ReadAnswer<Name extends ReadName> = z.output<(typeof reads)[Name]['schema']>;

/** Reads of one host's own Proxmox VE node, by its API or by commands on it. */
export interface ProxmoxReader {
  /** The host's name in the configuration. */
  readonly host: string;
  readonly way: 'api' | 'commands';
  /** @param of the storage, guest or task that the read is of, where it is of one */
  read<Name extends ReadName>(name: Name, of?: string): Promise<ReadAnswer<Name>>;
  /**
   * The rights without which a storage's archives are left out of its list, and nothing says so. Root on the node needs
   * none.
   */
  hiding(storage: string): Promise<readonly MissingRight[]>;
}

/** Holds what a read was answered with to its schema. @throws ServiceError `unexpected-answer` */
export function readAnswer<Name extends ReadName>(name: Name, host: string, data: unknown): ReadAnswer<Name> {
  const parsed = reads[name].schema.safeParse(data);
  if (parsed.success) return parsed.data as ReadAnswer<Name>;
  const [issue] = parsed.error.issues;
  const where = [...(issue?.path ?? []).map(String), issue?.message ?? ''].join(': ');
  throw new ServiceError({
    code: 'unexpected-answer',
    message: `Proxmox VE on ${host} answered what isn't understood when asked for its ${name} (${cleanLine(where, 200)})`,
    remedy: 'Look on the host whether its Proxmox services are in order, and report it if they are.',
    details: { host },
  });
}

/** Reads by the API of a configured host. */
export function apiReader(apis: ProxmoxApis, host: string, options: CallOptions = {}): ProxmoxReader {
  return {
    host,
    way: 'api',
    async read(name, of) {
      const { template, schema, parameters }: Read = reads[name];
      const values = [
        ...(template.startsWith('/nodes/*') ? [await apis.node(host, options)] : []),
        ...(of ? [of] : []),
      ];
      return (await apis.get(host).read(schema, template, values, parameters, options)) as ReadAnswer<typeof name>;
    },
    async hiding(storage) {
      const client = apis.get(host);
      const path = `/storage/${storage}`;
      const [onStorage, onGuests] = await Promise.all([
        client.permissions(path, options),
        client.permissions('/vms', options),
      ]);
      const has = (privilege: string) => onStorage[path]?.[privilege] !== undefined;
      if (has('Datastore.Allocate')) return [];
      return [
        ...(has('Datastore.AllocateSpace') ? [] : [{ privilege: 'Datastore.AllocateSpace', path }]),
        ...(onGuests['/vms']?.['VM.Backup'] === true ? [] : [{ privilege: 'VM.Backup', path: '/vms' }]),
      ];
    },
  };
}

/** Whether the API as such can't be used, or refuses this: commands may answer instead. */
export function isAboutTheApi(error: unknown): error is ServiceError {
  return error instanceof ServiceError && (error.code.startsWith('proxmox-') || isServiceError(error, 'timeout'));
}

/**
 * Asks the first reader, and the second one for what the first can't be asked for. What both refuse is thrown as the
 * first one said it.
 */
export function firstThen(first: ProxmoxReader, second: ProxmoxReader): ProxmoxReader {
  async function either<T>(ask: (reader: ProxmoxReader) => Promise<T>): Promise<T> {
    try {
      return await ask(first);
    } catch (error) {
      // What isn't understood may come of a page in between.
      if (!isAboutTheApi(error) && !isServiceError(error, 'unexpected-answer')) throw error;
      try {
        return await ask(second);
      } catch {
        throw error;
      }
    }
  }
  return {
    host: first.host,
    way: first.way,
    async read(name, of) {
      // Where the first would leave archives out without a word.
      if (name === 'archives' && of !== undefined) {
        const hides = await first.hiding(of).catch(() => []);
        if (hides.length > 0) return await second.read(name, of);
      }
      return await either((reader) => reader.read(name, of));
    },
    hiding: async () => [],
  };
}
