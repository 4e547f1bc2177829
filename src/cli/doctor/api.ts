import type { Config, HostConfig, ProxmoxApiConfig } from '../../config.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { wideRights } from '../../operations/rights.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { apiUser } from '../../proxmox/onboard.ts';
import type { LackedRight, LackedRights } from '../../proxmox/rights.ts';
import { tokenExpiry } from '../../proxmox/token-expiry.ts';
import { readingApiOf } from '../host-api.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';

const day = 24 * 3_600_000;
const soonDays = 21;

/**
 * The certificate of a Proxmox API, looked at without sending anything; the API token and how long it lasts; which other nodes
 * of its cluster would answer; and whether the token may do what each operation needs. `hosts` are all that are configured.
 */
export function apiChecks(
  name: string,
  api: ProxmoxApiConfig,
  {
    hosts,
    dataDir,
    dangerousCommands = true,
  }: Pick<Config, 'hosts'> & Partial<Pick<Config, 'dataDir' | 'dangerousCommands'>>,
  log: Log,
): Check[] {
  const apisOf =
    (of: readonly HostConfig[]) =>
    async <T>(work: (apis: ProxmoxApis) => Promise<T>): Promise<T> => {
      const { createProxmoxApis } = await import('../../proxmox/connect.ts');
      const config = { hosts: of, ...(dataDir !== undefined && { dataDir }) };
      const apis = createProxmoxApis(config, log, { retries: 0, learns: false });
      try {
        return await work(apis);
      } finally {
        await apis.close();
      }
    };
  const withApis = apisOf(hosts);
  const reading = readingApiOf(api);
  let looked: Promise<LackedRights> | undefined;
  const lacked = (signal: AbortSignal) => {
    looked ??= withApis(async (apis) => {
      const { lackedRights } = await import('../../proxmox/rights.ts');
      return await lackedRights(apis, name, { signal }, { dangerousCommands });
    });
    return looked;
  };
  return [
    certificate(name, api),
    apiToken(name, api, withApis),
    otherNodes(name, hosts, withApis),
    ...(['toLook', 'toChange'] as const).map((kind) => rights(name, api, kind, lacked)),
    ...(reading === undefined
      ? []
      : [
          readingToken(
            name,
            reading,
            apisOf(hosts.map((host) => (host.name === name ? { ...host, api: reading } : host))),
          ),
        ]),
  ];
}

function rights(
  name: string,
  api: ProxmoxApiConfig,
  kind: 'toLook' | 'toChange',
  lacked: (signal: AbortSignal) => Promise<LackedRights>,
): Check {
  const looks = kind === 'toLook';
  return {
    check: `${name}: rights to ${looks ? 'look' : 'change'}`,
    tried: `ask the API what ${api.user}!${api.tokenName} may do, and compare it with what every operation needs`,
    async run(signal): Promise<Result> {
      let found: LackedRights;
      try {
        found = await lacked(signal);
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code === 'proxmox-permission') throw error;
        // The check of the API token says what to do about it.
        return skipped(`it can't be asked: ${error.message}`);
      }
      const missing = found[kind];
      if (missing.length > 0) {
        if (!looks && found.onlyLooks) {
          const off = `it may look and change nothing, so that ${counted(found.uses.change)} that changes something is refused`;
          return skipped(`${off}. ${granting(name, api, missing, '--changes')}`);
        }
        return warning(
          `the API token lacks, ${listed(missing)}`,
          granting(name, api, missing, looks ? '' : '--changes'),
        );
      }
      const count = looks ? found.uses.look + found.uses.change : found.uses.change;
      const wide = looks ? [] : found.wide.map((right) => `${right}: ${wideRights[right].why}`);
      const off = wide.length === 0 ? '' : `; not given, as nobody asked for it: ${wide.join('; ')}`;
      return ok(`the API token may do what ${counted(count)} needs${off}`);
    },
  };
}

function counted(count: number): string {
  return count === 1 ? 'the one operation' : `each of ${count} operations`;
}

/** How many operations are named of each right that is missing, and paths in what to run. */
const named = 4;
/** With more rights than these the requests of an operation aren't told apart. */
const fewRights = 5;

/** `on /vms VM.PowerMgmt, which it has only for guests 100 (for control-guest); on /storage Datastore.Audit (for …)`. */
function listed(missing: readonly LackedRight[]): string {
  const paths = [...new Set(missing.map(({ path }) => path))].map((path) => {
    const some = missing
      .filter((right) => right.path === path)
      .map(({ privilege, refused, but }) => {
        const bare = refused.map((name) => (missing.length > fewRights ? name.replace(/ \(.*\)$/, '') : name));
        const names = [...new Set(bare)];
        const more = names.length > named ? ` and ${names.length - named} more` : '';
        const part = but === undefined ? '' : `, which it has only for ${but},`;
        return `${privilege}${part} (for ${names.slice(0, named).join(', ')}${more})`;
      });
    return `on ${path} ${some.join(', ')}`;
  });
  return paths.join('; ');
}

/** One that `host install` has made is put in order by it; one made by hand by hand. */
function granting(
  name: string,
  { user, tokenName }: ProxmoxApiConfig,
  missing: readonly LackedRight[],
  option: string,
): string {
  if (user === apiUser) return `Where it is meant to: npx proxmox-mcp host install ${name}${option && ` ${option}`}`;
  const privileges = [...new Set(missing.map(({ privilege }) => privilege))].sort();
  const paths = [...new Set(missing.map(({ path }) => path))];
  const role = option === '' ? 'MCPReader' : 'MCPOperator';
  const grants = paths.slice(0, named).map((path) => {
    return `pveum acl modify ${path} --tokens '${user}!${tokenName}' --roles ${role}`;
  });
  return `Where it is meant to, on the host: pveum role add ${role} --privs ${privileges.join(',')}; ${grants.join('; ')}; with privilege separation its user ${user} needs it too (--users). Or have one made: take its PROXMOX_ keys out, then npx proxmox-mcp host install ${name}`;
}

function certificate(name: string, { host, port, trust }: ProxmoxApiConfig): Check {
  return {
    check: `${name}: API certificate`,
    tried: `fetch the certificate of ${host}:${port} and compare it with what is trusted (${trust.kind})`,
    async run(): Promise<Result> {
      const { probeCertificate } = await import('../../proxmox/certificate.ts');
      const { fingerprint, validTo, trusted } = await probeCertificate(host, port);
      const pin = `Compare it on the host with: pvenode cert info. If it is the same, write PROXMOX_FINGERPRINT=${fingerprint}, or run: npx proxmox-mcp host add ${name}`;
      if (trust.kind === 'fingerprint' && trust.sha256 !== fingerprint) {
        return failed(
          `it shows SHA-256 ${fingerprint}, but ${trust.sha256} is pinned`,
          `If the certificate was renewed: ${pin}`,
        );
      }
      if (trust.kind === 'system' && trusted !== true) {
        return failed(
          `it is not signed by a CA that this machine trusts (${trusted}); its SHA-256 is ${fingerprint}`,
          pin,
        );
      }
      const days = Math.floor((validTo.getTime() - Date.now()) / day);
      const seen = `SHA-256 ${fingerprint}, valid until ${validTo.toISOString().slice(0, 10)}`;
      if (days < 0)
        return failed(
          `expired: ${seen}`,
          'Renew it on the host: pvenode acme cert order, or pvecm updatecerts --force.',
        );
      return days < soonDays ? warning(seen, `Renew it within ${days} days.`) : ok(seen);
    },
  };
}

/** What a taken-over MCP server would have in hand: it is to read, and nothing else. */
function readingToken(
  name: string,
  api: ProxmoxApiConfig,
  withApis: <T>(work: (apis: ProxmoxApis) => Promise<T>) => Promise<T>,
): Check {
  const { tried, run } = apiToken(name, api, withApis);
  const full = `${api.user}!${api.tokenName}`;
  return {
    check: `${name}: reading API token`,
    tried: `${tried}, and ask what it may do`,
    async run(signal) {
      const accepted = await run(signal);
      if (accepted.verdict !== 'ok') return accepted;
      return withApis(async (apis): Promise<Result> => {
        const client = apis.get(name);
        const { changingPrivileges, lackedRights } = await import('../../proxmox/rights.ts');
        const changing = changingPrivileges(await client.permissions(undefined, { signal }));
        if (changing.length > 0) {
          const some = changing.slice(0, named).join(', ');
          const more = changing.length > named ? ` and ${changing.length - named} more` : '';
          return failed(
            `the API token ${full} is to read and may change something: ${some}${more}`,
            `Take it from that token on the host (Datacenter, Permissions), or have one made: npx proxmox-mcp host install ${name} --read-token`,
          );
        }
        const { toLook } = await lackedRights(apis, name, { signal });
        if (toLook.length === 0) return ok(`${accepted.summary}, and only reads`);
        return warning(
          `the API token ${full} only reads, and lacks, ${listed(toLook)}`,
          granting(name, api, toLook, '--read-token'),
        );
      });
    },
  };
}

function apiToken(
  name: string,
  api: ProxmoxApiConfig,
  withApis: <T>(work: (apis: ProxmoxApis) => Promise<T>) => Promise<T>,
): Check {
  const full = `${api.user}!${api.tokenName}`;
  return {
    check: `${name}: API token`,
    tried: `GET https://${api.host}:${api.port}/api2/json/version as ${full}`,
    run: (signal) =>
      withApis(async (apis): Promise<Result> => {
        const client = apis.get(name);
        let number: string;
        try {
          number = (await client.version({ signal, ownNodeOnly: true })).version;
        } catch (error) {
          if (!isServiceError(error, 'proxmox-authentication')) throw error;
          const { state, says, remedy } = tokenExpiry(name, api, apis.learnt(name)?.tokenExpires ?? 0);
          if (state !== 'over') throw error;
          return failed(`the API token ${full} ${says}`, remedy);
        }
        const permissions = await client.permissions(undefined, { signal });
        if (Object.keys(permissions).length === 0) {
          const remedy =
            api.user === apiUser
              ? `Run: npx proxmox-mcp host install ${name}, which gives it its role.`
              : `Give it a role of its own on the host: pveum acl modify / --tokens '${full}' --roles PVEAuditor. With privilege separation it has only what it was given itself, and of that only what its user ${api.user} has too.`;
          return warning(`Proxmox VE ${number} accepts the API token, but it has no rights at all`, remedy);
        }
        await apis.learn(name, { signal });
        const expires = apis.learnt(name)?.tokenExpires;
        const accepts = `Proxmox VE ${number} accepts the API token`;
        if (expires === undefined) return ok(`${accepts}; when it expires can't be seen with its rights`);
        const { state, says, remedy } = tokenExpiry(name, api, expires);
        return state === 'lasts' ? ok(`${accepts}, which ${says}`) : warning(`${accepts}, which ${says}`, remedy);
      }),
  };
}

/** Through which nodes the cluster is reached when the configured one is down: each is tried, with the certificate that is known. */
function otherNodes(
  name: string,
  hosts: readonly HostConfig[],
  withApis: <T>(work: (apis: ProxmoxApis) => Promise<T>) => Promise<T>,
): Check {
  return {
    check: `${name}: other nodes of its cluster`,
    tried: 'ask each of them for its version, as while the configured one is down',
    run: (signal) =>
      withApis(async (apis): Promise<Result> => {
        try {
          await apis.learn(name, { signal });
        } catch (error) {
          // What is known from before is looked at all the same: it is for now that it is kept.
          if (!(error instanceof ServiceError)) throw error;
        }
        const tried = await apis.tryOthers(name, { signal });
        const own = apis.learnt(name)?.own;
        const others = (apis.learnt(name)?.nodes ?? []).filter((node) => node.name !== own);
        if (others.length === 0) return skipped('it is in no cluster, or sees none');
        const away = tried.filter(({ error }) => error !== undefined);
        const answering = tried.filter(({ error }) => error === undefined).map(({ address }) => address);
        if (tried.length === 0) {
          return warning(
            `${others.map((node) => node.name).join(', ')} can't be asked while it is down: their addresses aren't known`,
            `Give the API token Sys.Audit on /, which shows them; or configure them, too (${hosts.length} hosts are).`,
          );
        }
        if (away.length === 0) return ok(`while it is down, ${answering.join(', ')} would be asked`);
        const why = away.map(({ error }) => error?.message ?? '').join(' ');
        return warning(
          `${answering.length === 0 ? 'none of them can be asked while it is down' : `while it is down only ${answering.join(', ')} would be asked`}: ${why}`,
          'Let this machine reach port 8006 of every node, where the cluster is to stay in reach while one is down.',
        );
      }),
  };
}
