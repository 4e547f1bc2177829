import { z } from 'zod';
import type { Config, ProxmoxApiConfig } from '../../config.ts';
import type { Log } from '../../log.ts';
import { type Check, ok, type Result, warning } from './check.ts';

/** A Proxmox Backup Server: its certificate, whether it takes the API token, and what that may do. */
export function backupServerChecks(
  name: string,
  { host, port, user, tokenName, trust }: ProxmoxApiConfig,
  { hosts }: Pick<Config, 'hosts'>,
  log: Log,
): Check[] {
  const full = `${user}!${tokenName}`;
  return [
    {
      check: `${name}: backup server`,
      tried: `GET https://${host}:${port}/api2/json/version and /access/permissions as ${full}`,
      async run(signal): Promise<Result> {
        const { createProxmoxApis } = await import('../../proxmox/connect.ts');
        const apis = createProxmoxApis({ hosts }, log, { retries: 0, learns: false });
        try {
          const client = apis.backupServer(name);
          const { version } = await client.version({ signal });
          const rights = await client.read(permissions(), '/access/permissions', [], undefined, { signal });
          const has = (path: RegExp, privilege: string) =>
            Object.entries(rights).some(([at, own]) => path.test(at) && privilege in own);
          const lacking = [
            ...looks.filter((privilege) => !has(/^\/(datastore.*)?$/, privilege)),
            ...(has(/^\/(system(\/tasks)?)?$/, 'Sys.Audit') ? [] : ['Sys.Audit on /system/tasks']),
          ];
          const accepts = `Proxmox Backup Server ${version} accepts the API token${trust.kind === 'fingerprint' ? ', and shows the pinned certificate' : ''}`;
          if (lacking.length === 0) return ok(accepts);
          return warning(
            `${accepts}, which lacks ${lacking.join(', ')}`,
            `On the server: proxmox-backup-manager acl update /datastore DatastoreAudit --auth-id '${full}', and acl update /system/tasks Audit --auth-id '${full}'. It has only what its user ${user} has, too.`,
          );
        } finally {
          await apis.close();
        }
      },
    },
  ];
}

const looks = ['Datastore.Audit'];

/** By paths the privileges. */
const permissions = () => z.record(z.string(), z.record(z.string(), z.unknown()));
