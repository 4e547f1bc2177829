import { randomInt } from 'node:crypto';
import { tmpdir } from 'node:os';
import { docker, ensureEngine, labError, run, tryDocker } from '../engine.ts';
import { label } from './owner.ts';

/** The lab's bridge; all hosts are on it, and it goes with the last one. */
export const network = 'proxmox-mcp-lab';

/** Second byte of 10.x.0.0/16; the first that overlaps with nothing is taken. */
const candidates = [213, 214, 215, 216];

/**
 * Makes a host at an address that it keeps when it reboots, and starts it. Once more where another process that stopped its
 * last host has just removed the network, or has a host at that very address: nobody keeps a list of the 64,000 that there are.
 *
 * @param make makes it at an address, without starting it
 * @returns the address
 */
export async function startOnNetwork(name: string, make: (address: string) => Promise<void>): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const address = `${await prefix()}.${randomInt(1, 255)}.${randomInt(2, 255)}`;
    await make(address);
    const started = await tryDocker(['start', name]);
    if (started.exitCode === 0) return address;
    if (attempt === 3 || !/network .* not found|address already in use/i.test(started.stderr)) {
      throw labError(`The lab host did not start: ${started.stderr.trim()}`, 'See the log of the Docker engine.');
    }
    await docker(['rm', '--force', '--volumes', name]);
  }
}

/** Removes the network unless there are hosts. */
export async function leaveNetwork(): Promise<void> {
  const hosts = await docker(['ps', '--all', '--quiet', '--filter', `label=${label}.owner`]);
  if (hosts === '') await tryDocker(['network', 'rm', network]);
}

/**
 * The first two bytes of the network's addresses; makes the network when there is none. Docker checks a name before it
 * takes it: of two processes that make it at once both would succeed, and no host could be started on either. So one at
 * a time, by a lock on a folder that is always there.
 */
async function prefix(): Promise<string> {
  const there = await findPrefix();
  if (there !== undefined) return there;
  const DOCKER_HOST = await ensureEngine();
  for (const second of candidates) {
    const subnet = `10.${second}.0.0/16`;
    const create = ['docker', 'network', 'create', '--label', `${label}=1`, '--subnet', subnet, network];
    const made = await run(['flock', tmpdir(), ...create], { env: { DOCKER_HOST } });
    if (made.exitCode === 0) return `10.${second}`;
    const others = /already exists/.test(made.stderr) ? await findPrefix() : undefined;
    if (others !== undefined) return others;
  }
  throw labError('The lab found no free network', `Free one of 10.{${candidates.join(',')}}.0.0/16.`);
}

async function findPrefix(): Promise<string | undefined> {
  const found = await tryDocker(['network', 'inspect', '--format', '{{(index .IPAM.Config 0).Subnet}}', network]);
  return found.exitCode === 0 ? found.stdout.split('.').slice(0, 2).join('.') : undefined;
}
