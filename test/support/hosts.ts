import type { BackupServerSimulator } from '../../lab/backup-server/simulator.ts';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import type { ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';

type Entry = Readonly<Record<string, string>>;

/** A lab host's entry of `hosts.yaml`, with the guide's layout. */
export function sshEntry({ ssh }: LabHost): Entry {
  return {
    SSH_HOST: ssh.host,
    SSH_USER: ssh.user,
    SSH_KEY_PATH: ssh.keyPath,
    SSH_KNOWN_HOSTS: ssh.knownHostsPath,
  };
}

/** The entry of a host that has only a Proxmox API: the simulated one, with an API token that may do everything. */
export function apiEntry({ host, port, tokens, certificateFingerprint }: ProxmoxSimulator): Entry {
  const { user, name, secret } = tokens.full;
  return {
    PROXMOX_HOST: host,
    PROXMOX_PORT: String(port),
    PROXMOX_USER: user,
    PROXMOX_TOKEN_NAME: name,
    PROXMOX_TOKEN_VALUE: secret,
    PROXMOX_FINGERPRINT: certificateFingerprint,
  };
}

/** An entry of hosts.yaml for a simulated Proxmox Backup Server. */
export function backupServerEntry({ host, port, token, fingerprint }: BackupServerSimulator): Entry {
  return {
    PBS_HOST: host,
    PBS_PORT: String(port),
    PBS_USER: token.user,
    PBS_TOKEN_NAME: token.name,
    PBS_TOKEN_VALUE: token.secret,
    PBS_FINGERPRINT: fingerprint,
  };
}
