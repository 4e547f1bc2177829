import type { LabHost } from '../../lab/hosts/lab-host.ts';

/** A lab host's entry of `hosts.yaml`, with the guide's layout. */
export function sshEntry({ ssh }: LabHost): Readonly<Record<string, string>> {
  return {
    SSH_HOST: ssh.host,
    SSH_USER: ssh.user,
    SSH_KEY_PATH: ssh.keyPath,
    SSH_KNOWN_HOSTS: ssh.knownHostsPath,
  };
}
