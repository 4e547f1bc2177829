import type { Config, HostConfig, SshConfig } from '../config.ts';
import { isServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { tcp } from './tcp.ts';

// What to do next with a host, as it is now: whoever reads it can paste it.

/** After `host add`: installing, unless the service gets in already. */
export async function nextAfterAdding({ name, ssh }: Pick<HostConfig, 'name' | 'ssh'>, log: Log): Promise<string> {
  const look = `See whether all is well with: proxmox-mcp doctor --host ${name}`;
  if (ssh === undefined || (await letsServiceIn(name, ssh, log))) return look;
  return `Next, put the service's user and key on it: proxmox-mcp host install ${name}`;
}

/** After `host install`: looking, and starting the service where it doesn't run. */
export async function nextAfterInstalling(
  name: string,
  { mcp }: Config,
  { configured }: { readonly configured: boolean },
): Promise<readonly string[]> {
  const look = `Next, see that all is well: proxmox-mcp doctor --host ${name}`;
  const wildcards: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const refused = await tcp(wildcards[mcp.host] ?? mcp.host, mcp.port, AbortSignal.timeout(3_000));
  if (refused !== undefined) return [look, 'Then start the service, which makes its schedules: npm start'];
  return configured ? [look, 'Then start the service anew: it runs with what was configured before.'] : [look];
}

/** One login by the service's key. Whatever else is wrong, the doctor explains. */
async function letsServiceIn(name: string, ssh: SshConfig, log: Log): Promise<boolean> {
  const [{ readKeyFile }, { createSshExecutor }] = await Promise.all([
    import('../hosts/ssh/key-file.ts'),
    import('../hosts/ssh/executor.ts'),
  ]);
  if (readKeyFile(ssh.keyPath).kind !== 'usable') return false;
  const executor = createSshExecutor({ name, ssh, log });
  try {
    await executor.exec(['/usr/bin/true'], { timeoutMs: 13_000 });
    return true;
  } catch (error) {
    // Only a refusal says that it isn't installed.
    return !isServiceError(error, 'ssh-key-refused');
  } finally {
    await executor.close();
  }
}
