import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import type { HostConfig, HostLayout } from '../../src/config.ts';
import { createHosts } from '../../src/hosts/create-hosts.ts';
import type { Argv, Executor } from '../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../src/hosts/helper/generate-helper.ts';
import type { Hosts } from '../../src/hosts/host.ts';
import { createLocalExecutor } from '../../src/hosts/local/executor.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { logger } from './activity-logger.ts';
import { runShell } from './shell.ts';

/** Of a Temporal server that isn't there: most looks have nothing to ask it. */
export const nobodysClient = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) });

export interface TestHost {
  readonly folder: string;
  readonly layout: HostLayout;
  readonly hosts: Hosts;
  /** It has none. */
  readonly proxmox: ProxmoxApis;
  readonly client: Client;
  readonly config: { readonly dataDir: string };
  /** Runs an activity as a worker would, in a run of its own. */
  readonly run: <T>(activity: () => Promise<T>) => Promise<T>;
  /** A new run: its jobs are others. */
  readonly newRun: () => void;
  readonly sh: (script: string) => string;
  readonly close: () => Promise<void>;
}

/**
 * This machine as a host, in a folder of its own, with an installation as the guide describes it.
 *
 * @param user runs the helper as this user id, without any privilege, as local execution without sudo does
 */
export function makeHost(changes: Partial<HostLayout> = {}, user?: number, backups = 'backups'): TestHost {
  const folder = mkdtempSync(join(tmpdir(), 'pmx ops-'));
  const at = (path: string) => join(folder, path);
  const layout: HostLayout = {
    ...defaultLayout,
    installation: at('proxmox-mcp'),
    backups: at(backups),
    sudoersFile: at('claude-user'),
    sshKeyFile: at('proxmox-mcp/keys/claude_proxmox_key'),
    helper: at('helper'),
    state: at('state'),
    sudoLog: at('sudo.log'),
    authLog: at('auth.log'),
    containers: [],
    volumes: [],
    backupPaths: [],
    compression: 'gzip',
    hostRoot: at('root'),
    healthUrl: '',
    proxyUrl: '',
    ...changes,
  };
  // The tree is written as root: never outside of the tests' own folders.
  if (!layout.installation.startsWith(join(tmpdir(), 'pmx ops-'))) throw new Error('not a folder of the tests');
  fillInstallation(layout);
  fillRoot(layout);
  writeFileSync(layout.helper, generateHelper(layout));
  chmodSync(layout.helper, 0o755);
  chmodSync(folder, 0o755);
  const config: HostConfig = { name: 'pve1', local: { sudo: false }, layout, timeZone: 'UTC' };
  if (user !== undefined) execFileSync('chown', ['-R', String(user), folder]);
  const hosts = createHosts({ hosts: [config], executorFor: () => executorAs(user) });
  let workflowId = randomUUID();
  return {
    folder,
    layout,
    hosts,
    proxmox: createProxmoxApis({ hosts: [config] }, pino({ level: 'silent' })),
    client: nobodysClient,
    config: { dataDir: at('data') },
    run: async <T>(activity: () => Promise<T>): Promise<T> => {
      let answer: { readonly value: T } | undefined;
      await new MockActivityEnvironment({ workflowExecution: { workflowId, runId: randomUUID() } }, { logger }).run(
        async () => {
          answer = { value: await activity() };
        },
      );
      if (answer === undefined) throw new Error('the activity did not answer');
      return answer.value;
    },
    newRun: () => {
      workflowId = randomUUID();
    },
    sh: (script) => runShell(layout, script),
    close: async () => {
      await hosts.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function executorAs(user: number | undefined): Executor {
  const direct = createLocalExecutor({ name: 'pve1', log: pino({ level: 'silent' }) });
  if (user === undefined) return direct;
  const id = String(user);
  const prefix: Argv = ['/usr/bin/setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--'];
  return { ...direct, exec: (argv, options) => direct.exec([...prefix, ...argv], options) };
}

/** The guide's tree, with names and kinds of files that break careless scripts. */
function fillInstallation(layout: HostLayout): void {
  const root = layout.installation;
  for (const path of ['keys', 'config', 'logs', 'caddy', 'monitoring/grafana', '-rf', 'with space']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  const write = (path: string, text: string | Buffer, mode = 0o644) => {
    writeFileSync(join(root, path), text);
    chmodSync(join(root, path), mode);
  };
  write('.env', 'MCP_PORT=8080\n', 0o600);
  write('docker-compose.yml', 'services: {}\n');
  write(
    'keys/claude_proxmox_key',
    '-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n',
    0o600,
  );
  write('keys/claude_proxmox_key.pub', 'ssh-ed25519 AAAA test\n');
  write('caddy/Caddyfile', ':80\n');
  write('logs/big.log', Buffer.alloc(300_000, 'log line\n'));
  write('logs/empty.log', '');
  write('with space/new\nline', 'x');
  write('with space/back\\slash', 'y');
  write('with space/--checkpoint-action=exec=sh', 'z');
  write('-rf/-rf', 'dash');
  write('run.sh', '#!/bin/sh\n', 0o750);
  symlinkSync('docker-compose.yml', join(root, 'compose'));
  symlinkSync('/nonexistent/target', join(root, 'dangling'));
  chmodSync(root, 0o755);
  writeFileSync(layout.sudoersFile, 'claude-user ALL=(root) NOPASSWD: /usr/bin/true\n');
  chmodSync(layout.sudoersFile, 0o440);
  if (process.getuid?.() === 0) chownSync(join(root, 'logs/empty.log'), 1234, 1234);
}

/** What a plain Debian has of its own: no Proxmox VE. */
function fillRoot({ hostRoot }: HostLayout): void {
  const write = (path: string, text: string, mode = 0o644) => {
    mkdirSync(join(hostRoot, path, '..'), { recursive: true });
    writeFileSync(join(hostRoot, path), text);
    chmodSync(join(hostRoot, path), mode);
  };
  write('etc/hostname', 'pve1\n');
  write('etc/hosts', '127.0.0.1 localhost\n');
  write('etc/network/interfaces', 'auto lo\niface lo inet loopback\n');
  write('etc/fstab', '# none\n');
  write('etc/apt/sources.list', 'deb http://deb.debian.org/debian bookworm main\n');
  write('etc/cron.d/nightly', '0 2 * * * root true\n');
  write('etc/ssh/ssh_host_ed25519_key', 'a host key\n', 0o600);
  write('etc/default/ssh', 'SSHD_OPTS=\n');
  symlinkSync('../run/resolv.conf', join(hostRoot, 'etc/resolv.conf'));
}
