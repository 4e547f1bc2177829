import type { Config } from '../config.ts';
import { Secret } from '../secret.ts';

/** Every secret of a configuration, for taking them out of texts that others wrote. */
export function secretsOf(config: Config): readonly Secret[] {
  return [
    ...config.hosts.flatMap(({ api, backupServer }) => [
      api?.tokenValue,
      api?.readToken?.value,
      backupServer?.tokenValue,
    ]),
    config.temporal.apiKey,
    config.mail?.password,
    config.webhooks.slack,
    config.webhooks.discord,
    config.webhooks.onCall,
    config.grafanaPassword,
    ...(config.tracing?.headers.flatMap(({ value }) => [value, credentialIn(value)]) ?? []),
  ].filter((secret) => secret !== undefined);
}

/** What follows the scheme of an authorization: `Bearer …` is quoted without it, too. */
function credentialIn(header: Secret): Secret {
  return new Secret(header.reveal().split(' ').at(-1) ?? '');
}
