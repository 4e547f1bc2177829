import type { Config } from '../config.ts';
import type { Secret } from '../secret.ts';

/** Every secret of a configuration, for taking them out of texts that others wrote. */
export function secretsOf(config: Config): readonly Secret[] {
  return [
    ...config.hosts.map((host) => host.api?.tokenValue),
    config.mail?.password,
    config.webhooks.slack,
    config.webhooks.discord,
    config.webhooks.onCall,
    config.grafanaPassword,
    ...(config.tracing?.headers.map(({ value }) => value) ?? []),
  ].filter((secret) => secret !== undefined);
}
