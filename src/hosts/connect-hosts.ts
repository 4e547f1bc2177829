import type { Config, HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Redact } from '../secret.ts';
import { createHosts } from './create-hosts.ts';
import type { Executor } from './execution/executor.ts';
import type { Hosts } from './host.ts';
import { createLocalExecutor } from './local/executor.ts';
import { createSshExecutor } from './ssh/executor.ts';
import type { SshLimits } from './ssh/limits.ts';

/** The configured hosts, each over SSH or on this machine; connected when first used. */
export function connectHosts(config: Config, { log, redact }: { readonly log: Log; readonly redact: Redact }): Hosts {
  return createHosts({
    hosts: config.hosts,
    redact,
    checkHelper: true,
    executorFor: (host) => executorOf(host, log),
  });
}

/** Runs programs on one host by the service's own login, or on this machine. Throws `configuration` where it has neither. */
export function executorOf({ name, ssh, local }: HostConfig, log: Log, limits: Partial<SshLimits> = {}): Executor {
  if (ssh) return createSshExecutor({ name, ssh, log, limits });
  if (local) return createLocalExecutor({ name, log });
  throw new ServiceError({
    code: 'configuration',
    message: `No command can be run on ${name}: it has neither SSH nor local execution`,
    remedy: 'Set SSH_HOST and ENABLE_SSH, or ENABLE_LOCAL_EXECUTION, for this host.',
  });
}
