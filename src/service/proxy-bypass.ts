import { networkInterfaces } from 'node:os';

/**
 * Keeps what this process and its children ask of this machine off a proxy of the environment (Node.js follows
 * `https_proxy` with NODE_USE_ENV_PROXY): its names and addresses are added to both spellings of `no_proxy`. What else is reached never
 * follows the environment: Temporal, hosts, the Proxmox API and SMTP have connections of their own.
 */
export function bypassProxies(env: NodeJS.ProcessEnv = process.env): void {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
  const own = ['localhost', '127.0.0.1', '::1', ...addresses].flatMap((name) =>
    name.includes(':') ? [name, `[${name}]`] : [name],
  );
  for (const [name, other] of [
    ['no_proxy', 'NO_PROXY'],
    ['NO_PROXY', 'no_proxy'],
  ] as const) {
    const entries = (env[name] ?? env[other] ?? '').split(',').map((entry) => entry.trim());
    env[name] = [...new Set([...entries.filter(Boolean), ...own])].join(',');
  }
}
