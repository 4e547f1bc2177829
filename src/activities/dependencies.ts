import type { Client } from '@temporalio/client';
import type { Hosts } from '../clients/host.ts';
import { createHosts } from '../clients/hosts.ts';
import { createLocalExecutor } from '../clients/local/executor.ts';
import { createMailer, type Mailer } from '../clients/mail/mailer.ts';
import { createSshExecutor } from '../clients/ssh/executor.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
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
  const hosts = createHosts({
    hosts: config.hosts,
    redact,
    executorFor({ name, ssh, local }) {
      if (ssh) return createSshExecutor({ name, ssh, log });
      if (local) return createLocalExecutor({ name, log });
      throw new ServiceError({
        code: 'configuration',
        message: `No command can be run on ${name}: it has neither SSH nor local execution`,
        remedy: 'Set SSH_HOST and ENABLE_SSH, or ENABLE_LOCAL_EXECUTION, for this host.',
      });
    },
  });
  return { client, hosts, mailer: config.mail && createMailer(config.mail) };
}
