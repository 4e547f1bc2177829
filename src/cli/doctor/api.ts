import type { HostConfig, ProxmoxApiConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { type MissingRight, type RightsTrial, rightsTrials } from '../../proxmox/rights.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';

const day = 24 * 3_600_000;
const soonDays = 21;

/**
 * The certificate of a Proxmox API, looked at without sending anything, a call with the API token, and whether it may do
 * what each operation needs. `hosts` are all that are configured.
 */
export function apiChecks(name: string, api: ProxmoxApiConfig, hosts: readonly HostConfig[], log: Log): Check[] {
  return [
    certificate(name, api),
    version(name, api, log),
    ...rightsTrials.map((trial) => rights(name, api, trial, hosts, log)),
  ];
}

function rights(
  name: string,
  { user, tokenName }: ProxmoxApiConfig,
  { operation, run }: RightsTrial,
  hosts: readonly HostConfig[],
  log: Log,
): Check {
  const token = `${user}!${tokenName}`;
  return {
    check: `${name}: rights for ${operation}`,
    tried: `ask the API as ${token} for what ${operation} needs`,
    async run(signal): Promise<Result> {
      const { createProxmoxApis } = await import('../../proxmox/connect.ts');
      const apis = createProxmoxApis({ hosts }, log, { retries: 0 });
      try {
        const { may, missing } = await run(apis, name, { signal });
        if (missing.length === 0) return ok(`the API token may do what ${operation} needs: ${may}`);
        const refused = `${operation} is refused${may === '' ? '' : ` but for ${may}`}: the API token lacks ${listed(missing)}`;
        return warning(
          refused,
          `${granting(missing, token)}; with privilege separation its user ${user} needs it too.`,
        );
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code === 'proxmox-permission') throw error;
        // The check of the API token says what to do about it.
        return skipped(`it can't be tried: ${error.message}`);
      } finally {
        await apis.close();
      }
    },
  };
}

/** How many missing rights are named. */
const named = 5;

function listed(missing: readonly MissingRight[]): string {
  const more = missing.length > named ? ` and ${missing.length - named} more` : '';
  return `${missing
    .slice(0, named)
    .map(({ privilege, path }) => `${privilege} on ${path}`)
    .join(', ')}${more}`;
}

function granting(missing: readonly MissingRight[], token: string): string {
  const paths = [...new Set(missing.map(({ path }) => path))].slice(0, named);
  const commands = paths.map((path) => {
    const changes = missing.some((right) => right.path === path && !right.privilege.endsWith('.Audit'));
    return `pveum acl modify ${path} --tokens '${token}' --roles ${changes ? 'PVEVMUser' : 'PVEAuditor'}`;
  });
  return `Where it is meant to, give it a role on the host: ${commands.join('; ')}`;
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

function version(name: string, api: ProxmoxApiConfig, log: Log): Check {
  return {
    check: `${name}: API token`,
    tried: `GET https://${api.host}:${api.port}/api2/json/version as ${api.user}!${api.tokenName}`,
    async run(signal) {
      const { createProxmoxClient } = await import('../../proxmox/client.ts');
      const client = createProxmoxClient(api, { log, retries: 0 });
      try {
        const [{ version: number }, permissions] = [
          await client.version({ signal }),
          await client.permissions(undefined, { signal }),
        ];
        if (Object.keys(permissions).length > 0) return ok(`Proxmox VE ${number} accepts the API token`);
        return warning(
          `Proxmox VE ${number} accepts the API token, but it has no rights at all`,
          'Give it a role under Datacenter, Permissions (PVEAuditor to look), or switch its privilege separation off.',
        );
      } finally {
        await client.close();
      }
    },
  };
}
