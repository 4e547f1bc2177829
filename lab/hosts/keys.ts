import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKeyPair } from '../../src/hosts/ssh/new-key.ts';
import { labError, run } from '../engine.ts';

/** The folder of one host on the test's machine. */
export interface HostFolder {
  readonly path: string;
  readonly hostKey: KeyPair;
  readonly serviceKey: KeyPair;
  /** Public line. */
  readonly adminKey: string;
  readonly serviceKeyPath: string;
  readonly adminKeyPath: string;
  readonly knownHosts: string;
  /** The small file system that the host sees as its backups. */
  readonly backups: string;
  /** Writes `known_hosts`. */
  pin(address: string): Promise<void>;
  remove(): void;
}

export interface KeyPair {
  readonly private: string;
  readonly public: string;
}

/** A disk for backups: small, so that a test fills it in no time, and no memory, which backups refuse. */
const makeDisk = `truncate -s 256M "$1"; mkfs.ext4 -q -b 4096 -m 0 -O ^has_journal "$1"; mount -o loop "$1" "$2"; rmdir "$2/lost+found"; chmod 755 "$2"`;

export async function makeFolder(name: string): Promise<HostFolder> {
  const path = await mkdtemp(join(tmpdir(), `${name}-`));
  const hostKey = keyPair('');
  const serviceKey = keyPair('claude-user');
  const admin = keyPair('admin');
  const folder: HostFolder = {
    path,
    hostKey,
    serviceKey,
    adminKey: admin.public,
    serviceKeyPath: join(path, 'claude_proxmox_key'),
    adminKeyPath: join(path, 'admin_key'),
    knownHosts: join(path, 'known_hosts'),
    backups: join(path, 'backups'),
    pin: (address) => writeFile(folder.knownHosts, `${address} ${hostKey.public}`),
    remove: () => removeFolderNow(path),
  };
  await writeFile(folder.serviceKeyPath, serviceKey.private, { mode: 0o600 });
  await writeFile(`${folder.serviceKeyPath}.pub`, serviceKey.public);
  await writeFile(folder.adminKeyPath, admin.private, { mode: 0o600 });
  await writeFile(`${folder.adminKeyPath}.pub`, admin.public);
  await mkdir(folder.backups);
  // On this side of the container, so that what is in it outlives the host's reboots.
  const image = join(path, 'backups.img');
  const mounted = await run(['sh', '-euc', makeDisk, 'sh', image, folder.backups]);
  if (mounted.exitCode !== 0) {
    rmSync(path, { recursive: true });
    throw labError(
      `A file system for the lab host could not be mounted: ${mounted.stderr.trim()}`,
      'Run this as root.',
    );
  }
  return folder;
}

/** Synchronous, as it is also for a process's last moment. Also for the folder of a process that died. */
export function removeFolderNow(path: string): void {
  // Fails where nothing is mounted.
  spawnSync('umount', ['--lazy', join(path, 'backups')]);
  rmSync(path, { recursive: true, force: true });
}

/** A new Ed25519 key pair in OpenSSH's formats. */
export function keyPair(comment: string): KeyPair {
  const pair = newKeyPair(comment);
  return { private: pair.private, public: `${pair.public.trim()}\n` };
}
