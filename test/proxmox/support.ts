import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { ProxmoxSimulator, SimulatorToken } from '../../lab/proxmox/simulator.ts';
import type { HostConfig, ProxmoxApiConfig } from '../../src/config.ts';
import { ServiceError } from '../../src/errors.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import type { Log } from '../../src/log.ts';
import { createProxmoxClient, type ProxmoxClient } from '../../src/proxmox/client.ts';
import type { TransportOptions } from '../../src/proxmox/transport.ts';
import { Secret } from '../../src/secret.ts';

/** A logger that keeps what it wrote. */
export function recordingLog(): { readonly log: Log; readonly text: () => string } {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { log: pino({ level: 'debug' }, sink), text: () => lines.join('') };
}

export function configFor(
  simulator: Pick<ProxmoxSimulator, 'host' | 'port' | 'certificateFingerprint' | 'tokens'>,
  changes: Partial<ProxmoxApiConfig> & { readonly as?: SimulatorToken } = {},
): ProxmoxApiConfig {
  const { as = simulator.tokens.full, ...rest } = changes;
  return {
    host: simulator.host,
    port: simulator.port,
    user: as.user,
    tokenName: as.name,
    tokenValue: new Secret(as.secret),
    trust: { kind: 'fingerprint', sha256: simulator.certificateFingerprint },
    ...rest,
  };
}

/** A configured host that has only an API. */
export function hostOf(name: string, simulator: Parameters<typeof configFor>[0], as?: SimulatorToken) {
  return {
    name,
    api: configFor(simulator, as ? { as } : {}),
    layout: defaultLayout,
    timeZone: 'UTC',
  } satisfies HostConfig;
}

/** Runs `use` with a client and closes it. */
export async function withClient<Result>(
  config: ProxmoxApiConfig,
  use: (client: ProxmoxClient) => Promise<Result>,
  options: Partial<TransportOptions> = {},
): Promise<Result> {
  const client = createProxmoxClient(config, { log: recordingLog().log, ...options });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

/** The `ServiceError` that something fails with; anything else fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<ServiceError> {
  const outcome = await promise.then(
    () => 'no error at all',
    (error: unknown) => error,
  );
  if (outcome instanceof ServiceError) return outcome;
  throw new Error(`expected a ServiceError, got ${String(outcome)}`, { cause: outcome });
}
