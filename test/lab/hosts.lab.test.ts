import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import ssh2 from 'ssh2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docker, run } from '../../lab/engine.ts';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { clean } from '../../lab/hosts/clean.ts';
import { ensureImage } from '../../lab/hosts/image.ts';
import { makeFolder } from '../../lab/hosts/keys.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { owner } from '../../lab/hosts/owner.ts';
import { installPrivileges, type PolicyFacts } from '../../lab/hosts/privileges.ts';
import type { SshConfig } from '../../src/config.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';

/** OpenSSH's client, which knows nothing of this project's own. */
function ssh(to: SshConfig, command: string, options: readonly string[] = []) {
  const strict = [
    '-o',
    'BatchMode=yes',
    '-o',
    'StrictHostKeyChecking=yes',
    '-o',
    `UserKnownHostsFile=${to.knownHostsPath}`,
  ];
  const identity = ['-F', 'none', '-o', 'IdentitiesOnly=yes', '-i', to.keyPath];
  return run(['ssh', ...strict, ...identity, ...options, '-p', String(to.port), `${to.user}@${to.host}`, command]);
}

/** A session that stays: resolves how it ended. */
function session(to: SshConfig, key: string) {
  const client = new ssh2.Client();
  const ended = new Promise<string>((resolve) => {
    client.on('error', (error) => resolve(error.message)).on('close', () => resolve('closed'));
  });
  const ready = new Promise<void>((resolve) => client.on('ready', () => resolve()));
  client.connect({ host: to.host, port: to.port, username: to.user, privateKey: key });
  return { client, ready, ended };
}

const log = (what: string, since: number) =>
  console.log(`${what}: ${((performance.now() - since) / 1000).toFixed(1)} s`);

describe.skipIf(whyNoLab())('a lab host', () => {
  let host: LabHost;
  beforeAll(async () => {
    const since = performance.now();
    host = await startLabHost({ installation: true });
    log('started (image included)', since);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  it('is a Debian with systemd, without failed units', async () => {
    expect(await host.must(['cat', '/proc/1/comm'])).toBe('systemd\n');
    expect((await host.must(['systemctl', 'is-system-running'])).trim()).toBe('running');
    expect(await host.readFile('/etc/os-release')).toContain('VERSION_CODENAME=bookworm');
  });

  it('lets the service and the administrator in by their keys, with its pinned host key', async () => {
    expect(await ssh(host.ssh, 'id -un')).toMatchObject({ exitCode: 0, stdout: 'claude-user\n' });
    expect(await ssh(host.admin, 'sudo -n id -un')).toMatchObject({ exitCode: 0, stdout: 'root\n' });
    expect(await ssh({ ...host.admin, user: 'root' }, 'id -un')).toMatchObject({ exitCode: 0, stdout: 'root\n' });
  });

  it('refuses another key, and sudo to the service as long as nobody grants it', async () => {
    expect((await ssh({ ...host.ssh, keyPath: host.admin.keyPath }, 'id')).stderr).toContain('Permission denied');
    expect((await ssh(host.ssh, 'sudo -n id')).exitCode).not.toBe(0);
  });

  it('is not taken for a host with another key', async () => {
    await host.changeHostKey();
    const after = await ssh(host.ssh, 'true');
    await host.restoreHostKey();
    expect(after.stderr).toContain('REMOTE HOST IDENTIFICATION HAS CHANGED');
    expect((await ssh(host.ssh, 'true')).exitCode).toBe(0);
  });

  it("has the guide's installation, active and answering", async () => {
    expect(await host.must(['systemctl', 'is-active', 'proxmox-mcp'])).toBe('active\n');
    expect(await host.must(['systemctl', 'is-enabled', 'proxmox-mcp'])).toBe('enabled\n');
    expect(await host.must(['curl', '-s', 'http://localhost:8080/health'])).toContain('"status":"healthy"');
    expect(await host.must(['curl', '-s', 'http://localhost:80'])).toContain('Caddy');
    const key = '/opt/proxmox-mcp/keys/claude_proxmox_key';
    expect(await host.must(['stat', '-c', '%U %a', key])).toBe('root 600\n');
    for (const path of [
      '.env',
      'docker-compose.yml',
      'config',
      'logs',
      'caddy/Caddyfile',
      `keys/claude_proxmox_key.pub`,
    ]) {
      expect((await host.exec(['test', '-e', `/opt/proxmox-mcp/${path}`])).exitCode, path).toBe(0);
    }
    expect((await host.exec(['test', '-e', '/var/log/sudo-claude-user.log'])).exitCode).toBe(0);
  });

  it('logs who came in /var/log/auth.log', async () => {
    await ssh(host.ssh, 'true');
    await expect.poll(() => host.readFile('/var/log/auth.log')).toContain('Accepted publickey for claude-user');
  });

  it('takes and gives files, with their owners and modes', async () => {
    const content = `${'ä'.repeat(100_000)}\n`;
    await host.writeFile('/srv/deep/file', content, { mode: 0o640, owner: 'claude-user' });
    expect(await host.must(['stat', '-c', '%U %G %a', '/srv/deep/file'])).toBe('claude-user claude-user 640\n');
    expect(await host.readFile('/srv/deep/file')).toBe(content);
    await expect(host.readFile('/srv/none')).rejects.toThrow('No such file');
    expect(await host.exec(['id', '-un'], { user: 'claude-user' })).toMatchObject({ stdout: 'claude-user\n' });
  });

  it('cuts connections, and takes new ones', async () => {
    const { ready, ended } = session(host.ssh, host.serviceKey);
    await ready;
    expect(await host.cutConnections()).toBe(1);
    expect(await ended).toMatch(/ECONNRESET|closed/);
    expect((await ssh(host.ssh, 'true')).exitCode).toBe(0);
  });

  it('swallows packets until the network is back, without ending what is connected', async () => {
    const { client, ready } = session(host.ssh, host.serviceKey);
    await ready;
    await host.dropNetwork();
    const lost = await ssh(host.ssh, 'true', ['-o', 'ConnectTimeout=1']);
    expect(lost.stderr).toMatch(/timed out/);
    await host.restoreNetwork();
    expect((await ssh(host.ssh, 'true')).exitCode).toBe(0);
    const code = await new Promise((resolve) => client.exec('exit 7', (_, channel) => channel.on('exit', resolve)));
    expect(code).toBe(7);
    client.end();
    await host.dropNetwork(1500);
    expect((await ssh(host.ssh, 'true', ['-o', 'ConnectTimeout=1'])).exitCode).not.toBe(0);
    await sleep(1500);
    expect((await ssh(host.ssh, 'true')).exitCode).toBe(0);
  });

  it('fills the disk of the backups and frees it', async () => {
    await host.fillDisk();
    const full = await host.exec(['cp', '/etc/passwd', '/opt/proxmox-mcp-backups/file']);
    expect(full.stderr).toContain('No space left on device');
    await host.freeDisk();
    await host.must(['cp', '/etc/passwd', '/opt/proxmox-mcp-backups/file']);
    await expect(host.fillDisk('/opt')).rejects.toThrow("the whole machine's");
  });

  it.each(['orderly', 'power-loss'] as const)(
    'reboots (%s): same address and files, another boot',
    async (kind) => {
      await host.must(['sh', '-c', 'echo kept >/opt/proxmox-mcp-backups/kept && echo kept >/opt/kept']);
      const { ready, ended } = session(host.ssh, host.serviceKey);
      await ready;
      const boot = await host.readFile('/proc/sys/kernel/random/boot_id');
      const since = performance.now();
      await host.reboot(kind);
      log(`reboot, ${kind}`, since);
      expect(await ended).toBeDefined();
      expect(await host.readFile('/proc/sys/kernel/random/boot_id')).not.toBe(boot);
      expect((await ssh(host.ssh, 'cat /opt/kept /opt/proxmox-mcp-backups/kept')).stdout).toBe('kept\nkept\n');
      expect(await host.must(['systemctl', 'is-active', 'proxmox-mcp'])).toBe('active\n');
    },
    60_000,
  );

  it('leaves nothing when it is stopped', async () => {
    const other = await startLabHost();
    const volumes = await docker(['volume', 'ls', '--quiet']);
    await other.stop();
    await other.stop();
    expect(await docker(['ps', '--all', '--quiet', '--filter', `name=${other.name}`])).toBe('');
    expect(existsSync(other.folder)).toBe(false);
    expect((await run(['grep', '-c', other.folder, '/proc/self/mounts'])).stdout).toBe('0\n');
    expect(await docker(['volume', 'ls', '--quiet'])).toBe(volumes);
    // The first host is untouched.
    expect((await ssh(host.ssh, 'true')).exitCode).toBe(0);
  });
});

describe.skipIf(whyNoLab())('privileges on a lab host', () => {
  let host: LabHost;
  beforeAll(async () => {
    host = await startLabHost();
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  it('are given by a helper and a policy, which visudo must accept', async () => {
    const helper = '#!/bin/sh\nid -u\n';
    const grant = (to: string) => (facts: PolicyFacts) =>
      `${to} ALL = (root) NOPASSWD: sha256:${facts.helperDigest} ${defaultLayout.helper}\n`;
    await expect(installPrivileges(host, helper, grant('claude-user = oops'))).rejects.toThrow('syntax error');
    expect((await ssh(host.ssh, `sudo -n ${defaultLayout.helper}`)).exitCode).toBe(1);
    const facts = await installPrivileges(host, helper, grant('claude-user'));
    expect(facts.sudoVersion).toMatch(/^1\.9\./);
    expect(await ssh(host.ssh, `sudo -n ${defaultLayout.helper}`)).toMatchObject({ exitCode: 0, stdout: '0\n' });
    expect((await ssh(host.ssh, 'sudo -n id')).exitCode).toBe(1);
  });
});

describe.skipIf(whyNoLab())('what a killed test left behind', () => {
  it(
    'is removed, and what living ones use is not',
    async () => {
      const image = await ensureImage('bookworm');
      const mine = await startLabHost();
      const killed = spawn('sleep', ['600']);
      const left = `proxmox-mcp-lab-${killed.pid}-left`;
      const folder = await makeFolder(left);
      const label = `proxmox-mcp-lab.owner=${owner(killed.pid ?? 0)}`;
      await docker(['run', '--detach', '--name', left, '--label', label, '--entrypoint', '/bin/sleep', image, '600']);
      expect(await clean()).not.toContain(left);
      await new Promise((resolve) => {
        killed.on('exit', resolve);
        killed.kill('SIGKILL');
      });
      expect(await clean()).toEqual(expect.arrayContaining([folder.path, left]));
      expect(existsSync(folder.path)).toBe(false);
      expect((await ssh(mine.ssh, 'true')).exitCode).toBe(0);
      await mine.stop();
    },
    startTimeoutMs,
  );
});

describe.skipIf(whyNoLab())('a lab host with Docker', () => {
  let host: LabHost;
  beforeAll(async () => {
    const since = performance.now();
    host = await startLabHost({ docker: true, installation: true });
    log('started with Docker', since);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  it("runs the guide's containers by Compose, healthy, with their volumes", async () => {
    const names = (await host.must(['docker', 'ps', '--format', '{{.Names}}'])).trim().split('\n').sort();
    expect(names).toEqual(['mcp-reverse-proxy', 'proxmox-mcp-server']);
    expect(await host.must(['curl', '-s', 'http://localhost:8080/health'])).toContain('"status":"healthy"');
    expect(await host.must(['curl', '-s', 'http://localhost:80'])).toContain('Caddy');
    const health = () => host.must(['docker', 'inspect', '--format', '{{.State.Health.Status}}', 'proxmox-mcp-server']);
    await expect.poll(health, { timeout: 15_000 }).toBe('healthy\n');
    expect((await host.must(['docker', 'volume', 'ls', '--quiet'])).split('\n').sort()).toEqual([
      '',
      'caddy_data',
      'mcp_logs',
    ]);
    const tool = ['docker-compose', '-f', '/opt/proxmox-mcp/docker-compose.yml', 'ps', '-q'] as const;
    expect((await host.must(tool)).trim().split('\n')).toHaveLength(2);
  });

  it('runs a container with a volume, as the guide backs volumes up', async () => {
    await host.must(['docker', 'exec', 'proxmox-mcp-server', 'sh', '-c', 'echo hello >/logs/hello']);
    const archive = [
      'docker',
      'run',
      '--rm',
      '-v',
      'mcp_logs:/data',
      '-v',
      '/opt/proxmox-mcp-backups:/backup',
      'busybox',
    ] as const;
    await host.must([...archive, 'tar', 'czf', '/backup/mcp_logs.tar.gz', '-C', '/data', '.']);
    expect(await host.must(['tar', 'tzf', '/opt/proxmox-mcp-backups/mcp_logs.tar.gz'])).toContain('./hello');
  });

  it('has its containers and volumes again after a power loss', async () => {
    await host.reboot('power-loss');
    const names = async () => (await host.must(['docker', 'ps', '--format', '{{.Names}}'])).trim().split('\n').sort();
    await expect.poll(names, { timeout: 15_000 }).toEqual(['mcp-reverse-proxy', 'proxmox-mcp-server']);
    expect(await host.must(['docker', 'exec', 'proxmox-mcp-server', 'cat', '/logs/hello'])).toBe('hello\n');
  });

  it('leaves no volume and no network of the engine when it is stopped', async () => {
    const volumes = (await docker(['volume', 'ls', '--quiet'])).split('\n').length;
    await host.stop();
    expect((await docker(['volume', 'ls', '--quiet'])).split('\n').filter(Boolean)).toHaveLength(volumes - 1);
  });
});

describe.skipIf(whyNoLab())('a lab host of Debian 13', () => {
  let host: LabHost;
  beforeAll(async () => {
    host = await startLabHost({ debian: 'trixie', docker: true, installation: true });
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  it('is as the other one, with the newer sudo, sshd, systemd and Compose', async () => {
    expect(await host.readFile('/etc/os-release')).toContain('VERSION_CODENAME=trixie');
    expect(await ssh(host.ssh, 'id -un')).toMatchObject({ exitCode: 0, stdout: 'claude-user\n' });
    expect(await ssh(host.admin, 'sudo -n id -un')).toMatchObject({ exitCode: 0, stdout: 'root\n' });
    expect(await host.must(['curl', '-s', 'http://localhost:8080/health'])).toContain('"status":"healthy"');
    const { ready, ended } = session(host.ssh, host.serviceKey);
    await ready;
    expect(await host.cutConnections()).toBe(1);
    expect(await ended).toMatch(/ECONNRESET|closed/);
    await host.reboot();
    expect((await ssh(host.ssh, 'true')).exitCode).toBe(0);
  });
});
