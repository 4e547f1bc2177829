import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { makeBare } from '../hosts/install/sample.ts';
import { bareEnvironment } from '../support/built.ts';
import { freePorts } from '../support/free-ports.ts';
import { typeInto } from '../support/pseudo-terminal.ts';
import { type StandIn, standInProxmox, standInPvesh } from './stand-ins/proxmox.ts';

// As a newcomer: a fresh clone, a host that never heard of this service, and nothing but the README's commands in its order. Its
// Proxmox API is the simulated one, which is reached through the host's own port 8006.
const root = join(import.meta.dirname, '../..');
const exampleAddress = '192.168.1.137';
/** What a person answers, by the question. */
const answers = { 'Type yes to pin': 'y\n', 'Type yes: ': 'yes\n' };

/** The commands of "Your first host", with the cloning before them. */
function commandsOf(readme: string): readonly string[] {
  const [, section = ''] = readme.split('\n## Your first host\n');
  const [, block = ''] = section.split('\n```\n');
  return block.trim().split('\n');
}

/** The host's port 8006 leads to the simulated API, as pveproxy listens there. */
async function servedAtPort8006(host: LabHost, { api }: StandIn): Promise<ChildProcess> {
  const there = '127.0.0.1:8007';
  await host.must([
    'systemd-run',
    ...['--quiet', '--unit=api-stand-in', '--socket-property=ListenStream=0.0.0.0:8006'],
    ...['/lib/systemd/systemd-socket-proxyd', there],
  ]);
  const { address, admin } = host;
  const options = ['ExitOnForwardFailure=yes', `UserKnownHostsFile=${admin.knownHostsPath}`, 'BatchMode=yes'];
  return spawn(
    'ssh',
    [
      ...['-N', '-i', admin.keyPath, ...options.flatMap((option) => ['-o', option])],
      ...['-R', `${there}:${api.host}:${api.port}`, `root@${address.host}`],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

describe.skipIf(whyNoLab())('the first hour with a host, by the README alone', () => {
  let host: LabHost;
  let proxmox: StandIn;
  let tunnel: ChildProcess;
  let folder: string;
  let clone: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    proxmox = await standInProxmox(host, 'pve1');
    await standInPvesh(host, proxmox);
    tunnel = await servedAtPort8006(host, proxmox);
    folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-first-hour-'));
    clone = join(folder, 'proxmox-mcp');
    await promisify(execFile)('git', ['clone', '--quiet', '--no-hardlinks', root, clone]);
    // Packages are the same as here, and would be fetched once more; nothing else is taken over.
    cpSync(join(root, 'node_modules'), join(clone, 'node_modules'), { recursive: true, verbatimSymlinks: true });
    utimesSync(join(clone, 'package-lock.json'), 0, 0);
    // `ssh root@host` of this person works without a word.
    const home = join(folder, 'home');
    mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 });
    cpSync(host.admin.keyPath, join(home, '.ssh/id_ed25519'));
    const [temporal, ui, mcp, metrics] = (await freePorts(4)).map(String);
    env = {
      ...(bareEnvironment() as Record<string, string>),
      HOME: home,
      XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
      TEMPORAL_PORT: temporal ?? '',
      TEMPORAL_UI_PORT: ui ?? '',
      MCP_PORT: mcp ?? '',
      WORKER_METRICS_PORT: metrics ?? '',
    };
  }, startTimeoutMs);
  afterAll(async () => {
    if (clone !== undefined) await type('npx proxmox-mcp stop');
    tunnel?.kill();
    await Promise.all([proxmox?.api.close(), host?.stop()]);
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }, 120_000);

  const type = (command: string) =>
    typeInto('/bin/sh', ['-c', `cd '${clone}' && ${command}`], answers, env).then(({ code, screen }) => ({
      code,
      screen: screen.replaceAll('\r', ''),
    }));

  it('ends with a report, and with a backup that is verified, listed and opened by tar alone', {
    timeout: 600_000,
  }, async () => {
    const commands = commandsOf(readFileSync(join(clone, 'README.md'), 'utf8'));
    expect(commands.length).toBeLessThanOrEqual(7);
    const screens = new Map<string, string>();
    for (const command of commands) {
      const typed = command.replace(exampleAddress, host.address.host);
      const { code, screen } = await type(typed);
      expect(code, `${typed}\n${screen}`).toBe(0);
      screens.set(
        command
          .replace(/^npx proxmox-mcp /, '')
          .split(' ')
          .slice(0, 2)
          .join(' '),
        screen,
      );
      // Nothing says that what was confirmed is not so, and each next step is one of the README's.
      expect(screen, typed).not.toMatch(/differs|There is no installation at|isn't what/i);
    }
    expect(screens.get('host add')).toContain('npx proxmox-mcp host install pve1');
    expect(screens.get('host install')).toContain('The Proxmox API of pve1 accepts the token.');
    expect(screens.get('host install')).not.toContain(proxmox.secret);
    expect(screens.get('host install')).toContain('npm start');
    expect(screens.get('npm start')).toMatch(/pve1/);
    const report = screens.get('check-health --host') ?? '';
    expect(report).toMatch(/ok +Proxmox API: It answers \(Proxmox VE 9/);
    expect(report).toMatch(/ok +Backup of VM 100 \(files\): .* in local/);
    // The machine below the container is whatever it is; of the host itself nothing is wrong.
    const red = report.match(/^ +(FAILED|UNKNOWN) .*$/gm) ?? [];
    expect(red.filter((line) => !/Memory|Swap|CPU|Load|[Dd]isk|Updates|Failed units/.test(line))).toEqual([]);
    const listed = screens.get('list-backups --host') ?? '';
    expect(listed).toMatch(/verified/);
    const [id = 'none'] = /daily-backup-\d{8}-\d{6}/.exec(listed) ?? [];
    const archive = `/opt/proxmox-mcp-backups/${id}.tar.gz`;
    await host.must(['sh', '-euc', `mkdir /tmp/back && tar -xzf ${archive} -C /tmp/back`]);
    for (const file of ['/etc/fstab', '/etc/ssh/sshd_config', '/etc/hostname']) {
      expect(await host.readFile(`/tmp/back/host${file}`), file).toBe(await host.readFile(file));
    }
  });

  it('and from then on the service says how it is, and keeps out what it does not know', {
    timeout: 120_000,
  }, async () => {
    const status = await type('npx proxmox-mcp status');
    expect(status.code, status.screen).toBe(0);
    expect(status.screen).toMatch(/is running since/);
    expect(status.screen).toMatch(/pve1/);
    const runs = await type('npx proxmox-mcp runs list');
    expect(runs.screen).toMatch(/done +ok +cli:.* back-up\/pve1\//);
    const doctor = await type('npx proxmox-mcp doctor');
    expect(doctor.screen, doctor.screen).not.toMatch(/^ *FAILED/m);
    expect(doctor.screen).toMatch(/ok +pve1: API token/);
  });
});
