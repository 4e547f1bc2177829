import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoSandbox } from '../hosts/helper/sandbox/sandbox.ts';
import { type Machine, startMachine } from './machine.ts';
import { proxmoxOptions, proxmoxProgram, proxmoxPrograms } from './proxmox-host.ts';

const everything = `cd /; find opt/proxmox-mcp usr/local/lib/proxmox-mcp usr/local/bin var/lib/proxmox-mcp-recovery root/.ssh -printf '%p %y %m %U:%G %l\\n' 2>/dev/null | sort`;

/** What is in the container: a folder, in which the service's own commands are only written down. */
const inside = `#!/bin/bash
guest=/stand-in/guest; mkdir -p $guest/run $guest/srv
if [ "$1" = push ]; then cp "$2" "$guest$3"; exit; fi
shift
case $1 in
  hostname) echo '192.0.2.50 fd00::50' ;;
  proxmox-mcp | /srv/proxmox-mcp/install.sh)
    echo "inside $*" >>/stand-in/calls
    case "$*" in
      *'host add'*) mkdir -p $guest/opt/proxmox-mcp; printf 'hosts:\\n  %s:\\n' "$4" >$guest/opt/proxmox-mcp/hosts.yaml ;;
      *--key*) cat /root/.ssh/authorized_keys2 >/stand-in/key-then; stat -c %a $guest/run/proxmox-mcp-install-key >>/stand-in/key-then
        [ ! -e /stand-in/end ] || { rm /stand-in/end; kill -s TERM $PPID; }
        [ ! -e /stand-in/refuse ] ;;
    esac
    ;;
  sh)
    # Its programs are those of a folder, and what apt-get is to install.
    export PATH=/stand-in/programs:/usr/bin:/bin
    case "$3" in *apt-get*) PATH=/stand-in/programs ;; esac
    sed_script=\${3//\\/srv/$guest/srv}; exec /bin/sh -ec "$sed_script" ;;
  rm | mkdir | grep) words=(); for word; do case $word in /*) word=$guest$word ;; esac; words+=("$word"); done; exec "\${words[@]}" ;;
esac
`;

/** Of the container: apt-get brings all the others. */
const program = `#!/bin/sh
case $0 in
  */apt-get)
    echo "inside apt-get $*" >>/stand-in/calls
    for one in npm sudo sshd curl ss; do : >/stand-in/programs/$one; /bin/chmod 755 /stand-in/programs/$one; done ;;
esac
`;

describe.skipIf(whyNoSandbox())('install.sh --in-container, with stand-ins for the programs of Proxmox VE', () => {
  let machine: Machine;
  let bare: string;
  beforeAll(async () => {
    const root = join(import.meta.dirname, '../..');
    const sources = mkdtempSync(join(tmpdir(), 'pmx-install-'));
    for (const part of ['install.sh', 'deploy', 'package.json', 'package-lock.json'])
      cpSync(join(root, part), join(sources, part), { recursive: true });
    machine = await startMachine({ bring: { [sources]: '/srv/sources' } });
    rmSync(sources, { recursive: true });
    for (const name of proxmoxPrograms) await machine.standIn(name, proxmoxProgram);
    await machine.write('/stand-in/options', proxmoxOptions());
    await machine.write('/stand-in/inside', inside, 0o755);
    for (const name of ['node', 'apt-get']) await machine.write(`/stand-in/programs/${name}`, program, 0o755);
    await machine.root(`rm -rf /root/.ssh; [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
      ip link add vmbr0 type bridge && ip address add 192.0.2.1/24 dev vmbr0`);
    bare = await machine.root(everything);
  });
  afterAll(() => machine?.close());

  const install = (...options: string[]) => machine.run(['/srv/sources/install.sh', '--in-container', ...options]);
  const must = async (...options: string[]) => {
    const { code, stdout, stderr } = await install('--yes', ...options);
    expect(code, stdout + stderr).toBe(0);
    return stdout;
  };
  /** What changed something, or was said to the container's own programs. */
  const changes = async () =>
    (await machine.calls()).filter((call) => /^(pct (create|start|stop|destroy)|pveam download|inside) /.test(call));

  it('says what it would do, and does nothing', async () => {
    const { code, stdout, stderr } = await install('--dry-run');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('pct create 103 local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst');
    expect(await changes()).toEqual([]);
    expect(await machine.root(everything)).toBe(bare);
  });

  it.each([
    ['--domain', 'mcp.example.org'],
    ['--monitoring', 'yes'],
    ['--network', '172.29'],
    ['--image', '1.0.0'],
  ])('refuses %s, which has no effect there', async (option, value) => {
    const { code, stderr } = await install('--yes', option, value);
    expect([code, stderr]).toEqual([2, expect.stringContaining(`${option} is for Docker Compose`)]);
  });

  it('makes no second container when it was cut off while it made the first', async () => {
    await machine.root(': >/stand-in/die-after-create');
    expect((await install('--yes')).signal).toBe('SIGKILL');
    await changes();
    await must('--no-host');
    expect((await changes()).filter((call) => /^pct create|^pct start/.test(call))).toEqual(['pct start 103']);
    await must('--uninstall');
    await machine.root('rm -r /stand-in/next /stand-in/templates /stand-in/guest /stand-in/programs/[!an]*');
    await changes();
    expect(await machine.root(everything)).toBe(bare);
  });

  it('makes an unprivileged container, installs into it, and makes this host its first one', async () => {
    await must('--mail', 'anna@example.org');
    const [download, create, start, update, packages, first, add, manage, last] = await changes();
    expect(download).toBe('pveam download local debian-13-standard_13.1-2_amd64.tar.zst');
    expect(create).toBe(
      'pct create 103 local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst --hostname proxmox-mcp --unprivileged 1 --features nesting=1 --rootfs local-lvm:8 --memory 2048 --swap 512 --cores 2 --net0 name=eth0,bridge=vmbr0,ip=dhcp --onboot 1 --tags proxmox-mcp-install',
    );
    expect(start).toBe('pct start 103');
    // One of the programs alone doesn't do.
    expect(update).toBe('inside apt-get -q update');
    expect(packages).toContain('inside apt-get -qy --no-install-recommends install nodejs npm sudo openssh-server');
    const options = '--without-docker --no-host --yes --mail anna@example.org';
    expect(first).toBe(`inside /srv/proxmox-mcp/install.sh ${options} --no-start`);
    expect(add).toMatch(/^inside proxmox-mcp host add sandbox --address 192\.0\.2\.1 --fingerprint SHA256:/);
    expect(manage).toBe('inside proxmox-mcp host install sandbox --as root --key /run/proxmox-mcp-install-key --yes');
    expect(last).toBe(`inside /srv/proxmox-mcp/install.sh ${options}`);
    // Root's key counted from that container alone, for half an hour, and is gone.
    const key = await machine.read('/stand-in/key-then');
    expect(key).toMatch(
      /^restrict,from="192\.0\.2\.50",expiry-time="\d{12}" ssh-ed25519 \S+ proxmox-mcp-install\n600\n$/,
    );
    expect(await machine.root('ls /root/.ssh /stand-in/guest/run')).not.toMatch(/key/);
    expect(await machine.root('ls /stand-in/guest/srv/proxmox-mcp')).toContain('install.sh');
  });

  it('updates the same one the next time, and finds its bridge by itself', async () => {
    expect(await must('--bridge', 'vmbr9')).toContain(
      'ssh -N -L 8080:127.0.0.1:8080 -L 8233:127.0.0.1:8233 root@192.0.2.50',
    );
    expect((await changes()).map((call) => call.split(' ').slice(0, 4).join(' '))).toEqual([
      'inside /srv/proxmox-mcp/install.sh --without-docker --no-host',
      'inside proxmox-mcp host install',
      'inside /srv/proxmox-mcp/install.sh --without-docker --no-host',
    ]);
  });

  it('has a command here that is the one in there, with what this host knows', async () => {
    await machine.run(['/usr/local/bin/proxmox-mcp', 'doctor', '--json']);
    // Its environment has a line for each finding.
    expect((await machine.calls()).join('\n')).toMatch(
      /^pct exec 103 -- env PROXMOX_MCP_DEPLOYMENT=container PROXMOX_MCP_HOST_FINDINGS=\n?ok\tContainer\t103 runs\t \/usr\/local\/bin\/proxmox-mcp doctor --json$/m,
    );
    const found = await machine.run(['/usr/local/lib/proxmox-mcp/checks.sh', 'doctor']);
    expect(found.stdout).toContain('ok\tContainer\t103 runs');
    await machine.root('sed -i s/unprivileged:.1/unprivileged:\\ 0/ /stand-in/guests/103/config');
    const privileged = await machine.run(['/usr/local/lib/proxmox-mcp/checks.sh', 'doctor']);
    expect(privileged.stdout).toContain("failed\tContainer\t103 is privileged: its root is this host's");
    await machine.calls();
  });

  it('takes the key away when it is ended', async () => {
    await machine.root(': >/stand-in/end');
    expect((await install('--yes')).signal).toBe('SIGTERM');
    expect(await machine.read('/stand-in/key-then')).toContain('restrict,from=');
    expect(await machine.root('ls /root/.ssh /stand-in/guest/run /tmp')).not.toMatch(/key|^tmp\./m);
    await machine.calls();
  });

  it('takes the key away when the host refuses, and goes on the next time', async () => {
    await machine.root(': >/stand-in/refuse');
    const { code, stderr } = await install('--yes');
    expect([code, stderr]).toEqual([1, expect.stringContaining('this host could not be made one that it manages')]);
    expect(await machine.root('ls /root/.ssh')).toBe('');
    await machine.root('rm /stand-in/refuse');
    expect(await must()).toContain('an earlier run was not finished');
    await machine.calls();
  });

  it('never touches a guest that is not its own', async () => {
    await machine.root(
      'mkdir -p /stand-in/guests/104; echo "hostname: precious" >/stand-in/guests/104/config; echo running >/stand-in/guests/104/status',
    );
    const other = await install('--yes', '--id', '104');
    expect([other.code, other.stderr]).toEqual([
      2,
      expect.stringContaining('guest 104 is not one that install.sh has made'),
    ]);
    await machine.root("sed -i 's/^tags:.*/tags: other/' /stand-in/guests/103/config");
    const lost = await install('--uninstall', '--yes');
    expect([lost.code, lost.stderr]).toEqual([
      2,
      expect.stringContaining('guest 103 is not one that install.sh has made'),
    ]);
    await machine.root("sed -i 's/^tags:.*/tags: prod;proxmox-mcp-install/' /stand-in/guests/103/config");
    expect(await changes()).toEqual([]);
  });

  it('leaves nothing, of this host neither when the container is stopped', async () => {
    await machine.root('echo stopped >/stand-in/guests/103/status');
    await must('--uninstall');
    expect(await changes()).toEqual([
      'pct start 103',
      'inside proxmox-mcp host uninstall sandbox --as root --key /run/proxmox-mcp-install-key --yes',
      'pct stop 103',
      'pct destroy 103 --purge 1',
    ]);
    expect((await machine.root(everything)).replace(/^root\/\.ssh d.*\n/m, '')).toBe(bare);
  });
});
