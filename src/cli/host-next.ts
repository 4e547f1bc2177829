import type { Config, HostConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { tcp } from './tcp.ts';

// What to do next with a host, as it is now: whoever reads it can paste it.

/** After `host add`: installing, unless the service gets in already. */
export async function nextAfterAdding({ name, ssh }: Pick<HostConfig, 'name' | 'ssh'>, log: Log): Promise<string> {
  const look = `See whether all is well with: npx proxmox-mcp doctor --host ${name}`;
  if (ssh === undefined) return look;
  const { letsServiceIn } = await import('../hosts/install/prove.ts');
  if (await letsServiceIn(name, ssh, log)) return look;
  return `Next, put the service's user and key on it: npx proxmox-mcp host install ${name}`;
}

/** After `host install`: looking, and starting the service where it doesn't run. `isHere`: whoever installs here starts it, too. */
export async function nextAfterInstalling(
  name: string,
  { mcp }: Config,
  { configured, isHere }: { readonly configured: boolean; readonly isHere: boolean },
): Promise<readonly string[]> {
  const look = `Next, see that all is well: npx proxmox-mcp doctor --host ${name}`;
  if (isHere) return [look];
  const wildcards: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const refused = await tcp(wildcards[mcp.host] ?? mcp.host, mcp.port, AbortSignal.timeout(3_000));
  if (refused !== undefined) return [look, 'Then start the service, which makes its schedules: npm start -- --keep'];
  return configured ? [look, 'Then start the service anew: it runs with what was configured before.'] : [look];
}
