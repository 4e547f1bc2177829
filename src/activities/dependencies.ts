import type { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import { connectHosts } from '../hosts/connect-hosts.ts';
import type { Hosts } from '../hosts/host.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import { createMailer, type Mailer } from '../mail/mailer.ts';
import type { SwitchState } from '../operations/switch.ts';
import { createProxmoxApis, type ProxmoxApis } from '../proxmox/connect.ts';
import type { Redact } from '../secret.ts';
import type { KnownToken } from './approvals/approvals.ts';

/** Everything that activities may hold; each area takes what it names. */
export interface ActivityDependencies {
  readonly config: Config;
  readonly client: Client;
  readonly hosts: Hosts;
  readonly proxmox: ProxmoxApis;
  readonly mailer: Mailer | undefined;
  /** Keys of the configuration whose values in the files are others now than those that this worker runs with. */
  readonly changedKeys: () => readonly string[];
  /** Why schedules could not be made when the worker started, by their ids. */
  readonly refusedSchedules: () => Readonly<Record<string, string>>;
  /** The kill switch, as it is now. Throws where that can't be known. */
  readonly changeSwitch: () => Promise<SwitchState>;
}

/** Of the worker that has the ledger open. */
export interface LedgerDependencies extends ActivityDependencies {
  readonly ledger: Ledger;
  /** Of `policy.yaml`. */
  readonly configFolder: string;
  /** The bearer tokens that there are now. */
  readonly tokens: () => readonly KnownToken[];
}

export function createDependencies(options: {
  readonly config: Config;
  readonly client: Client;
  readonly log: Log;
  readonly redact: Redact;
  readonly changedKeys: ActivityDependencies['changedKeys'];
  readonly refusedSchedules: ActivityDependencies['refusedSchedules'];
  readonly changeSwitch: ActivityDependencies['changeSwitch'];
}): ActivityDependencies {
  const { config, client, log, redact, changedKeys, refusedSchedules, changeSwitch } = options;
  return {
    config,
    client,
    // Of a cluster's members the others' names and addresses count, too; commands are run on those only whose keys are here.
    hosts: connectHosts({ ...config, hosts: config.hosts.filter(({ isElsewhere }) => !isElsewhere) }, { log, redact }),
    proxmox: createProxmoxApis(config, log),
    mailer: config.mail && createMailer(config.mail),
    changedKeys,
    refusedSchedules,
    changeSwitch,
  };
}
