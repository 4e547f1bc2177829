import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { z } from 'zod';
import type { HostConfig, ProxmoxApiConfig } from '../config.ts';
import { replacePrivateFile } from '../private-file.ts';
import { canonicalFingerprint } from './certificate.ts';
import type { NodeAddress } from './node-link.ts';
import type { ProxmoxClusterStatus, ProxmoxNode } from './schemas.ts';

// The nodes through which each configured host's cluster can be reached. They are learnt over connections that are pinned
// already, with the fingerprints that the cluster itself has for them, and kept in a file of the data folder, so that a
// process that starts while a host's own node is down knows the others.

/** What a transport knows of the cluster behind its host. */
export interface ClusterView {
  /** Name of the host's own node, where it is known. */
  own(): string | undefined;
  /** Other nodes, each with the certificate that it must show. */
  others(): readonly NodeAddress[];
  /** The host's own node has answered a call. */
  answered(): void;
  /** The cluster knows no node of that name, or not any more. */
  isUnknown(node: string): void;
}

/** What was learnt through one configured host. */
export interface LearntCluster {
  readonly own?: string | undefined;
  readonly nodes: readonly {
    readonly name: string;
    readonly address?: string | undefined;
    readonly fingerprint?: string | undefined;
  }[];
  /** When the host's API token expires, Unix seconds; 0: never; absent: it isn't known. */
  readonly tokenExpires?: number | undefined;
}

export interface ClusterNodes {
  /** What has been learnt through a host, as long as it is configured as it was then. */
  of(host: string): LearntCluster | undefined;
  others(host: string): readonly NodeAddress[];
  learn(
    host: string,
    seen: {
      readonly members: readonly ProxmoxClusterStatus[];
      readonly nodes: readonly ProxmoxNode[];
      readonly tokenExpires?: number | undefined;
    },
  ): void;
}

/** More nodes than a cluster has. */
const mostNodes = 64;
const mostBytes = 2 ** 20;
const fileName = z.string().regex(/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62})$/);

const kept = z.object({
  hosts: z.record(
    z.string(),
    z.object({
      /** How the host was configured: what was learnt counts for that alone. */
      as: z.string(),
      own: fileName.optional(),
      nodes: z
        .array(
          z.object({
            name: fileName,
            address: z.ipv4().or(z.ipv6()).optional(),
            fingerprint: z
              .string()
              .regex(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
              .optional(),
          }),
        )
        .max(mostNodes),
      tokenExpires: z.int().min(0).optional(),
    }),
  ),
});
type Kept = z.infer<typeof kept>['hosts'];

/** @param file - undefined: what is learnt is forgotten with this process */
export function createClusterNodes(hosts: readonly HostConfig[], file?: string): ClusterNodes {
  let records: Kept | undefined;
  const all = (): Kept => {
    records ??= file === undefined ? {} : readKept(file);
    return records;
  };
  const apiOf = (host: string) => hosts.find(({ name }) => name === host)?.api;

  function of(host: string): LearntCluster | undefined {
    const api = apiOf(host);
    const record = all()[host];
    return api !== undefined && record?.as === configuredAs(api) ? record : undefined;
  }

  return {
    of,
    others(host) {
      const api = apiOf(host);
      const learnt = of(host);
      if (api === undefined || learnt === undefined) return [];
      return learnt.nodes.flatMap(({ name, address, fingerprint }) => {
        if (name === learnt.own) return [];
        const pinned = fingerprint && ({ kind: 'fingerprint', sha256: fingerprint } as const);
        // Where a configured host is that node, its address is known to lead there, through whatever is in between.
        const configured = hosts.find(
          (one) => one.name !== host && one.api?.trust.kind === 'fingerprint' && one.api.trust.sha256 === fingerprint,
        )?.api;
        if (pinned && configured) return [{ host: configured.host, port: configured.port, trust: pinned }];
        const trust = api.trust.kind === 'ca-file' ? api.trust : pinned;
        return address === undefined || !trust ? [] : [{ host: address, port: api.port, trust }];
      });
    },
    learn(host, { members, nodes, tokenExpires }) {
      const api = apiOf(host);
      if (api === undefined) return;
      const local = members.find((entry) => entry.type === 'node' && entry.local)?.name;
      const pin = api.trust.kind === 'fingerprint' ? api.trust.sha256 : undefined;
      const shown = nodes.flatMap(({ node, ssl_fingerprint: print }) => {
        const member = members.find((entry) => entry.type === 'node' && entry.name === node);
        const address = member?.type === 'node' && isIP(member.ip ?? '') > 0 ? member.ip : undefined;
        const fingerprint = fingerprintIn(print);
        return fileName.safeParse(node).success ? [{ name: node, address, fingerprint }] : [];
      });
      const byPin = shown.filter(({ fingerprint }) => pin !== undefined && fingerprint === pin);
      const own = local ?? (byPin.length === 1 ? byPin[0]?.name : undefined) ?? of(host)?.own;
      const record = { as: configuredAs(api), own, nodes: shown.slice(0, mostNodes), tokenExpires };
      const before = JSON.stringify(all()[host]);
      if (before === JSON.stringify(record)) return;
      // Others may have learnt of their hosts meanwhile; what isn't configured any more goes.
      const rest = file === undefined ? all() : { ...all(), ...readKept(file) };
      const known = Object.entries(rest).filter(([name]) => hosts.some((one) => one.name === name));
      records = { ...Object.fromEntries(known), [host]: record };
      if (file !== undefined) replacePrivateFile(file, `${JSON.stringify({ hosts: records }, null, 1)}\n`);
    },
  };
}

function fingerprintIn(print: string | undefined): string | undefined {
  try {
    return print === undefined ? undefined : canonicalFingerprint(print);
  } catch {
    return undefined;
  }
}

function configuredAs({ host, port, user, tokenName, trust }: ProxmoxApiConfig): string {
  const how = trust.kind === 'fingerprint' ? trust.sha256 : trust.kind === 'ca-file' ? trust.path : 'system';
  return `${host}:${port} ${user}!${tokenName} ${how}`;
}

/** What can't be read, or isn't what this wrote, is as if it weren't there: it is learnt anew. */
function readKept(file: string): Kept {
  try {
    if (statSync(file).size > mostBytes) return {};
    return kept.parse(JSON.parse(readFileSync(file, 'utf8'))).hosts;
  } catch {
    return {};
  }
}
