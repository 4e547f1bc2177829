import { chmodSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectConfig, loadConfig } from '../../src/config/load.ts';
import { describeConfigFinding } from '../../src/config/problems.ts';
import { secretsOf } from '../../src/config/secrets.ts';
import { ServiceError } from '../../src/errors.ts';
import { configurationFolder } from './folder.ts';
import { guide, token } from './guide.ts';

const problemsOf = (files: Record<string, string>, env: Record<string, string> = {}, argv: string[] = []) =>
  inspectConfig({ cwd: configurationFolder(files), env, argv }).problems.map(describeConfigFinding);

describe('loadConfig', () => {
  it("reads the guide's file", () => {
    const cwd = configurationFolder({ '.env': guide });
    const { config, warnings } = loadConfig({ cwd, env: {} });
    const [host, ...others] = config.hosts;
    expect(others).toEqual([]);
    expect(host).toMatchObject({
      name: 'proxmox',
      timeZone: 'UTC',
      ssh: {
        host: '192.168.1.137',
        port: 22,
        user: 'claude-user',
        keyPath: '/app/keys/claude_proxmox_key',
        knownHostsPath: join(cwd, 'data/known_hosts'),
      },
      api: {
        host: '192.168.1.137',
        port: 8006,
        user: 'root@pam',
        tokenName: 'claude-mcp',
        trust: { kind: 'fingerprint', sha256: Array(32).fill('AB').join(':') },
      },
      layout: { installation: '/opt/proxmox-mcp', sshKeyFile: '/opt/proxmox-mcp/keys/claude_proxmox_key' },
    });
    expect(host?.api?.tokenValue.reveal()).toBe(token);
    expect(host?.local).toBeUndefined();
    expect(config).toMatchObject({ demo: false, logLevel: 'info', mcp: { host: '0.0.0.0', port: 8080 } });
    expect(config.dataDir).toBe(join(cwd, 'data'));
    expect(warnings.map(describeConfigFinding).join('\n')).toContain(
      'MCP_HOST (.env:24): other machines reach 0.0.0.0 without TLS',
    );
    expect(warnings.map(({ verdict }) => verdict)).not.toContain('failed');
    expect(JSON.stringify(config)).not.toContain(token);
  });

  it('takes none for what a host does not have', () => {
    const cwd = configurationFolder({
      '.env': 'SSH_HOST=192.168.1.137\nSSH_KEY_PATH=/k\nCONTAINERS=none\nVOLUMES=none\nPROXY_URL=none\n',
    });
    const [host] = inspectConfig({ cwd, env: {} }).config.hosts;
    expect(host?.layout).toMatchObject({ containers: [], volumes: [], proxyUrl: '' });
    expect(host?.layout.healthUrl).toBe('http://localhost:8080/health');
  });

  it('takes folders for the backup that are absolute and real, and never those of the archives themselves', () => {
    const file = (value: string) => ({ '.env': `SSH_HOST=192.168.1.137\nSSH_KEY_PATH=/k\nBACKUP_PATHS=${value}\n` });
    const [host] = inspectConfig({ cwd: configurationFolder(file('/srv/scripts, /usr/local/etc')), env: {} }).config
      .hosts;
    expect(host?.layout).toMatchObject({ backupPaths: ['/srv/scripts', '/usr/local/etc'], hostRoot: '' });
    const hostile = [
      ...[
        'relative',
        '/srv/../etc/shadow',
        '/srv/./x',
        '/',
        '//',
        '/srv/',
        '/srv/$(id)',
        '/srv/`id`',
        '/srv/a;b',
        "/srv/'",
        '/srv/*',
        '~/x',
      ],
      ...['/proc', '/proc/self', '/sys/kernel', '/dev/sda', '/run/secrets', '-rf', '/srv/x\\y'],
    ];
    for (const one of hostile) {
      expect(problemsOf(file(`/srv/good,${one}`)), one).toEqual([
        expect.stringMatching(/^BACKUP_PATHS \(\.env:3\): expected /),
      ]);
    }
    const within = [
      '/opt/proxmox-mcp-backups',
      '/opt/proxmox-mcp-backups/old',
      '/opt',
      '/var/lib',
      '/var/lib/proxmox-mcp/jobs',
    ];
    for (const one of within) {
      expect(problemsOf(file(`/srv/good,${one}`)), one).toEqual([expect.stringContaining('would hold themselves')]);
    }
    expect(problemsOf(file('/opt/proxmox-mcp-backups2'))).toEqual([]);
  });

  it("takes what stays of each kind of backup in Proxmox's own words", () => {
    const file = (lines: string) => ({ '.env': `SSH_HOST=192.168.1.137\nSSH_KEY_PATH=/k\n${lines}\n` });
    const hostOf = (lines: string) => inspectConfig({ cwd: configurationFolder(file(lines)), env: {} }).config.hosts[0];
    expect(hostOf('')?.keep).toEqual({ daily: 'keep-daily=7', full: 'keep-last=8', monthly: 'keep-last=12' });
    expect(hostOf('BACKUP_KEEP_FULL=keep-last=3,keep-weekly=4')?.keep).toMatchObject({
      daily: 'keep-daily=7',
      full: 'keep-last=3,keep-weekly=4',
    });
    expect(problemsOf(file('BACKUP_KEEP_DAILY=7'))).toEqual([expect.stringContaining('Did you mean keep-last=7?')]);
    expect(problemsOf(file('BACKUP_KEEP_DAILY=keep-daily=0'))).toEqual([expect.stringContaining('keep-all=1')]);
    expect(problemsOf(file('BACKUP_KEEP_DAILY=keep-daily=7 keep-last=3'))).toEqual([
      expect.stringMatching(/^BACKUP_KEEP_DAILY \(\.env:3\): expected rules as Proxmox's/),
    ]);
  });

  it('is a demo when nothing is configured, whatever the service keys say', () => {
    const { config } = loadConfig({ cwd: configurationFolder(), env: { MCP_PORT: '9090', DATA_DIR: '/srv/x' } });
    expect(config).toMatchObject({ demo: true, hosts: [], dataDir: '/srv/x', mcp: { port: 9090 } });
    expect(loadConfig({ cwd: configurationFolder(), env: { SSH_HOST: 'pve' } }).config.demo).toBe(false);
    expect(loadConfig({ cwd: configurationFolder({ '.env': 'DEMO=true' }), env: {} }).config.demo).toBe(true);
    expect(problemsOf({ '.env': 'MCP_PORT=9090' })).toEqual([expect.stringContaining('at least one host')]);
    expect(problemsOf({ '.env': 'DEMO=true\nSSH_HOST=pve' })).toEqual([expect.stringContaining('either the demo')]);
  });

  it('lets the environment win over .env and --set over both, and takes empty values where nothing is the default', () => {
    const cwd = configurationFolder({ '.env': 'SSH_HOST=one\nSSH_PORT=2201\nMCP_PORT=1111\nSMTP_USER=' });
    const { config } = loadConfig({
      cwd,
      env: { SSH_PORT: '2202', MCP_PORT: '2222', LOG_LEVEL: '' },
      argv: ['MCP_PORT=3333'],
    });
    expect(config.hosts[0]?.ssh).toMatchObject({ host: 'one', port: 2202, user: 'claude-user' });
    expect(config).toMatchObject({ mcp: { port: 3333 }, logLevel: 'info' });
  });

  it('reports every problem at once, with its line, and throws them as one error', () => {
    const text = 'SSH_HOTS=pve\nSSH_PORT=twenty\n\nnonsense\nMCP_PORT=70000\nMCP_HOST=a b\nENABLE_SSH=perhaps';
    const problems = problemsOf({ '.env': text }, { TEMPORAL_PORT: '-1' });
    expect(problems).toEqual([
      'SSH_HOTS (.env:1): expected a known key. Did you mean SSH_HOST?',
      'SSH_PORT (.env:2): expected a port number from 1 to 65535, found "twenty". Write e.g. SSH_PORT=22.',
      'this line (.env:4): expected KEY=value or # comment. Correct or remove the line.',
      'MCP_PORT (.env:5): expected a port number from 1 to 65535, found "70000". Write e.g. MCP_PORT=8080.',
      'MCP_HOST (.env:6): expected a host name or an IP address, found "a b". Write e.g. MCP_HOST=127.0.0.1.',
      'ENABLE_SSH (.env:7): expected true or false (yes/no, on/off and 1/0 mean the same, in any case), found "perhaps". Write e.g. ENABLE_SSH=true.',
      'TEMPORAL_PORT (the environment): expected a port number from 1 to 65535, found "-1". Write e.g. TEMPORAL_PORT=7233.',
    ]);
    const cwd = configurationFolder({ '.env': text });
    const thrown = (() => {
      try {
        return loadConfig({ cwd, env: {} });
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toBeInstanceOf(ServiceError);
    expect(thrown).toMatchObject({ code: 'configuration', details: { problems: 6 } });
    expect(String(thrown)).toContain('6 problems');
  });

  it('never switches TLS checks off', () => {
    const api = `PROXMOX_HOST=pve\nPROXMOX_USER=root@pam\nPROXMOX_TOKEN_NAME=t\nPROXMOX_TOKEN_VALUE=${token}\n`;
    const [problem, ...others] = problemsOf({ '.env': `${api}PROXMOX_VERIFY_SSL=false` });
    expect(others).toEqual([]);
    expect(problem).toMatch(/PROXMOX_VERIFY_SSL \(\.env:5\).*never switched off.*npx proxmox-mcp doctor/);
    const trust = (more: string) =>
      loadConfig({ cwd: configurationFolder({ '.env': api + more }), env: {} }).config.hosts[0]?.api?.trust;
    expect(trust('')).toEqual({ kind: 'system' });
    expect(trust('PROXMOX_VERIFY_SSL=false\nPROXMOX_CA_FILE=/etc/ca.pem')).toEqual({
      kind: 'ca-file',
      path: '/etc/ca.pem',
    });
  });

  it('says what is missing beside what is there', () => {
    expect(problemsOf({ '.env': 'PROXMOX_HOST=pve' }).map((line) => line.split(' ')[0])).toEqual([
      'PROXMOX_USER',
      'PROXMOX_TOKEN_NAME',
      'PROXMOX_TOKEN_VALUE',
    ]);
    expect(
      problemsOf({ '.env': 'SSH_HOST=pve\nSMTP_HOST=mail\nSMTP_USER=u' }).map((line) => line.split(' ')[0]),
    ).toEqual(['MAIL_TO', 'SMTP_PASSWORD']);
    expect(problemsOf({ '.env': 'SSH_HOST=pve\nMCP_PORT=7233' })).toEqual([
      'MCP_PORT (.env:2): expected a port of its own; TEMPORAL_PORT (the default) is 7233 too. Give one of them another port.',
    ]);
    expect(problemsOf({ '.env': 'SSH_HOST=p\nSMTP_HOST=mail\nMAIL_TO=a@b\nSMTP_SECURITY=none' })).toEqual([
      expect.stringContaining('starttls or tls'),
    ]);
  });

  it('warns of mistyped variables of the environment and ignores those of others', () => {
    const env = { SSH_HOTS: 'pve', SSH_AUTH_SOCK: '/x', SSH_TTY: '/dev/pts/1', PATH: '/bin', MCP_PORTT: '1' };
    const { warnings, config } = loadConfig({ cwd: configurationFolder(), env });
    expect(config.demo).toBe(true);
    expect(warnings.map(describeConfigFinding)).toEqual([
      'SSH_HOTS (the environment): it is not a key of Proxmox MCP, so it was ignored. Did you mean SSH_HOST?',
      'MCP_PORTT (the environment): it is not a key of Proxmox MCP, so it was ignored. Did you mean MCP_PORT?',
    ]);
  });

  it('reads secrets from files of mode 0600 only', () => {
    const base =
      'SSH_HOST=pve\nSMTP_HOST=mail.example.org\nMAIL_TO=a@example.org\nSMTP_USER=u\nSMTP_PASSWORD_FILE=pw\n';
    const cwd = configurationFolder({ '.env': base, pw: 'hunter 2\n' });
    expect(loadConfig({ cwd, env: {} }).config.mail?.password?.reveal()).toBe('hunter 2');
    chmodSync(join(cwd, 'pw'), 0o640);
    const [open] = inspectConfig({ cwd, env: {} }).problems.map(describeConfigFinding);
    expect(open).toMatch(
      /SMTP_PASSWORD_FILE \(\.env:5\): expected a file with mode 0600; .*pw has 0640\. Run: chmod 600/,
    );
    expect(problemsOf({ '.env': base })[0]).toContain("isn't there");
    expect(problemsOf({ '.env': base, pw: '' })[0]).toContain('is empty');
    expect(problemsOf({ '.env': `${base}SMTP_PASSWORD=x1`, pw: 'y' })[0]).toContain('not both');
    // The environment's value takes the place of .env's file.
    const { config } = loadConfig({ cwd, env: { SMTP_PASSWORD: 'from-env' } });
    expect(config.mail?.password?.reveal()).toBe('from-env');
  });

  it.runIf(process.getuid?.() === 0)("reads what root lets the service's group read, as install.sh has it", () => {
    const base =
      'SSH_HOST=pve\nSMTP_HOST=mail.example.org\nMAIL_TO=a@example.org\nSMTP_USER=u\nSMTP_PASSWORD_FILE=pw\n';
    const cwd = configurationFolder({ '.env': base, pw: 'hunter 2\n' });
    chownSync(join(cwd, 'pw'), 0, 65_534);
    chmodSync(join(cwd, 'pw'), 0o640);
    expect(loadConfig({ cwd, env: {} }).config.mail?.password?.reveal()).toBe('hunter 2');
    chmodSync(join(cwd, 'pw'), 0o644);
    expect(inspectConfig({ cwd, env: {} }).problems).toHaveLength(1);
  });

  it('knows of a host whose machine-id is not its own', () => {
    const entries = 'hosts:\n  a:\n    SSH_HOST: a\n    SHARES_MACHINE_ID: true\n  b:\n    SSH_HOST: b\n';
    const { hosts } = loadConfig({ cwd: configurationFolder({ 'hosts.yaml': entries }), env: {} }).config;
    expect(hosts.map(({ sharesMachineId }) => sharesMachineId)).toEqual([true, undefined]);
  });

  it('warns when .env holds a secret and others may read it', () => {
    const cwd = configurationFolder({ '.env': guide });
    chmodSync(join(cwd, '.env'), 0o644);
    const remedies = () =>
      loadConfig({ cwd, env: {} })
        .warnings.map(({ remedy }) => remedy)
        .join();
    expect(remedies()).toContain('chmod 600');
    // What root lets a group read, so that the service can't change it, is as it should be.
    chmodSync(join(cwd, '.env'), 0o640);
    expect(remedies().includes('chmod 600')).toBe(process.getuid?.() !== 0);
  });

  it('reads this machine as a host, alone or beside another', () => {
    const hosts = (text: string) =>
      loadConfig({ cwd: configurationFolder({ '.env': text }), env: {}, isRoot: false }).config.hosts;
    expect(hosts('ENABLE_LOCAL_EXECUTION=yes')).toMatchObject([{ name: 'local', local: { sudo: true } }]);
    const both = hosts('ENABLE_LOCAL_EXECUTION=yes\nSSH_HOST=pve\nHOST_NAME=pve1');
    expect(both.map(({ name }) => name)).toEqual(['pve1', 'local']);
    expect(both[0]?.local).toBeUndefined();
    expect(both[1]?.ssh).toBeUndefined();
  });
});

describe('hosts.yaml', () => {
  const token2 = '99999999-0000-4000-8000-5e1ec7edcafe';
  const yaml = `hosts:
  pve1:
    SSH_HOST: 192.168.1.137
    SSH_PORT: 2222
    CONTAINERS: [one, two]
  pve2:
    PROXMOX_HOST: pve2.example.org
    PROXMOX_TOKEN_VALUE: ${token2}
    TIME_ZONE: Europe/Berlin
  here:
    ENABLE_LOCAL_EXECUTION: true
`;

  it('takes what is shared from .env and nothing that belongs to one machine', () => {
    const env = `SSH_HOST=10.0.0.1\nSSH_USER=ops\nPROXMOX_USER=ops@pve\nPROXMOX_TOKEN_NAME=t\nHOST_NAME=main\n`;
    const cwd = configurationFolder({ '.env': env, 'hosts.yaml': yaml });
    const { hosts } = loadConfig({ cwd, env: {} }).config;
    expect(hosts.map(({ name }) => name)).toEqual(['main', 'pve1', 'pve2', 'here']);
    expect(hosts[1]).toMatchObject({
      ssh: { host: '192.168.1.137', port: 2222, user: 'ops' },
      layout: { containers: ['one', 'two'] },
    });
    expect(hosts[2]).toMatchObject({ api: { host: 'pve2.example.org', user: 'ops@pve' }, timeZone: 'Europe/Berlin' });
    expect(hosts[2]?.ssh).toBeUndefined();
    expect(hosts[3]?.local).toBeDefined();
  });

  it('takes a Proxmox Backup Server by its own keys, alone or beside others, and names what is missing', () => {
    const fingerprint = Array.from({ length: 32 }, () => '0A').join(':');
    const server = `hosts:
  pbs1:
    PBS_HOST: 192.168.1.140
    PBS_USER: mcp@pbs
    PBS_TOKEN_NAME: service
    PBS_TOKEN_VALUE: ${token2}
    PBS_FINGERPRINT: "${fingerprint}"
`;
    const { config } = loadConfig({ cwd: configurationFolder({ 'hosts.yaml': server }), env: {} });
    expect(config.hosts[0]).toMatchObject({
      name: 'pbs1',
      backupServer: {
        product: 'backup-server',
        host: '192.168.1.140',
        port: 8007,
        user: 'mcp@pbs',
        trust: { kind: 'fingerprint', sha256: fingerprint },
      },
    });
    expect(config.hosts[0]?.api).toBeUndefined();
    expect(secretsOf(config).map((secret) => secret.reveal())).toContain(token2);
    const withoutToken = server.replace(/ {4}PBS_TOKEN_(NAME|VALUE).*\n/g, '');
    expect(problemsOf({ 'hosts.yaml': withoutToken }).map((problem) => problem.split('.')[1]?.split(' ')[0])).toEqual([
      'PBS_TOKEN_NAME',
      'PBS_TOKEN_VALUE',
    ]);
  });

  it('names the entry, the line and what was expected', () => {
    const wrong = `hosts:
  pve1:
    SSH_HOST: 192.168.1.1370
    SSH_PROT: 22
    MCP_PORT: 1
    HOST_NAME: x
  Pve_2: {}
  pve3: {}
  pve4:
    SSH_HOST: {a: b}
mcp: 1
`;
    expect(problemsOf({ 'hosts.yaml': wrong })).toEqual([
      'pve1.SSH_HOST (hosts.yaml:3): expected a host name or an IP address, found "192.168.1.1370". Write e.g. SSH_HOST=192.168.1.137.',
      'pve1.SSH_PROT (hosts.yaml:4): expected a known key. Did you mean SSH_PORT?',
      'pve1.MCP_PORT (hosts.yaml:5): expected a key of one host; this one is for the whole service. Move it to .env.',
      "pve1.HOST_NAME (hosts.yaml:6): expected no HOST_NAME in hosts.yaml. Remove it: the entry's own key, pve1, is the host's name.",
      'hosts (hosts.yaml:7): expected 1 to 63 characters of a-z, 0-9 and -, e.g. pve1, found "Pve_2". Give the entry a name like pve1.',
      'pve3.SSH_HOST (hosts.yaml:8): expected a way to reach the host: SSH_HOST, PROXMOX_HOST, PBS_HOST or ENABLE_LOCAL_EXECUTION=true. Write e.g. SSH_HOST=192.168.1.137.',
      'pve4.SSH_HOST (hosts.yaml:10): expected a single value. Write the value after the colon.',
      'mcp (hosts.yaml:11): expected only hosts: at this level. Put the keys of a host below its name, and those of the service into .env.',
    ]);
    expect(problemsOf({ 'hosts.yaml': 'hosts:\n  a: [\n' })[0]).toMatch(/hosts\.yaml:\d: .*|valid YAML/);
    expect(problemsOf({ 'hosts.yaml': '' })).toHaveLength(1);
    expect(problemsOf({ 'hosts.yaml': 'hosts:\n  a:\n    SSH_HOST: x\n    SSH_HOST: y\n' })[0]).toContain(
      'hosts.yaml:4',
    );
  });
});
