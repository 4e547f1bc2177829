import { docker, labError } from '../engine.ts';
import { type Access, bootIdFile, waitUntilUp } from './access.ts';
import { type KeyPair, keyPair } from './keys.ts';

/** What can go wrong on a host, on request. */
export interface Faults {
  /** Every established SSH connection is reset. sshd goes on and takes new ones. Returns how many there were. */
  cutConnections(): Promise<number>;
  /**
   * The network swallows every packet, both ways: connections hang, nothing is refused. Until `restoreNetwork`, or after
   * `ms` by itself (the host counts, not the test).
   */
  dropNetwork(ms?: number): Promise<void>;
  restoreNetwork(): Promise<void>;
  /** Established connections live on, as on any Debian. */
  restartSshd(): Promise<void>;
  /** Leaves not a byte. Only a small file system can be filled: by default that of the backups. */
  fillDisk(path?: string): Promise<void>;
  freeDisk(path?: string): Promise<void>;
  /** Another host key from now on, as if another host had taken the address; `knownHostsPath` keeps the old one. */
  changeHostKey(): Promise<void>;
  /** The pinned host key again. */
  restoreHostKey(): Promise<void>;
  /**
   * Returns when the host is up again. `orderly` stops services first; `power-loss` ends everything at once. Files stay,
   * those in /tmp and /run don't. The boot id is another one.
   */
  reboot(kind?: 'orderly' | 'power-loss'): Promise<void>;
}

const backups = '/opt/proxmox-mcp-backups';
const filler = '.lab-filler';

export function faults(name: string, host: string, hostKey: KeyPair, reach: Access): Faults {
  const { must } = reach;
  const bootId = () => must(['cat', bootIdFile]);
  const swallow = async (flag: '-I' | '-D') => {
    for (const rule of [
      ['INPUT', '-i', 'eth0'],
      ['OUTPUT', '-o', 'eth0'],
    ]) {
      // Once, or not at all.
      const has = (await reach.exec(['iptables', '-C', ...rule, '-j', 'DROP'])).exitCode === 0;
      if (has !== (flag === '-I')) await must(['iptables', flag, ...rule, '-j', 'DROP']);
    }
  };
  const useHostKey = async (key: string) => {
    await reach.writeFile('/etc/ssh/ssh_host_ed25519_key', key, { mode: 0o600 });
    await must(['systemctl', 'restart', 'ssh']);
  };
  return {
    async cutConnections() {
      const cut = await must(['ss', '--no-header', '--kill', '--tcp', 'state', 'established', 'sport = :22']);
      return cut.split('\n').filter((line) => line !== '').length;
    },
    async dropNetwork(ms) {
      await swallow('-I');
      if (ms === undefined) return;
      const restore = `sleep ${ms / 1000}; iptables -D INPUT -i eth0 -j DROP; iptables -D OUTPUT -o eth0 -j DROP`;
      await docker(['exec', '--detach', name, 'sh', '-c', restore]);
    },
    restoreNetwork: () => swallow('-D'),
    async restartSshd() {
      await must(['systemctl', 'restart', 'ssh']);
    },
    async fillDisk(path = backups) {
      const free = Number((await must(['df', '--output=avail', '--block-size=1M', path])).trim().split('\n')[1]);
      if (free > 1024) throw labError(`${path} has ${free} MB free, which is the whole machine's`, 'Fill a small one.');
      let left: string | undefined;
      // The file system gives back what it had set aside a moment after it is full.
      for (let tries = 0; left !== '0' && tries < 5; tries++) {
        const how = ['bs=4k', 'oflag=append', 'conv=notrunc,fsync', 'status=none'];
        await reach.exec(['dd', 'if=/dev/zero', `of=${path}/${filler}`, ...how]);
        left = (await must(['df', '--output=avail', '--block-size=1', path])).trim().split(/\s+/).at(-1);
      }
      if (left !== '0') throw labError(`${path} still has ${left} bytes free`, 'See dd on the host.');
    },
    async freeDisk(path = backups) {
      await must(['rm', '--force', `${path}/${filler}`]);
    },
    changeHostKey: () => useHostKey(keyPair('').private),
    restoreHostKey: () => useHostKey(hostKey.private),
    async reboot(kind = 'orderly') {
      const before = await bootId();
      if (kind === 'orderly') {
        await reach.exec(['systemctl', 'reboot']);
      } else {
        // At once, as power goes: what outlives the first process by a moment would write down that it has failed.
        await reach.exec(['sh', '-c', 'kill -s STOP -- -1']);
        await docker(['kill', '--signal', 'KILL', name]);
        await docker(['start', name]);
      }
      await waitUntilUp(reach, host, before.trim());
    },
  };
}
