import type { Client } from '@temporalio/client';
import { connectHosts } from '../clients/connect-hosts.ts';
import type { Hosts } from '../clients/host.ts';
import { createMailer, type Mailer } from '../clients/mail/mailer.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Redact } from '../secret.ts';

/** Everything that activities may hold; each area takes what it names. */
export interface ActivityDependencies {
  readonly client: Client;
  readonly hosts: Hosts;
  readonly mailer: Mailer | undefined;
}

export function createDependencies(options: {
  readonly config: Config;
  readonly client: Client;
  readonly log: Log;
  readonly redact: Redact;
}): ActivityDependencies {
  const { config, client, log, redact } = options;
  return { client, hosts: connectHosts(config, { log, redact }), mailer: config.mail && createMailer(config.mail) };
}
