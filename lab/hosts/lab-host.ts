import { randomBytes } from 'node:crypto';
import type { HostConfig, SshConfig } from '../../src/config.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { docker, tryDocker } from '../engine.ts';
import { type Access, access, waitUntilAnswers, waitUntilUp } from './access.ts';
import { type Faults, faults } from './faults.ts';
import { hostFiles, plainInit } from './files.ts';
import { ensureImage } from './image.ts';
import { type HostFolder, makeFolder } from './keys.ts';
import { leaveNetwork, network, startOnNetwork } from './network.ts';
import { forget, ownerLabels, remember } from './owner.ts';
import { tar } from './tar.ts';

export interface LabHostOptions {
  /** Default `bookworm`. `bullseye` has no Docker. */
  readonly debian?: 'bullseye' | 'bookworm' | 'trixie';
  /** `none`: a first process of its own starts sshd, and there is no systemd. Default `systemd`. */
  readonly init?: 'systemd' | 'none';
  /** `rs`: sudo and visudo are those of sudo-rs, which only `trixie` has. */
  readonly sudo?: 'rs';
  /** Docker runs inside, which takes about 2 s more; else it is installed and off. Default false. */
  readonly docker?: boolean;
  /**
   * The administrator's guide's installation in `/opt/proxmox-mcp` with its unit, logs and, with `docker`, containers
   * and volumes; without, one process answers at the same addresses. Default false.
   */
  readonly installation?: boolean;
}

/** A Debian host of its own for one test: systemd, sshd, sudo, in a container. */
export interface LabHost extends Access, Faults {
  /** Of its container. */
  readonly name: string;
  readonly address: { readonly host: string; readonly port: number };
  /** Its public host key: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  /** How to log in as the service's user, `claude-user`. */
  readonly ssh: SshConfig;
  /** How to log in as the administrator `admin`, who may do everything by sudo. The same key opens `root`. */
  readonly admin: SshConfig;
  /** The host as the service would be configured for it: `ssh`, and the guide's places. */
  readonly config: HostConfig;
  /** The private key of `ssh`, as text. */
  readonly serviceKey: string;
  /** Folder of this host on the test's machine: its keys and `known_hosts`. Goes with `stop`. */
  readonly folder: string;
  /** Removes the host and everything of it. Can be called again. */
  stop(): Promise<void>;
}

/**
 * For the hook that starts hosts, in ms: where nobody ran `scripts/lab-setup.sh`, the first one waits for its image to be
 * built.
 */
export const startTimeoutMs = 15 * 60_000;

/** Starts a host and waits until it is up: systemd has nothing left to start and sshd answers. */
export async function startLabHost(options: LabHostOptions = {}): Promise<LabHost> {
  const image = await ensureImage(options.debian ?? 'bookworm');
  const name = `proxmox-mcp-lab-${process.pid}-${randomBytes(3).toString('hex')}`;
  const folder = await makeFolder(name);
  await remember(name, folder.path);
  const stop = async () => {
    const removed = await tryDocker(['rm', '--force', '--volumes', name]);
    folder.remove();
    await leaveNetwork();
    if (removed.exitCode === 0 || /No such container/.test(removed.stderr)) forget(name);
  };
  try {
    const host = await startOnNetwork(name, async (address) => {
      await create(name, image, address, folder, options);
      await docker(['cp', '-', `${name}:/`], { input: tar(hostFiles(contents(folder, address, options))) });
    });
    await folder.pin(host);
    const reach = access(name);
    if (options.init === 'none') await waitUntilAnswers(host);
    else await waitUntilUp(reach, host);
    if (options.sudo === 'rs') await reach.must(['sh', '-euc', useSudoRs]);
    const login = (user: string, keyPath: string): SshConfig => {
      return { host, port: 22, user, keyPath, knownHostsPath: folder.knownHosts };
    };
    const ssh = login('claude-user', folder.serviceKeyPath);
    return {
      ...reach,
      ...faults(name, host, folder.hostKey, reach),
      name,
      address: { host, port: 22 },
      hostKey: folder.hostKey.public,
      ssh,
      config: { name, ssh, layout: defaultLayout, timeZone: 'UTC' },
      admin: login('admin', folder.adminKeyPath),
      serviceKey: folder.serviceKey.private,
      folder: folder.path,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Makes the container, not yet running. */
async function create(
  name: string,
  image: string,
  address: string,
  folder: HostFolder,
  options: LabHostOptions,
): Promise<void> {
  await docker([
    'create',
    ...['--name', name, '--hostname', name.slice('proxmox-mcp-'.length)],
    ...ownerLabels(),
    ...['--network', network, '--ip', address],
    ...machine,
    // The nested engine needs a real file system below its overlays.
    ...(options.docker ? ['--volume', '/var/lib/docker'] : []),
    ...['--volume', `${folder.backups}:/opt/proxmox-mcp-backups`],
    ...(options.init === 'none' ? ['--entrypoint', plainInit] : []),
    image,
  ]);
}

/** As where sudo-rs is the system's own. */
const useSudoRs = `for program in /usr/bin/sudo /usr/sbin/visudo; do
  mv "$program" "$program.other"; ln -s "../lib/cargo/bin/\${program##*/}" "$program"
done`;

/**
 * What makes a container enough of a machine for systemd and a nested engine. Not `--privileged`: that asks for every
 * capability, and machines that are virtual themselves often lack CAP_SYS_RESOURCE.
 */
const machine = [
  ...['--cap-add', 'ALL', '--cap-drop', 'SYS_RESOURCE'],
  ...['--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined'],
  // /proc/sys must be writable: a nested engine turns forwarding on.
  ...['--security-opt', 'systempaths=unconfined'],
  ...['--cgroupns', 'private', '--stop-signal', 'SIGRTMIN+3'],
  ...['--tmpfs', '/run', '--tmpfs', '/tmp:exec'],
  // A reboot ends the first process by a signal, which is a failure to the engine: it starts the container again.
  ...['--restart', 'on-failure'],
];

function contents(folder: HostFolder, address: string, options: LabHostOptions) {
  return {
    hostKey: folder.hostKey,
    serviceKey: folder.serviceKey,
    adminKey: folder.adminKey,
    docker: options.docker ?? false,
    installation: options.installation ?? false,
    address,
  };
}
