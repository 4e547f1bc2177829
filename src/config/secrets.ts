import type { Config } from '../config.ts';
import type { Secret } from '../secret.ts';

/** Every secret of a configuration, for taking them out of texts that others wrote. */
export function secretsOf(config: Config): readonly Secret[] {
  return [
    ...config.hosts.flatMap(({ api }) => [api?.tokenValue, api?.readToken?.value]),
    config.temporal.apiKey,
    config.mail?.password,
    config.webhooks.slack,
    config.webhooks.discord,
    config.webhooks.onCall,
    config.grafanaPassword,
  ].filter((secret) => secret !== undefined);
}
