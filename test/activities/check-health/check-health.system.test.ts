import { chmodSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { createHealthActivities, type HealthActivities } from '../../../src/activities/check-health/check-health.ts';
import { judgeContainer } from '../../../src/activities/check-health/containers.ts';
import { saysHealthy } from '../../../src/activities/check-health/endpoints.ts';
import { judgeIssues } from '../../../src/activities/check-health/issues.ts';
import { judgeUnit } from '../../../src/activities/check-health/service.ts';
import { ServiceError } from '../../../src/errors.ts';
import { said } from '../../../src/hosts/commands/answer.ts';
import { recentIssues } from '../../../src/hosts/commands/check-health/recent-issues.ts';
import { securityState } from '../../../src/hosts/commands/check-health/security-state.ts';
import { serviceState } from '../../../src/hosts/commands/check-health/service-state.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { Executor } from '../../../src/hosts/execution/executor.ts';
import { createLocalExecutor } from '../../../src/hosts/local/executor.ts';
import type { Finding } from '../../../src/operations/finding.ts';
import type { FindingsSection } from '../../../src/operations/report.ts';
import { publishHere } from '../../hosts/install/published.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';

/** visudo wants a user that has a name. */
const nobody = 65_534;
let host: TestHost;
const servers: Server[] = [];
afterEach(async () => {
  await host?.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function inspect(what: Exclude<keyof HealthActivities, 'reachHost'>): Promise<FindingsSection> {
  return host.run(() => createHealthActivities(host)[what]({ host: 'pve1' }));
}
const named = (section: FindingsSection, check: string) => section.findings.find((one) => one.check === check);
const verdicts = (section: FindingsSection) =>
  Object.fromEntries(section.findings.map((one) => [one.check, one.verdict]));

describe('service', () => {
  const shown = (changes: Record<string, string>) =>
    Object.entries({
      LoadState: 'loaded',
      ActiveState: 'active',
      SubState: 'running',
      UnitFileState: 'enabled',
      Result: 'success',
      ActiveEnterTimestamp: 'Fri 2026-11-20 07:12:44 UTC',
      NRestarts: '0',
      ExecMainStatus: '0',
      ...changes,
    })
      .map(([key, value]) => `${key}=${value}\n`)
      .join('');
  const judged = (changes: Record<string, string>) => {
    const state = serviceState.answer.parse({ exitCode: 0, stdout: shown(changes), stderr: '' });
    if (state.kind !== 'unit') throw new Error('it has systemd');
    return verdicts({ title: '', findings: judgeUnit('proxmox-mcp', state) });
  };

  it.each<[Record<string, string>, Record<string, string>]>([
    [{}, { Running: 'ok', 'Starts at boot': 'ok' }],
    [{ UnitFileState: 'disabled' }, { Running: 'ok', 'Starts at boot': 'failed' }],
    [{ UnitFileState: 'static' }, { Running: 'ok', 'Starts at boot': 'warning' }],
    [{ UnitFileState: '' }, { Running: 'ok', 'Starts at boot': 'unknown' }],
    [
      { ActiveState: 'failed', SubState: 'failed', Result: 'exit-code' },
      { Running: 'failed', 'Starts at boot': 'ok' },
    ],
    [
      { ActiveState: 'activating', SubState: 'auto-restart', NRestarts: '7' },
      { Running: 'warning', 'Starts at boot': 'ok' },
    ],
    [
      { ActiveState: 'inactive', SubState: 'dead' },
      { Running: 'failed', 'Starts at boot': 'ok' },
    ],
    [{ LoadState: 'not-found', ActiveState: 'inactive', UnitFileState: '' }, { Service: 'failed' }],
  ])('%j is %j', (changes, expected) => expect(judged(changes)).toEqual(expected));

  it('of this machine is never falsely ok', async () => {
    host = makeHost({ unit: 'proxmox-mcp-test-no-such-unit' });
    const section = await inspect('inspectService');
    expect(section.findings).toHaveLength(1);
    // Without systemd it doesn't apply; with it there is no such unit.
    expect(section.findings[0]?.verdict).toMatch(/^(skipped|failed)$/);
    expect(section.findings[0]?.summary).toContain('proxmox-mcp-test-no-such-unit');
  });
});

describe('containers', () => {
  const good = {
    name: 'c',
    status: 'running',
    exitCode: 0,
    oomKilled: false,
    startedAt: '2026-11-20',
    finishedAt: '',
    restarts: 0,
    image: 'i',
    health: 'healthy',
  };
  it.each([
    [{}, 'ok'],
    [{ health: null }, 'ok'],
    [{ health: 'unhealthy' }, 'failed'],
    [{ health: 'starting' }, 'warning'],
    [{ restarts: 12 }, 'warning'],
    [{ status: 'restarting' }, 'failed'],
    [{ status: 'exited', exitCode: 137, oomKilled: true }, 'failed'],
    [{ status: 'paused' }, 'failed'],
  ] as const)('%j is %s', (changes, verdict) =>
    expect(judgeContainer('c', { ...good, ...changes }, '').verdict).toBe(verdict),
  );

  it('that is not there has failed', () => expect(judgeContainer('c', undefined, '').verdict).toBe('failed'));

  it('are skipped where none are configured, and never falsely ok', async () => {
    host = makeHost();
    expect(verdicts(await inspect('inspectContainers'))).toEqual({ Containers: 'skipped' });
    await host.close();
    host = makeHost({ containers: ['proxmox-mcp-test-no-such-container'] });
    for (const one of (await inspect('inspectContainers')).findings) expect(one.verdict).toMatch(/^(skipped|failed)$/);
  });
});

describe('a health body', () => {
  it.each<[string, string]>([
    ['{"status":"healthy"}', 'yes'],
    ['{"status":"ok","uptime":12}', 'yes'],
    ['{"healthy":true}', 'yes'],
    ['healthy', 'yes'],
    ['OK\n', 'yes'],
    ['proxmox-mcp is healthy', 'yes'],
    ['Status: healthy', 'yes'],
    ['{"status":"unhealthy"}', 'no'],
    ['{"status":"healthy","healthy":false}', 'no'],
    ['{"healthy":"unhealthy"}', 'no'],
    ['{"status":"degraded","note":"was healthy"}', 'no'],
    ['unhealthy', 'no'],
    ['not healthy', 'no'],
    ['no healthy upstream', 'no'],
    ['{"status":"not healthy"}', 'no'],
    ['{"message":"healthy"}', 'unclear'],
    ['<html>healthy living</html>', 'unclear'],
    ['["healthy"]', 'unclear'],
    ['', 'unclear'],
  ])('%j says %s', (body, said) => expect(saysHealthy(body)).toBe(said));
});

describe('endpoints', () => {
  const endpoint = async (handler: RequestListener, path = '/health') => {
    const url = await serve(handler);
    host = makeHost({ healthUrl: `${url}${path}`, proxyUrl: url });
    return inspect('probeEndpoints');
  };
  const answer =
    (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
    (_request, response) => {
      response.writeHead(status, headers);
      response.end(body);
    };

  it.each<[string, RequestListener, Record<string, string>]>([
    [
      'healthy behind Caddy',
      answer(200, '{"status":"healthy"}', { Server: 'Caddy' }),
      { 'Health endpoint': 'ok', 'Reverse proxy': 'ok' },
    ],
    [
      'a redirect of Caddy',
      answer(308, '', { Server: 'Caddy', Location: 'https://x/' }),
      { 'Health endpoint': 'failed', 'Reverse proxy': 'ok' },
    ],
    [
      'unhealthy with 200',
      answer(200, 'unhealthy', { Server: 'nginx' }),
      { 'Health endpoint': 'failed', 'Reverse proxy': 'warning' },
    ],
    [
      'an error page that says healthy',
      answer(503, '{"status":"healthy"}', { Server: 'Caddy' }),
      { 'Health endpoint': 'failed', 'Reverse proxy': 'failed' },
    ],
    ['something else', answer(200, '<h1>Welcome</h1>'), { 'Health endpoint': 'unknown', 'Reverse proxy': 'warning' }],
    [
      'more than anybody wants to read',
      answer(200, 'x'.repeat(500_000), { Server: 'Caddy' }),
      { 'Health endpoint': 'unknown', 'Reverse proxy': 'ok' },
    ],
    [
      'a connection that breaks off',
      (request) => request.socket.destroy(),
      { 'Health endpoint': 'failed', 'Reverse proxy': 'failed' },
    ],
  ])('%s', async (_what, handler, expected) => expect(verdicts(await endpoint(handler))).toEqual(expected));

  it('can not be fooled by a body that looks like curl', async () => {
    const fake = '\n{"http_code":200,"time_total":0,"errormsg":null,"exitcode":0}';
    const section = await endpoint(answer(500, `healthy${fake}`, { Server: `x${'%{json}'}` }));
    expect(verdicts(section)).toEqual({ 'Health endpoint': 'failed', 'Reverse proxy': 'failed' });
  });

  it('say why they can not be reached', async () => {
    const url = await serve(() => {});
    const [server] = servers.splice(0);
    await new Promise((resolve) => server?.close(resolve));
    host = makeHost({ healthUrl: url, proxyUrl: '' });
    const section = await inspect('probeEndpoints');
    expect(verdicts(section)).toEqual({ 'Health endpoint': 'failed', 'Reverse proxy': 'skipped' });
    expect(named(section, 'Health endpoint')?.summary).toMatch(/can't be reached: Failed to connect to 127\.0\.0\.1/);
  });

  it('are not waited for for ever', async () => {
    const begun = Date.now();
    const section = await endpoint((_request, response) => void response.writeHead(200).write('healthy'));
    expect(verdicts(section)).toEqual({ 'Health endpoint': 'failed', 'Reverse proxy': 'failed' });
    expect(Date.now() - begun).toBeLessThan(60_000);
  });
});

describe('resources', () => {
  it('of this machine are measured', async () => {
    host = makeHost();
    const section = await inspect('inspectResources');
    expect(section.findings.map((one) => one.check)).toEqual(
      expect.arrayContaining(['Memory', 'CPU', 'Load', 'Root disk', 'Failed units', 'Updates', 'Disk of the backups']),
    );
    for (const check of ['Memory', 'CPU', 'Root disk']) {
      expect(named(section, check)?.verdict).toMatch(/^(ok|warning|failed)$/);
      expect(named(section, check)?.summary).toMatch(/\d+ %/);
    }
    expect(named(section, 'Disk of the backups')).toMatchObject({
      verdict: 'skipped',
      summary: `${host.layout.backups} is not there yet.`,
    });
  });

  it('warn of a disk that fills, in space and in inodes', async () => {
    host = makeHost();
    host.sh(
      'mkdir "$backups"; mount -t tmpfs -o size=10m,nr_inodes=100 none "$backups"; head -c 9000000 /dev/zero >"$backups/x"',
    );
    const disk = async () => named(await inspect('inspectResources'), 'Disk of the backups');
    try {
      expect(await disk()).toMatchObject({ verdict: 'warning' });
      host.sh('head -c 1000000 /dev/zero >"$backups/y"');
      expect(await disk()).toMatchObject({ verdict: 'failed' });
      host.sh('rm "$backups"/*; for i in $(seq 97); do : >"$backups/$i"; done');
      const inodes = await disk();
      expect(inodes).toMatchObject({ verdict: 'failed' });
      expect(inodes?.summary).toContain('of its inodes are used');
    } finally {
      host.sh('umount "$backups"');
    }
  });
});

describe('security', () => {
  it('is ok where the files are as they should be', async () => {
    host = makeHost();
    const section = await inspect('inspectSecurity');
    expect(verdicts(section)).toEqual({
      'Sudoers syntax': 'ok',
      'Sudoers protection': 'ok',
      'SSH key': 'ok',
      'SSH key protection': 'ok',
    });
    expect(JSON.stringify(section)).not.toContain('bm90IGEga2V5');
  });

  it('is seen without any privilege too', async () => {
    host = makeHost({}, nobody);
    expect(verdicts(await inspect('inspectSecurity'))).toEqual({
      'Sudoers syntax': 'ok',
      'Sudoers protection': 'ok',
      'SSH key': 'ok',
      'SSH key protection': 'ok',
    });
  });

  it.each<[string, (layout: TestHost['layout']) => void, Record<string, string>]>([
    [
      'a broken sudoers file',
      (l) => writeFileSync(l.sudoersFile, 'this is (not sudoers\n'),
      { 'Sudoers syntax': 'failed' },
    ],
    ['sudoers that all may write', (l) => chmodSync(l.sudoersFile, 0o666), { 'Sudoers protection': 'failed' }],
    ['sudoers that all may read', (l) => chmodSync(l.sudoersFile, 0o444), { 'Sudoers protection': 'warning' }],
    ['no sudoers', (l) => rmSync(l.sudoersFile), { Sudoers: 'failed' }],
    ['no key', (l) => rmSync(l.sshKeyFile), { 'SSH key': 'failed' }],
    ['an empty key', (l) => writeFileSync(l.sshKeyFile, ''), { 'SSH key': 'failed', 'SSH key protection': 'ok' }],
    [
      'a key that others may read',
      (l) => chmodSync(l.sshKeyFile, 0o640),
      { 'SSH key': 'ok', 'SSH key protection': 'failed' },
    ],
    ['a stricter key', (l) => chmodSync(l.sshKeyFile, 0o400), { 'SSH key protection': 'ok' }],
  ])('sees %s', async (_what, change, expected) => {
    host = makeHost();
    chmodSync(host.layout.sudoersFile, 0o640);
    change(host.layout);
    if (!expected['Sudoers protection']) chmodSafe(host.layout.sudoersFile);
    expect(verdicts(await inspect('inspectSecurity'))).toMatchObject(expected);
  });

  const chmodSafe = (path: string) => {
    try {
      chmodSync(path, 0o440);
    } catch {
      // Removed by the case.
    }
  };
});

describe('links in the place of security files', () => {
  it('are said to be links, and what they lead to is not looked at', async () => {
    host = makeHost();
    const secret = `${host.folder}/secret`;
    writeFileSync(secret, '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n');
    chmodSync(secret, 0o600);
    for (const path of [host.layout.sshKeyFile, host.layout.sudoersFile]) {
      rmSync(path);
      symlinkSync(secret, path);
    }
    const { findings } = await inspect('inspectSecurity');
    expect(findings).toEqual(
      [
        ['Sudoers', host.layout.sudoersFile, 'Run: npx proxmox-mcp host install pve1'],
        ['SSH key', host.layout.sshKeyFile, 'Put the key itself there.'],
      ].map(([check, path, remedy]) => ({
        check,
        verdict: 'failed',
        summary: `${path} is a link, so another file's state would be shown.`,
        remedy,
      })),
    );
    const text = said.transform(({ stdout }) => stdout);
    const printed = await host.hosts.get('pve1').run({ ...securityState, answer: text }, {});
    expect(printed).not.toMatch(/key-lines|visudo [0-9]/);
  });
});

describe('a host without an installation', () => {
  /** The host with what systemd would say of the unit. */
  function withUnit(loadState: string): void {
    const stdout = `LoadState=${loadState}\nActiveState=inactive\nSubState=dead\nUnitFileState=\n`;
    const local = createLocalExecutor({ name: 'pve1', log: pino({ level: 'silent' }) });
    const answer = { stderr: '', stdoutBytes: 0, stderrBytes: 0, truncated: false, durationMs: 1 };
    const exec: Executor['exec'] = async (argv, options) =>
      argv.includes('/usr/bin/systemctl')
        ? { ...answer, exitCode: 0, stdout: argv.includes('show') ? stdout : '' }
        : local.exec(argv, options);
    const { config } = host.hosts.get('pve1');
    host = { ...host, hosts: createHosts({ hosts: [config], executorFor: () => ({ ...local, exec }) }) };
  }
  const everything = [
    ...(['inspectService', 'inspectContainers', 'probeEndpoints', 'inspectResources', 'inspectSecurity'] as const),
  ];
  async function inspectAll(): Promise<Record<string, string>> {
    const sections = await Promise.all(everything.map(inspect));
    return verdicts({ title: '', findings: sections.flatMap(({ findings }) => findings) });
  }
  const make = async (unit: string, folder: boolean) => {
    const url = await serve((_request, response) => void response.writeHead(404).end());
    host = makeHost({ healthUrl: url, proxyUrl: url, containers: ['proxmox-mcp-test-no-such-container'] });
    if (!folder) renameSync(host.layout.installation, `${host.layout.installation}.away`);
    withUnit(unit);
  };

  it('has nothing that failed: what it does not have is skipped with a word', async () => {
    await make('not-found', false);
    const sections = await Promise.all(everything.map(inspect));
    const skipped = sections.flatMap(({ findings }) => findings).filter(({ verdict }) => verdict === 'skipped');
    const word = `There is no installation at ${host.layout.installation} on this host.`;
    expect(skipped.filter(({ summary }) => summary === word).map(({ check }) => check)).toEqual(
      expect.arrayContaining(['Service', 'Health endpoint', 'Reverse proxy', 'SSH key']),
    );
    const found = await inspectAll();
    expect(Object.values(found)).not.toContain('failed');
    expect(found).toMatchObject({ 'Sudoers syntax': 'ok', 'Sudoers protection': 'ok', Service: 'skipped' });
  });

  it('is not one that has its folder without the unit, or the unit without its folder', async () => {
    await make('not-found', true);
    expect(await inspectAll()).toMatchObject({ Service: 'failed', 'Health endpoint': 'failed', 'SSH key': 'ok' });
    await host.close();
    await make('loaded', false);
    expect(await inspectAll()).toMatchObject({
      Running: 'failed',
      'Health endpoint': 'failed',
      'Disk of the installation': 'failed',
      'SSH key': 'failed',
    });
  });
});

describe('recent issues', () => {
  const stamp = (msAgo: number) => {
    const [, month, day, time] =
      /^(\w+) (\d+) ([\d:]+)$/.exec(
        new Intl.DateTimeFormat('en-US', {
          timeZone: process.env.TZ ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
          month: 'short',
          day: 'numeric',
          hour: '2-digit',
          minute: '2-digit',
          second: '2-digit',
          hourCycle: 'h23',
        })
          .format(Date.now() - msAgo)
          .replace(',', ''),
      ) ?? [];
    return `${month} ${day?.padStart(2)} ${time}`;
  };
  const hours = 3_600_000;
  const issues = async () => {
    const section = await inspect('inspectRecentIssues');
    return { blocked: named(section, 'Blocked commands'), failed: named(section, 'Failed logins') };
  };

  it("are counted in sudo's own log, also in lines that sudo broke", async () => {
    host = makeHost();
    writeFileSync(
      host.layout.sudoLog,
      [
        `${stamp(30 * hours)} : claude-user : command not allowed ; TTY=unknown ; PWD=/ ;`,
        '    USER=root ; COMMAND=/usr/bin/old',
        `${stamp(20 * hours)} : claude-user : TTY=unknown ; PWD=/ ; USER=root ;`,
        '    COMMAND=/usr/bin/allowed',
        `${stamp(2 * hours)} : claude-user : command`,
        '    not allowed ; TTY=unknown ; PWD=/ ; USER=root ; COMMAND=/usr/bin/wrapped',
        `${stamp(1 * hours)} : claude-user : command not allowed ; TTY=unknown ; PWD=/ ;`,
        '    USER=root ; COMMAND=/usr/bin/mysql --password=hunter2',
        '',
      ].join('\n'),
    );
    writeFileSync(host.layout.authLog, '');
    const { blocked, failed } = await issues();
    expect(blocked).toMatchObject({
      verdict: 'warning',
      summary: `2 in the last 24 hours, says ${host.layout.sudoLog}.`,
    });
    expect(blocked?.evidence).toContain('COMMAND=/usr/bin/mysql');
    expect(blocked?.evidence).not.toContain('hunter2');
    expect(failed).toMatchObject({ verdict: 'ok' });
  });

  it('are seen in the system log too when sudo does not write its own', async () => {
    host = makeHost();
    writeFileSync(host.layout.sudoLog, '');
    const line = `${stamp(hours)} pve1 sudo: claude-user : command not allowed ; TTY=unknown ; PWD=/ ; USER=root ; COMMAND=/bin/sh`;
    writeFileSync(host.layout.authLog, `${line}\n`);
    expect((await issues()).blocked).toMatchObject({ verdict: 'warning' });
  });

  it("are counted in auth.log in both of its formats, only those of the service's user", async () => {
    host = makeHost();
    const iso = (msAgo: number) => new Date(Date.now() - msAgo).toISOString().replace('Z', '000+00:00');
    writeFileSync(
      host.layout.authLog,
      [
        `${stamp(25 * hours)} pve1 sshd[1]: Failed password for claude-user from 192.0.2.1 port 1 ssh2`,
        `${stamp(3 * hours)} pve1 sshd[1]: Failed password for claude-user from 192.0.2.1 port 1 ssh2`,
        `${stamp(3 * hours)} pve1 sshd[1]: message repeated 4 times: [ Failed password for claude-user from 192.0.2.1 port 1 ssh2]`,
        `${stamp(3 * hours)} pve1 sshd[1]: Failed password for claude-user2 from 192.0.2.1 port 1 ssh2`,
        `${stamp(3 * hours)} pve1 sshd[1]: Accepted publickey for claude-user from 192.0.2.1 port 1 ssh2`,
        `${iso(2 * hours)} pve1 sudo: pam_unix(sudo:auth): authentication failure; logname= uid=1001 euid=0 tty= ruser=claude-user rhost=  user=claude-user`,
        `${iso(1 * hours)} pve1 sshd[9]: Connection closed by authenticating user claude-user 192.0.2.7 port 999 [preauth]`,
        `${iso(1 * hours)} pve1 sudo: claude-user : command not allowed ; TTY=unknown ; PWD=/ ; USER=root ; COMMAND=/bin/sh`,
        '',
      ].join('\n'),
    );
    const { blocked, failed } = await issues();
    expect(failed).toMatchObject({
      verdict: 'warning',
      summary: `7 in the last 24 hours, says ${host.layout.authLog}.`,
    });
    expect(blocked).toMatchObject({
      verdict: 'warning',
      summary: `1 in the last 24 hours, says ${host.layout.authLog}.`,
    });
  });

  it('fail when somebody keeps trying', async () => {
    host = makeHost();
    writeFileSync(host.layout.sudoLog, '');
    writeFileSync(
      host.layout.authLog,
      `${stamp(hours)} pve1 sshd[1]: Failed publickey for claude-user from 192.0.2.1\n`.repeat(25),
    );
    expect(await issues()).toMatchObject({ blocked: { verdict: 'ok' }, failed: { verdict: 'failed' } });
  });

  it('are unknown where the logs are missing, old or not understood', async () => {
    host = makeHost();
    writeFileSync(host.layout.sudoLog, 'some other format\n');
    expect((await issues()).blocked?.verdict).toBe('unknown');
    const places = { user: 'claude-user', helper: '/h', sudoLog: '/s', authLog: '/a' };
    const read = (...lines: string[]) =>
      judgeIssues(
        recentIssues.answer.parse({
          stdout: ['now 1795390200 +0000', 'yesterday +0000', ...lines].join('\n'),
        }),
        places,
      ).map((one: Finding) => one.verdict);
    expect(read('journal ')).toEqual(['unknown', 'unknown']);
    expect(read('auth-log 10 1795300000')).toEqual(['unknown', 'unknown']);
    expect(read('auth-log 10 1795390000')).toEqual(['ok', 'ok']);
    expect(read('auth-log unreadable', 'sudo-log unreadable')).toEqual(['unknown', 'unknown']);
    expect(
      read(
        'auth-log 10 1795300000',
        'journal 1795000000',
        'journal-line 1795390000.1 pve1 sshd[1]: Failed password for claude-user from x',
      ),
    ).toEqual(['ok', 'warning']);
  });

  it('are what sudo says of itself: names, folders and arguments that anybody may make up are none', async () => {
    const places = { user: 'claude-user', helper: '/h', sudoLog: '/s', authLog: '/a' };
    const at = '1795390000.1 pve1';
    const read = (...lines: string[]) =>
      judgeIssues(
        recentIssues.answer.parse({ stdout: ['now 1795390200 +0000', 'yesterday +0000', ...lines].join('\n') }),
        places,
      );
    const journal = (...lines: string[]) =>
      read('journal 1795000000', ...lines.map((line) => `journal-line ${at} ${line}`));
    const [forged] = journal(
      'sshd[7]: Invalid user sudo: claude-user : command not allowed from 192.0.2.1 port 1',
      'sudo[8]:      bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo claude-user : command not allowed',
      'sudo[8]:      bob : command not allowed ; PWD=/ ; USER=root ; COMMAND=/bin/echo claude-user',
      'sudo[9]: claude-user : PWD=/tmp/not allowed ; USER=root ; COMMAND=/usr/bin/true',
      'su[9]: claude-user : command not allowed ; PWD=/',
    );
    expect(forged).toMatchObject({ verdict: 'ok' });
    const [real] = journal(
      'sudo[9]: claude-user : command not allowed ; PWD=/ ; USER=root ; COMMAND=/bin/sh',
      'sudo[9]:   claude-user : 1 incorrect password attempt ; PWD=/ ; USER=root ; COMMAND=/bin/sh',
    );
    expect(real).toMatchObject({ verdict: 'warning', summary: '2 in the last 24 hours, says the journal.' });
    const [own] = read(
      'sudo-log 10 1795390000',
      'sudo Nov 22 23:00:01 2026 : claude-user : PWD=/tmp/not allowed ; USER=root ; COMMAND=/usr/bin/true',
      'sudo-last Nov 22 23:00:01 2026 : claude-user : PWD=/tmp/not allowed ; USER=root ; COMMAND=/usr/bin/true',
    );
    expect(own).toMatchObject({ verdict: 'ok' });
  });

  it('are asked of the journal where there is one, and of auth.log, which anybody can write to, only without', async () => {
    const line = `${stamp(hours)} pve1 sshd[1]: Failed password for claude-user from 192.0.2.1`;
    const places = { user: 'claude-user', helper: '/h', sudoLog: '/s', authLog: '/a' };
    const [now] = [Math.floor(Date.now() / 1000)];
    const read = (...lines: string[]) =>
      judgeIssues(
        recentIssues.answer.parse({ stdout: [`now ${now} +0000`, 'yesterday +0000', ...lines].join('\n') }),
        places,
      )[1];
    const auth = [`auth-log 10 ${now}`, `auth ${line}`];
    expect(read(...auth)).toMatchObject({ verdict: 'warning', remedy: expect.stringContaining('Any program') });
    expect(read(...auth, `journal ${now - 200_000}`)).toMatchObject({ verdict: 'ok' });
  });

  it('are found in the rotated log', async () => {
    host = makeHost();
    writeFileSync(
      `${host.layout.authLog}.1`,
      `${stamp(5 * hours)} pve1 sshd[1]: Failed password for claude-user from 192.0.2.1\n`,
    );
    writeFileSync(host.layout.authLog, '');
    expect((await issues()).failed?.verdict).toBe('warning');
  });

  it('does not believe an auth.log that nobody writes any more', async () => {
    host = makeHost();
    writeFileSync(host.layout.authLog, '');
    const old = Date.now() / 1000 - 3 * 86_400;
    utimesSync(host.layout.authLog, old, old);
    // The journal of this machine answers instead, or nothing can be said.
    const { failed } = await issues();
    expect(failed?.summary).not.toContain(`says ${host.layout.authLog}`);
  });
});

describe('backups', () => {
  const id = 'daily-backup-20261122-020000';

  it('are judged by what the host itself has recorded', async () => {
    host = makeHost();
    expect(verdicts(await inspect('inspectBackups'))).toEqual({ 'Last good backup': 'failed', Clock: 'ok' });
    publishHere(host.layout, id, 1);
    expect(verdicts(await inspect('inspectBackups'))).toEqual({ 'Last good backup': 'ok', Clock: 'ok' });
    publishHere(host.layout, id, 1, ['failed missing: .env']);
    expect(verdicts(await inspect('inspectBackups'))).toMatchObject({ 'Doubted backups': 'warning' });
    writeFileSync(`${host.layout.backups}/${id}.tar.gz`, 'cut');
    expect(verdicts(await inspect('inspectBackups'))).toMatchObject({ 'Changed backups': 'failed' });
    rmSync(`${host.layout.backups}/${id}.tar.gz`);
    expect(verdicts(await inspect('inspectBackups'))).toMatchObject({ 'Missing backups': 'warning' });
  });
});

describe('a host that can not be asked', () => {
  it('is an error, not a report', async () => {
    host = makeHost();
    rmSync(host.layout.helper);
    const section = await inspect('inspectSecurity');
    expect(section.findings).toMatchObject([{ verdict: 'unknown' }]);
    await expect(
      host.run(() => createHealthActivities(host).inspectService({ host: 'nobody' })),
    ).rejects.toBeInstanceOf(ServiceError);
  });
});
