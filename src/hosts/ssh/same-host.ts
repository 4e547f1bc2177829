import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { canonicalAddress } from '../../address.ts';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { fingerprint, lookUpHost } from './known-hosts.ts';

// Whether a host that is about to be added is one that is configured already, as far as it shows before anybody logs in.

/** How long names may take to be resolved, ms. */
const lookupMs = 5_000;

/** Throws `already-exists` where one of the others is reached at the same place, whatever it is called there. */
export async function refuseSameAddress(
  name: string,
  { address, sshPort }: { readonly address: string; readonly sshPort: number },
  others: readonly HostConfig[],
): Promise<void> {
  const places = others.flatMap(({ name: other, ssh, api }) => [
    ...(ssh ? [{ other, address: ssh.host, sshPort: ssh.port }] : []),
    // A host that only its API is known of has its sshd at the usual port.
    ...(api && !ssh ? [{ other, address: api.host, sshPort: 22 }] : []),
  ]);
  const [own, ...theirs] = await Promise.all([address, ...places.map((place) => place.address)].map(addressesOf));
  const index = places.findIndex((place, at) => {
    return place.sshPort === sshPort && theirs[at]?.some((one) => own?.includes(one));
  });
  const same = places[index];
  if (same === undefined) return;
  const how = canonicalAddress(same.address) === canonicalAddress(address) ? 'has this address already' : whyNot(same);
  throw new ServiceError({
    code: 'already-exists',
    message: `The host ${same.other} ${how}`,
    remedy: `Use that one: npx proxmox-mcp host add ${same.other}; or give the address of another host.`,
    details: { host: name, other: same.other },
  });

  function whyNot(place: { readonly address: string }): string {
    return `is the same one: ${address} and ${place.address} are one address (${own?.join(', ')})`;
  }
}

/** Throws `already-exists` where one of these keys is pinned for another host. */
export function refuseSameKey(
  name: string,
  shown: readonly { readonly fingerprint: string }[],
  others: readonly HostConfig[],
): void {
  for (const { name: other, ssh } of others) {
    if (ssh === undefined || other === name) continue;
    const { pinned } = lookUpHost(readIfThere(ssh.knownHostsPath), ssh.host, ssh.port);
    const same = pinned.map((key) => fingerprint(key)).find((one) => shown.some((key) => key.fingerprint === one));
    if (same === undefined) continue;
    throw new ServiceError({
      code: 'already-exists',
      message: `${name} shows the SSH key ${same}, which is pinned for ${other}: they are one machine, or one is a clone that kept the other's keys. Nothing was pinned`,
      remedy: `If it is the same machine, use the name ${other}. If it is a clone, give it keys of its own (on the clone: rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh) and a machine-id (rm /etc/machine-id; systemd-machine-id-setup; reboot), then try again.`,
      details: { host: name, other },
    });
  }
}

/** The address itself and all that its name stands for; a name that can't be resolved stands for itself. */
async function addressesOf(address: string): Promise<readonly string[]> {
  const found = await Promise.race([
    lookup(address, { all: true }).catch(() => []),
    new Promise<readonly never[]>((resolve) => setTimeout(() => resolve([]), lookupMs).unref()),
  ]);
  return [...new Set([address, ...found.map((one) => one.address)].map(canonicalAddress))];
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
