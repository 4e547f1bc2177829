import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabHost } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { createLogger } from '../../../src/logger.ts';

export const log = createLogger({ level: 'error', name: 'test', stderr: true });

/** Takes what the lab has put there for the service off a host: as any host before its installation. */
export async function makeBare(host: LabHost): Promise<void> {
  // An administrator's first sudo leaves a mark in their home.
  await host.must(['sudo', '-n', 'true'], { user: 'admin' });
  await host.exec(['userdel', '--remove', 'claude-user']);
  await leaveAccountCopies(host);
}

/** The copies that the system keeps of its account files before each change, made alike. */
export async function leaveAccountCopies(host: LabHost): Promise<void> {
  await host.must(['sh', '-c', 'for f in passwd group shadow gshadow subuid subgid; do cp -p /etc/$f /etc/$f-; done']);
}

/** The host with a key of the service's that isn't made yet. */
export function configOf(host: LabHost): HostConfig {
  const folder = mkdtempSync(join(host.folder, 'config-'));
  return { ...host.config, ssh: { ...host.ssh, keyPath: join(folder, 'keys/service_key') } };
}

/**
 * Every path of the folders an installation touches, with kind, mode, owner, and digest or target. Without the system's own
 * journals, which change by themselves, and without the days on which passwords were changed: an account that is put back
 * says the day of that.
 */
export async function listing(host: LabHost): Promise<string[]> {
  const script = String.raw`
    cd /
    skip='( -path var/lib/systemd -o -path var/lib/docker -o -path var/lib/containerd -o -path var/lib/dpkg -o -path var/lib/logrotate -o -path etc/machine-id ) -prune'
    everything() { find etc usr/local usr/libexec var/lib home opt root var/spool -xdev $skip -o "$@" 2>/dev/null; }
    everything -printf '%p %y %m %U:%G %l\n'
    everything -type f ! -path etc/shadow -print0 | xargs -0 sha256sum --
    echo "$(cut -d : -f 1,2,4- etc/shadow | sha256sum | cut -c 1-64)  etc/shadow"
    ls -d run/proxmox-mcp-install run/systemd/transient/proxmox-mcp* var/log/sudo* 2>/dev/null || true`;
  return (await host.must(['sh', '-c', script])).split('\n').filter(Boolean).sort();
}

/** What differs, `-` before and `+` after. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ];
}

/** Until the host is as it was, at most so long; answers what still differs. */
export async function differenceWithin(host: LabHost, before: readonly string[], ms: number): Promise<string[]> {
  const deadline = Date.now() + ms;
  for (;;) {
    const rest = difference(before, await listing(host));
    if (rest.length === 0 || Date.now() > deadline) return rest;
    await sleep(500);
  }
}

/** A configuration folder for the command line: this host, called `lab`. */
export function configFolder(host: LabHost, config: HostConfig): string {
  const folder = mkdtempSync(join(host.folder, 'cli-'));
  const lines = [
    ...['HOST_NAME=lab', `SSH_HOST=${host.address.host}`, 'SSH_USER=claude-user'],
    ...[`SSH_KEY_PATH=${config.ssh?.keyPath}`, `SSH_KNOWN_HOSTS=${host.ssh.knownHostsPath}`, `DATA_DIR=${folder}/data`],
  ];
  writeFileSync(join(folder, '.env'), `${lines.join('\n')}\n`, { mode: 0o600 });
  return folder;
}

/** Runs `proxmox-mcp` and kills it, as `kill -9` does, when it says what `when` looks for. Answers what it had said. */
export function runUntil(
  script: string,
  args: readonly string[],
  when: (said: string) => boolean,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<string> {
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, HOME },
    });
    let said = '';
    const take = (chunk: Buffer) => {
      said += chunk.toString('utf8');
      if (!child.killed && when(said)) child.kill(signal);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', () => resolve(said));
  });
}

/** Every kind of sudo that the service works with, and the systems that bring them. */
export const everyKind = [
  { name: 'Debian 11', debian: 'bullseye' },
  { name: 'Debian 12', debian: 'bookworm' },
  { name: 'Debian 13', debian: 'trixie' },
  { name: 'Debian 13 with sudo-rs', debian: 'trixie', sudo: 'rs' },
] as const;
