import { ServiceError } from '../../errors.ts';
import { problemsOfRead } from '../../operations/api-rules.ts';
import type { ProxmoxApis } from '../connect.ts';
import type { CallOptions } from '../transport.ts';
import { type ApiSchemas, createApiSchemas } from './api-schemas.ts';
import { checkParameters, type GivenParameters, invalidCall } from './check-parameters.ts';
import { maskSecrets } from './mask.ts';
import { type MatchedCall, matchCall } from './match-path.ts';

/** What a reading call answered, without secrets. */
export interface ApiReading {
  readonly call: MatchedCall;
  readonly data: unknown;
  /** How many there are of what `data` is a page of, where the API says it. */
  readonly total?: number;
  /** The API itself left out what comes before. */
  readonly offset?: number;
}

/** Which part of a long answer, where the API can leave out the rest itself. */
export interface ApiPage {
  readonly offset: number;
  readonly limit: number;
}

/** Reads whatever the hosts' own schemas describe. */
export interface ApiReader extends ApiSchemas {
  /**
   * GET of a path with its values in it, held to the schema before it is sent.
   *
   * @throws ServiceError `invalid-input`, `forbidden` where it is no harmless look, and what the API throws
   */
  read(
    host: string,
    path: string,
    parameters: GivenParameters,
    options?: CallOptions & { readonly page?: ApiPage },
  ): Promise<ApiReading>;
}

export function createApiReader(apis: ProxmoxApis): ApiReader {
  const schemas = createApiSchemas(apis);
  return {
    ...schemas,
    async read(host, path, parameters, { page, ...options } = {}) {
      const problems = problemsOfRead(path, parameters);
      if (problems.length > 0) throw invalidCall(problems);
      const call = matchCall(await schemas.of(host), 'GET', path);
      requireTokenUse(call);
      const paged = page !== undefined && canPage(call, parameters) ? page : undefined;
      const asked = paged === undefined ? parameters : { ...parameters, start: paged.offset, limit: paged.limit };
      const sent = checkParameters(call, asked);
      const { data, total } = await apis.get(host).send('GET', call.template, call.values, sent, options);
      return {
        call,
        data: maskSecrets(data, call.path),
        ...(total === undefined ? {} : { total }),
        ...(paged === undefined ? {} : { offset: paged.offset }),
      };
    },
  };
}

/** Throws `forbidden` for a call that Proxmox answers no API token. */
export function requireTokenUse({ about: { method, noToken }, path }: MatchedCall): void {
  if (!noToken) return;
  throw new ServiceError({
    code: 'forbidden',
    message: `Proxmox lets no API token do ${method} ${path}`,
    remedy: 'An administrator does it in Proxmox itself.',
    details: { field: 'path' },
  });
}

function canPage({ about: { parameters } }: MatchedCall, given: GivenParameters): boolean {
  return ['start', 'limit'].every((name) => parameters.get(name)?.type === 'integer' && !Object.hasOwn(given, name));
}
