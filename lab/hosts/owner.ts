import { readFileSync } from 'node:fs';
import { dockerNow, ensureEngine } from '../engine.ts';
import { removeFolderNow } from './keys.ts';

/** On everything that the lab makes in the engine. */
export const label = 'proxmox-mcp-lab';

/** Names the process that a host belongs to, so that the hosts of dead ones can be told (`clean.ts`). */
export function ownerLabels(): string[] {
  return ['--label', `${label}=1`, '--label', `${label}.owner=${owner(process.pid)}`];
}

/** A process's id alone may be another's later; with its start time it is not. */
export function owner(pid: number): string | undefined {
  try {
    // Field 22, counted after the program's name, which may hold blanks.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return `${pid}-${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return undefined;
  }
}

const hosts = new Map<string, string>();

/** What is remembered is removed when this process exits without having stopped it. */
export async function remember(name: string, folder: string): Promise<void> {
  const dockerHost = await ensureEngine();
  if (hosts.size === 0) process.once('exit', () => removeAll(dockerHost));
  hosts.set(name, folder);
}

export function forget(name: string): void {
  hosts.delete(name);
}

function removeAll(dockerHost: string): void {
  for (const [name, folder] of hosts) {
    try {
      dockerNow(dockerHost, ['rm', '--force', '--volumes', name]);
      removeFolderNow(folder);
    } catch {
      // clean.ts finds it.
    }
  }
}
