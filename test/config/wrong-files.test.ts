import { homedir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { inspectConfig } from '../../src/config/load.ts';
import { describeConfigFinding } from '../../src/config/problems.ts';
import { nearestKey } from '../../src/config/suggest.ts';
import { configurationFolder } from './folder.ts';

const uuid = '3f2a9c1e-0000-4000-8000-5e1ec7edcafe';

const inspect = (files: Record<string, string>, env: Record<string, string> = {}, argv: string[] = []) =>
  inspectConfig({ cwd: configurationFolder(files), env, argv });
const problemsOf = (...args: Parameters<typeof inspect>) => inspect(...args).problems.map(describeConfigFinding);
/** `KEY (file:line)` of each problem. */
const places = (...args: Parameters<typeof inspect>) => inspect(...args).problems.map(({ check }) => check);

describe('.env', () => {
  it('refuses an empty value where something else is the default', () => {
    expect(
      problemsOf({ '.env': 'SSH_HOST=p\nSSH_PORT=\nSMTP_PORT=""\nENABLE_SSH= # yes\nSLACK_WEBHOOK_URL=\n' }),
    ).toEqual([
      expect.stringMatching(/^SSH_PORT \(\.env:2\): expected a port number .* found nothing\. .*the default: 22\.$/),
      expect.stringMatching(/^SMTP_PORT \(\.env:3\)/),
      expect.stringMatching(/^ENABLE_SSH \(\.env:4\)/),
    ]);
    expect(places({ '.env': 'SSH_HOST=p' }, {}, ['SSH_PORT='])).toEqual(['SSH_PORT (--set)']);
    expect(places({ '.env': 'SSH_HOST=p' }, { SSH_PORT: '' })).toEqual([]);
  });

  it('takes blanks around = and every word for yes and no, and keeps the blanks of a password', () => {
    for (const word of ['yes', 'on', '1', 'TRUE', 'y']) {
      const { config, problems } = inspect({ '.env': `ENABLE_LOCAL_EXECUTION = ${word}` }, {}, [' MCP_PORT = 8081 ']);
      expect(problems).toEqual([]);
      expect(config.hosts[0]?.local).toBeDefined();
      expect(config.mcp.port).toBe(8081);
    }
    const mail = 'SSH_HOST=p\nSMTP_HOST=m\nMAIL_TO=a@b\nSMTP_USER=u\n';
    const quoted = inspect({ '.env': `${mail}SMTP_PASSWORD='  pass  '` });
    expect(quoted.config.mail?.password?.reveal()).toBe('  pass  ');
    expect(inspect({ '.env': mail }, { SMTP_PASSWORD: ' x ' }).config.mail?.password?.reveal()).toBe(' x ');
  });

  it('names all missing keys of a group at once, whichever of them was written', () => {
    expect(places({ '.env': `SSH_HOST=p\nPROXMOX_TOKEN_VALUE=${uuid}` })).toEqual([
      'PROXMOX_HOST (.env:2)',
      'PROXMOX_USER (.env:2)',
      'PROXMOX_TOKEN_NAME (.env:2)',
    ]);
    expect(places({ '.env': 'SSH_HOST=p\nPROXMOX_USER=root@pam' })).toEqual([
      'PROXMOX_HOST (.env:2)',
      'PROXMOX_TOKEN_NAME (.env:2)',
      'PROXMOX_TOKEN_VALUE (.env:2)',
    ]);
    expect(places({ '.env': 'SSH_HOST=p\nSMTP_USER=u' })).toEqual([
      'SMTP_HOST (.env:2)',
      'MAIL_TO (.env:2)',
      'SMTP_PASSWORD (.env:2)',
    ]);
    const empty = `SSH_HOST=p\nPROXMOX_HOST=p\nPROXMOX_USER=a@pve\nPROXMOX_TOKEN_NAME=t\nPROXMOX_TOKEN_VALUE=\nSMTP_HOST=m\nMAIL_TO=\n`;
    expect(places({ '.env': empty })).toEqual(['PROXMOX_TOKEN_VALUE (.env:5)', 'MAIL_TO (.env:7)']);
    expect(places({ '.env': 'DEMO=on\nSSH_HOST=p' })).toEqual(['DEMO (.env:1)']);
    // What could not be read is not missing.
    expect(places({ '.env': 'SSH_HOST=p\nSMTP_HOST=m\nMAIL_TO=a@b\nSMTP_USER=u\nSMTP_PASSWORD="a"b' })).toEqual([
      'SMTP_PASSWORD (.env:5)',
    ]);
    expect(places({ '.env': 'MCP_PORT=70000\n' })).toEqual(['MCP_PORT (.env:1)', 'SSH_HOST (.env)']);
  });

  it('refuses a host that nothing reaches', () => {
    expect(problemsOf({ '.env': 'SSH_HOST=p\nENABLE_SSH=off' })).toEqual([
      expect.stringMatching(/^SSH_HOST \(\.env:1\): expected a way to reach proxmox; each one is switched off/),
    ]);
    const { problems } = inspect({ 'hosts.yaml': 'hosts:\n  a:\n    ENABLE_LOCAL_EXECUTION: false\n' });
    expect(problems.map(({ check }) => check)).toEqual(['a.ENABLE_LOCAL_EXECUTION (hosts.yaml:3)']);
  });

  it.each([
    ['MCP_PORT=9464', 'MCP_PORT (.env:2)'],
    ['MCP_PORT=9000\nWORKER_METRICS_PORT=9000', 'WORKER_METRICS_PORT (.env:3)'],
    ['TEMPORAL_UI_PORT=7233', 'TEMPORAL_UI_PORT (.env:2)'],
    ['TEMPORAL_ADDRESS=127.0.0.1:8080', 'TEMPORAL_ADDRESS (.env:2)'],
    ['TEMPORAL_ADDRESS=[::1]:9464', 'TEMPORAL_ADDRESS (.env:2)'],
    ['ENABLE_MONITORING=on\nGRAFANA_PASSWORD=x1\nMCP_PORT=9090', 'Prometheus, by ENABLE_MONITORING (.env:2)'],
    ['SMTP_HOST=localhost\nSMTP_SECURITY=none\nMAIL_TO=a@b\nMCP_PORT=25', 'SMTP_PORT (.env:2)'],
  ])('refuses ports that clash: %j', (lines, place) => {
    expect(places({ '.env': `SSH_HOST=p\n${lines}` })).toEqual([place]);
  });

  it('sees no clash with a server elsewhere, nor with a port that was wrong', () => {
    expect(places({ '.env': 'SSH_HOST=p\nTEMPORAL_ADDRESS=t.example.org:8080' })).toEqual([]);
    expect(places({ '.env': 'SSH_HOST=p\nMCP_PORT=x\nTEMPORAL_PORT=8080' })).toEqual(['MCP_PORT (.env:2)']);
  });

  it.each(['~/.ssh/key', '~', '~me/key', '$HOME/key', '$DATA/key', 'a/$x'])('refuses the path %s', (path) => {
    const secret = 'SMTP_HOST=m\nMAIL_TO=a@b\nSMTP_USER=u\nSMTP_PASSWORD_FILE';
    for (const key of ['SSH_KEY_PATH', 'DATA_DIR', 'SSH_KNOWN_HOSTS', 'TEMPORAL_BINARY', secret]) {
      const { problems } = inspect({ '.env': `SSH_HOST=p\n${key}=${path}` });
      expect(
        problems.map(({ key: name }) => name),
        key,
      ).toEqual([key.split('\n').at(-1)]);
      if (/^(~|\$HOME)\//.test(path)) expect(problems[0]?.remedy).toContain(`${homedir()}/`);
    }
  });

  it('takes every other path that a person can make', () => {
    const { config, problems } = inspect({ '.env': "SSH_HOST=p\nDATA_DIR='./a b#c%20d?é~$ '" });
    expect(problems).toEqual([]);
    expect(config.dataDir).toMatch(/a b#c%20d\?é~\$$/);
  });

  it.each([
    ['europe/berlin', 'Europe/Berlin'],
    ['utc', 'UTC'],
    ['US/Eastern', 'America/New_York'],
    ['Asia/Kolkata', 'Asia/Kolkata'],
  ])('gives the time zone %s the one spelling that all parts know', (text, zone) => {
    expect(inspect({ '.env': `SSH_HOST=p\nTIME_ZONE=${text}` }).config.hosts[0]?.timeZone).toBe(zone);
    const yaml = `hosts:\n  a:\n    SSH_HOST: p\n    TIME_ZONE: ${text}\n`;
    expect(inspect({ 'hosts.yaml': yaml }).config.hosts[0]?.timeZone).toBe(zone);
  });

  it.each([
    ['TIME_ZONE=Europe/Berln', 'Did you mean Europe/Berlin?'],
    ['TIME_ZONE=Berlin', 'Did you mean Europe/Berlin?'],
    ['TIME_ZONE=New York', 'Did you mean America/New_York?'],
    ['PROXMOX_FINGERPRINT=ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89', 'MD5'],
    [`PROXMOX_FINGERPRINT=MD5:${'ab'.repeat(16)}`, 'MD5'],
    [`PROXMOX_FINGERPRINT=${'ab'.repeat(20)}`, 'SHA-1'],
    [`PROXMOX_FINGERPRINT=SHA256:${'A'.repeat(43)}`, 'of an SSH key'],
    ['PROXMOX_FINGERPRINT=abcd', '4 hexadecimal digits'],
    ['PROXMOX_HOST=fe80::1%eth0', 'zone'],
    ['SSH_HOST=fe80::1%eth0', 'zone'],
    ['MCP_HOST=fe80::1%eth0', 'zone'],
    ['SMTP_HOST=[::1]', 'brackets'],
    ['SMTP_HOST=mail.example.org:25', 'port'],
    ['PROXMOX_HOST=https://pve1', 'https://'],
    ['PROXMOX_HOST=pve.1', '192.168.1.137'],
    ['TEMPORAL_ADDRESS=[fe80::1%eth0]:7233', 'temporal.example.org:7233'],
    ['TEMPORAL_ADDRESS=[pve]:7233', 'temporal.example.org:7233'],
    ['PROXMOX_USER=root@pam!mcp', 'before the !'],
    ['PROXMOX_USER=müller@pam', 'root@pam'],
    ['MCP_HOST=*', '127.0.0.1'],
  ])('says of %s what it is', (line, remedy) => {
    const [key] = line.split('=');
    const found = inspect({ '.env': line }).problems.filter((one) => one.key === key && one.source === '.env:1');
    expect(found.map((one) => one.remedy).join()).toContain(remedy);
    expect(JSON.stringify(found)).not.toContain('0.0.0.0');
  });

  it('takes the realm to follow the last @, and a whole UUID only as the secret of an API token', () => {
    const api = (user: string, secret: string) =>
      `PROXMOX_HOST=p\nPROXMOX_USER=${user}\nPROXMOX_TOKEN_NAME=t\nPROXMOX_TOKEN_VALUE=${secret}\n`;
    const { config, problems } = inspect({ '.env': api('first.last@corp.example.org@oidc', uuid) });
    expect(problems).toEqual([]);
    expect(config.hosts[0]?.api?.user).toBe('first.last@corp.example.org@oidc');
    expect(places({ '.env': api('root@pam', uuid.slice(0, -1)) })).toEqual(['PROXMOX_TOKEN_VALUE (.env:4)']);
  });
});

describe('suggestions', () => {
  it.each([
    ['SMTP_PASS', 'x', 'SMTP_PASSWORD'],
    ['SMTP_PWD', 'x', 'SMTP_PASSWORD'],
    ['SMTP_SECRET', 'x', 'SMTP_PASSWORD'],
    ['PROXMOX_TOKEN', 'x', 'PROXMOX_TOKEN_VALUE'],
    ['PROXMOX_API_TOKEN', 'x', 'PROXMOX_TOKEN_VALUE'],
    ['PROXMOX_PASSWORD', 'x', 'PROXMOX_TOKEN_VALUE'],
    ['PROXMOX_TOKEN_NAM', uuid, 'PROXMOX_TOKEN_VALUE'],
    ['SLACK_URL', 'https://hooks.slack.com/services/a/b/c', 'SLACK_WEBHOOK_URL'],
    ['SSH_PASSWORD', 'x', undefined],
    ['MCP_TOKEN', 'x', undefined],
    ['PROXMOX_TOKEN_NAM', 'mcp', 'PROXMOX_TOKEN_NAME'],
    ['PROXMOX_FINGERPRNT', 'ab'.repeat(32), 'PROXMOX_FINGERPRINT'],
    ['SSH_KEY_PAHT', './k', 'SSH_KEY_PATH'],
  ])('%s=%s → %s', (name, value, meant) => {
    expect(nearestKey(name, value)).toBe(meant);
  });
});

describe('hosts.yaml', () => {
  const entry = (...lines: string[]) => ({
    'hosts.yaml': `hosts:\n  pve1:\n${lines.map((one) => `    ${one}\n`).join('')}`,
  });

  it.each([
    ['a list for one value', entry('SSH_HOST: p', 'SSH_PORT: [22]'), 'pve1.SSH_PORT (hosts.yaml:4)'],
    ['a list of lists', entry('SSH_HOST: p', 'CONTAINERS: [[a], b]'), 'pve1.CONTAINERS (hosts.yaml:4)'],
    ['an item that is two', entry('SSH_HOST: p', 'CONTAINERS: ["a,b"]'), 'pve1.CONTAINERS (hosts.yaml:4)'],
    ['no value', entry('SSH_HOST: p', 'SSH_PORT:'), 'pve1.SSH_PORT (hosts.yaml:4)'],
    ['an empty value', entry('SSH_HOST: p', 'SSH_PORT: ""'), 'pve1.SSH_PORT (hosts.yaml:4)'],
    ['a tag on a value', entry('SSH_HOST: !x p'), 'this line (hosts.yaml:3)'],
    ['a known tag', entry('SSH_HOST: !!str p'), 'this line (hosts.yaml:3)'],
    ['a tag on an entry', { 'hosts.yaml': 'hosts:\n  pve1: !host { SSH_HOST: p }\n' }, 'this line (hosts.yaml:2)'],
    ['a tag on all', { 'hosts.yaml': '# c\nhosts: !x\n  pve1: { SSH_HOST: p }\n' }, 'this line (hosts.yaml:3)'],
    [
      'a second document',
      { 'hosts.yaml': 'hosts:\n  a: { SSH_HOST: p }\n---\nhosts: {}\n' },
      'this line (hosts.yaml:3)',
    ],
    ['a doubled key', entry('SSH_HOST: p', 'SSH_PORT: 1', 'SSH_HOST: q'), 'pve1.SSH_HOST (hosts.yaml:5)'],
    ['a host without a name', { 'hosts.yaml': 'hosts:\n  ~: { SSH_HOST: p }\n' }, 'hosts (hosts.yaml:2)'],
    ['a doubled entry', { 'hosts.yaml': 'hosts:\n  a: { SSH_HOST: p }\n  a: { SSH_HOST: q }\n' }, 'a (hosts.yaml:3)'],
    [
      'hosts: twice',
      { 'hosts.yaml': 'hosts:\n  a: { SSH_HOST: p }\nhosts:\n  b: { SSH_HOST: q }\n' },
      'hosts (hosts.yaml:3)',
    ],
    ['a part of the API', entry('SSH_HOST: p', 'PROXMOX_FINGERPRINT: x'), 'pve1.PROXMOX_HOST (hosts.yaml:4)'],
  ])('names the line of %s', (_what, files, place) => {
    expect(places(files)).toContain(place);
    expect(places(files).every((one) => one.endsWith(place.slice(place.indexOf('('))))).toBe(true);
  });

  it('names the first of a doubled key', () => {
    expect(problemsOf(entry('SSH_HOST: p', 'SSH_HOST: q'))).toEqual([
      'pve1.SSH_HOST (hosts.yaml:4): expected it once (hosts.yaml:3 has it too). Remove one of them.',
    ]);
  });

  it.each([
    ['SSH_HOST: pve', 'SSH_HOST: PVE.'],
    ['SSH_HOST: "2001:db8::1"', 'SSH_HOST: "2001:db8:0:0::1"'],
    ['SSH_HOST: localhost', 'SSH_HOST: 127.0.0.1'],
    ['ENABLE_LOCAL_EXECUTION: true', 'ENABLE_LOCAL_EXECUTION: on'],
    [
      'SSH_HOST: pve',
      `{ PROXMOX_HOST: pve, PROXMOX_USER: a@pve, PROXMOX_TOKEN_NAME: t, PROXMOX_TOKEN_VALUE: ${uuid} }`,
    ],
  ])('refuses two names for one host: %s and %s', (one, other) => {
    const second = other.startsWith('{') ? other : `{ ${other} }`;
    expect(problemsOf({ 'hosts.yaml': `hosts:\n  a: { ${one} }\n  b: ${second}\n` })).toEqual([
      expect.stringMatching(
        /^b \(hosts\.yaml:3\): expected one name for one host; a \(hosts\.yaml:2\) is the same one/,
      ),
    ]);
  });

  it('takes two hosts behind one address, on ports of their own, and two installations on one', () => {
    const both = (one: string, other: string) => ({
      'hosts.yaml': `hosts:\n  a: { SSH_HOST: p, ${one} }\n  b: { SSH_HOST: p, ${other} }\n`,
    });
    expect(places(both('STATE_DIR: /var/lib/a', 'STATE_DIR: /var/lib/b'))).toEqual([]);
    expect(
      places({ 'hosts.yaml': 'hosts:\n  a: { SSH_HOST: p, SSH_PORT: 2201 }\n  b: { SSH_HOST: p, SSH_PORT: 2202 }\n' }),
    ).toEqual([]);
    const twice = { '.env': 'HOST_NAME=a\nSSH_HOST=p\n', 'hosts.yaml': 'hosts:\n  a: { SSH_HOST: q }\n' };
    expect(problemsOf(twice)).toEqual([
      expect.stringMatching(/^HOST_NAME \(hosts\.yaml:2\).*two \(\.env:2 has it too\)/),
    ]);
  });
});
