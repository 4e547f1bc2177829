import { randomInt } from 'node:crypto';
import { docker, labError, tryDocker } from '../engine.ts';
import { label } from './owner.ts';

/** The lab's bridge; all hosts are on it, and it goes with the last one. */
export const network = 'proxmox-mcp-lab';

/** Second byte of 10.x.0.0/16; the first that overlaps with nothing is taken. */
const candidates = [213, 214, 215, 216];

/** An address for one host, which it keeps when it reboots. Among 64,000, so that nobody has to keep a list. */
export async function chooseAddress(): Promise<string> {
  return `${await prefix()}.${randomInt(1, 255)}.${randomInt(2, 255)}`;
}

/** Starts a host. Another process that stopped its last host may just have removed the network: then it is made again. */
export async function startOnNetwork(name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const started = await tryDocker(['start', name]);
    if (started.exitCode === 0) return;
    if (attempt === 3 || !/network .* not found/i.test(started.stderr)) {
      throw labError(`The lab host did not start: ${started.stderr.trim()}`, 'See the log of the Docker engine.');
    }
    await prefix();
  }
}

/** Removes the network unless there are hosts. */
export async function leaveNetwork(): Promise<void> {
  const hosts = await docker(['ps', '--all', '--quiet', '--filter', `label=${label}.owner`]);
  if (hosts === '') await tryDocker(['network', 'rm', network]);
}

async function prefix(): Promise<string> {
  const found = await tryDocker(['network', 'inspect', '--format', '{{(index .IPAM.Config 0).Subnet}}', network]);
  if (found.exitCode === 0) return found.stdout.split('.').slice(0, 2).join('.');
  for (const second of candidates) {
    const subnet = `10.${second}.0.0/16`;
    const made = await tryDocker(['network', 'create', '--label', `${label}=1`, '--subnet', subnet, network]);
    if (made.exitCode === 0) return `10.${second}`;
    if (/already exists/.test(made.stderr)) return prefix();
  }
  throw labError('The lab found no free network', `Free one of 10.{${candidates.join(',')}}.0.0/16.`);
}
