import { isServiceError, ServiceError } from '../../errors.ts';
import type { ProxmoxApis } from '../connect.ts';
import { readViewerData } from './read-viewer-data.ts';
import { type ApiSchema, createApiSchema } from './schema.ts';

/** The schemas of the hosts' APIs, each read from its host when it is first asked for. */
export interface ApiSchemas {
  /**
   * The schema that the host itself serves, as long as its version is the same and an hour hasn't passed.
   *
   * @throws ServiceError `proxmox-not-found` where the host has none, `unexpected-answer` for what can't be read, and what
   *   the API throws
   */
  of(host: string): Promise<ApiSchema>;
}

interface Kept {
  readonly version: string;
  readonly schema: ApiSchema;
  readonly readAt: number;
  checkedAt: number;
}

/** How long a schema counts without a look at its host's version, and how long at most. ms */
const unaskedMs = 60_000;
const longestMs = 3_600_000;
/** 2 MB over a slow line. */
const timeoutMs = 60_000;

/** Keeps one schema for each host; several who ask at once wait for one answer. */
export function createApiSchemas(apis: Pick<ProxmoxApis, 'get'>, now: () => number = Date.now): ApiSchemas {
  const kept = new Map<string, Kept>();
  const pending = new Map<string, Promise<ApiSchema>>();

  async function fresh(host: string): Promise<ApiSchema> {
    const client = apis.get(host);
    const { version, repoid } = await client.version();
    const current = `${version}/${repoid}`;
    const known = kept.get(host);
    if (known?.version === current && now() - known.readAt < longestMs) {
      known.checkedAt = now();
      return known.schema;
    }
    const text = await client.apiViewerData({ timeoutMs }).catch((error: unknown) => {
      throw isServiceError(error, 'proxmox-not-found') ? isMissing(host, error) : error;
    });
    const schema = createApiSchema(readViewerData(text, host));
    if (schema === undefined) throw isEmpty(host);
    kept.set(host, { version: current, schema, readAt: now(), checkedAt: now() });
    return schema;
  }

  return {
    async of(host) {
      const known = kept.get(host);
      const isKept = known !== undefined && now() - known.checkedAt < unaskedMs && now() - known.readAt < longestMs;
      if (isKept) return known.schema;
      // Nobody's own signal ends it: others may wait for the same.
      const asked = pending.get(host) ?? fresh(host).finally(() => pending.delete(host));
      pending.set(host, asked);
      return asked;
    },
  };
}

function isMissing(host: string, cause: ServiceError): ServiceError {
  return new ServiceError({
    code: 'proxmox-not-found',
    message: `${host} does not show the description of its own API (/pve-docs/api-viewer/apidoc.js), by which every call is checked before it is made`,
    remedy:
      'Install the package pve-docs on that node (apt-get install pve-docs), which Proxmox VE has by itself, or name another host of the cluster.',
    details: { host },
    cause,
  });
}

function isEmpty(host: string): ServiceError {
  return new ServiceError({
    code: 'unexpected-answer',
    message: `The description that ${host} shows of its own API has no call in it`,
    remedy: 'Look whether the package pve-docs on that node is whole (apt-get install --reinstall pve-docs).',
    details: { host },
  });
}
