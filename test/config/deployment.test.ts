import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { changedKeys, configurationInUse } from '../../src/config/in-use.ts';
import type { Reader } from '../../src/config/key.ts';
import { inspectConfig, loadConfig } from '../../src/config/load.ts';
import { describeConfigFinding } from '../../src/config/problems.ts';
import { secretsOf } from '../../src/config/secrets.ts';
import { configurationFolder } from './folder.ts';

const compose = { PROXMOX_MCP_DEPLOYMENT: 'compose' };
const host = 'SSH_HOST=192.0.2.1\n';

function findings(text: string, env: Readonly<Record<string, string>> = compose) {
  const { problems, warnings, config } = inspectConfig({ cwd: configurationFolder({ '.env': host + text }), env });
  return { problems: problems.map(describeConfigFinding), warnings: warnings.map(describeConfigFinding), config };
}

describe('the keys of the deployment', () => {
  it('are all fine by default, and publish on loopback alone', () => {
    const { problems, warnings, config } = findings('');
    expect([problems, warnings]).toEqual([[], []]);
    expect(config.compose).toEqual({
      ownCa: true,
      publishAddress: '127.0.0.1',
      httpPort: 80,
      httpsPort: 443,
      networkPrefix: '172.20',
    });
    expect(findings('', {}).config.compose).toBeUndefined();
  });

  it.each([
    ['MCP_DOMAIN=mcp.example.org\nPUBLISH_ADDRESS=0.0.0.0\n', 'https://mcp.example.org'],
    ['MCP_DOMAIN=mcp.example.org\nPUBLISH_ADDRESS=0.0.0.0\nHTTPS_PORT=8443\n', 'https://mcp.example.org:8443'],
    ['MCP_PUBLIC_URL=https://192.168.1.10\nPUBLISH_ADDRESS=192.168.1.10\n', 'https://192.168.1.10'],
    ['MCP_PORT=9000\n', 'http://127.0.0.1:9000'],
  ])('%j: clients are told %s', (text, url) => {
    const { problems, warnings, config } = findings(text);
    expect([problems, warnings]).toEqual([[], []]);
    expect(config.mcp.publicUrl).toBe(url);
  });

  it.each([
    ['PUBLISH_ADDRESS=0.0.0.0', /^PUBLISH_ADDRESS \(\.env:2\): expected MCP_DOMAIN or MCP_PUBLIC_URL/],
    ['PUBLISH_ADDRESS=mcp.example.org', /expected an IP address/],
    ['MCP_DOMAIN=https://mcp.example.org', /the name of a domain.*Leave out the https/],
    ['MCP_DOMAIN=192.168.1.10', /No CA signs a certificate for a private address/],
    ['MCP_DOMAIN=localhost', /expected the name of a domain/],
    ['ACME_EMAIL=me', /expected a mail address/],
    ['HTTP_PORT=443', /expected a port of its own; HTTPS_PORT/],
    ['HTTPS_PORT=8080', /HTTPS_PORT \(\.env:2\): expected a port of its own; MCP_PORT/],
    ['TEMPORAL_UI_PORT=80', /expected a port of its own; HTTP_PORT/],
    ['ENABLE_MONITORING=y\nGRAFANA_PASSWORD=x1\nMCP_PORT=3000', /Grafana, by ENABLE_MONITORING \(\.env:2\)/],
    ['ENABLE_MONITORING=y\nGRAFANA_PASSWORD=x1\nMCP_PORT=9090', /Prometheus, by ENABLE_MONITORING \(\.env:2\)/],
    ['ENABLE_MONITORING=y\nGRAFANA_PASSWORD=x1\nMCP_PORT=3100', /Loki, by ENABLE_MONITORING \(\.env:2\)/],
    ['ENABLE_MONITORING=y\nGRAFANA_PASSWORD=admin', /^GRAFANA_PASSWORD \(\.env:3\): expected another password/],
    ['NETWORK_PREFIX=172.20.0.0/16', /Write only the first two numbers: 172\.20/],
    ['NETWORK_PREFIX=8.8', /private networks/],
    ['NETWORK_PREFIX=172.32', /private networks/],
    ['TRUSTED_PROXIES=0.0.0.0/0', /let every client say/],
    ['TRUSTED_PROXIES=proxy.example.org', /IP addresses and networks/],
    ['TRUSTED_PROXIES=10.0.0.0/33', /IP addresses and networks/],
    ['TRUSTED_PROXIES=::ffff:10.0.0.0/104', /IP addresses and networks/],
  ])('%j is a problem', (text, message) => {
    expect(findings(text).problems).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    ['PUBLISH_ADDRESS=0.0.0.0\nMCP_PUBLIC_URL=http://192.168.1.10:8080', /without TLS/],
    ['ACME_EMAIL=me@example.org', /no effect without MCP_DOMAIN/],
    ['MCP_DOMAIN=a.example.org\nPUBLISH_ADDRESS=0.0.0.0\nMCP_PUBLIC_URL=https://b.example.org', /told b\.example\.org/],
    ['ACME_EMAIL=me@example.org\nMCP_DOMAIN=a.example.org', /because PUBLISH_ADDRESS is 127\.0\.0\.1/],
    [
      'ACME_EMAIL=me@example.org\nMCP_DOMAIN=a.example.org\nPUBLISH_ADDRESS=0.0.0.0\nHTTP_PORT=81\nHTTPS_PORT=8443',
      /asks at the ports 80 and 443/,
    ],
  ])('%j is doubtful', (text, message) => {
    expect(findings(text).problems).toEqual([]);
    expect(findings(text).warnings).toEqual([expect.stringMatching(message)]);
  });

  it('refuses containers’ networks in which a host is, whichever way it is reached', () => {
    const { problems } = findings('NETWORK_PREFIX=192.168\nHOST_NAME=pve1\n');
    expect(problems).toEqual([]);
    const cwd = configurationFolder({ '.env': 'SSH_HOST=172.20.4.2\nHOST_NAME=pve1\n' });
    const found = inspectConfig({ cwd, env: compose }).problems.map(describeConfigFinding);
    expect(found).toEqual([expect.stringMatching(/^NETWORK_PREFIX \(the default\): expected a network without pve1/)]);
    // Without containers nobody is in the way.
    expect(inspectConfig({ cwd, env: {} }).problems).toEqual([]);
    // A network's gateway is this machine itself.
    const own = configurationFolder({ '.env': 'SSH_HOST=172.20.1.1\nHOST_NAME=this\n' });
    expect(inspectConfig({ cwd: own, env: compose }).problems).toEqual([]);
  });

  it('names both lines of a key that was appended, and what each says', () => {
    expect(findings('ENABLE_MONITORING=false\nGRAFANA_PASSWORD=x1\nENABLE_MONITORING=y\n').problems).toEqual([
      'ENABLE_MONITORING (.env:4): expected one line for it (.env:2 has it too). Remove one of them: .env:2 says "false", .env:4 says "y".',
    ]);
    // Not of a secret.
    expect(findings('GRAFANA_PASSWORD=x1\nGRAFANA_PASSWORD=x2\n').problems).toEqual([
      'GRAFANA_PASSWORD (.env:3): expected one line for it (.env:2 has it too). Remove one of them.',
    ]);
  });

  it('says of each secret that stands open to all containers how it is moved', () => {
    const { warnings } = findings('GRAFANA_PASSWORD=x1-canary\n');
    expect(warnings.filter((one) => one.includes('move-secrets'))).toEqual([
      expect.stringMatching(/^GRAFANA_PASSWORD \(\.env:2\): the secret itself stands here/),
    ]);
    expect(warnings.join('\n')).not.toContain('canary');
    expect(findings('GRAFANA_PASSWORD=x1\n', {}).warnings.join('\n')).not.toContain('move-secrets');
  });
});

const [changing, reading] = ['3f2a9c1e-0000-4000-8000-5e1ec7edcafe', '11111111-2222-4333-8444-555555555555'];
const api = [
  'PROXMOX_HOST=192.0.2.1',
  'PROXMOX_USER=proxmox-mcp@pve',
  'PROXMOX_TOKEN_NAME=mcp-pve1',
  'PROXMOX_TOKEN_VALUE_FILE=changing',
  `PROXMOX_FINGERPRINT=${'ab'.repeat(32)}`,
];
const readingKeys = ['PROXMOX_READ_TOKEN_NAME=mcp-pve1-read', 'PROXMOX_READ_TOKEN_VALUE_FILE=mcp/reading'];
const mail = ['SMTP_HOST=smtp.example.org', 'SMTP_USER=me', 'SMTP_PASSWORD_FILE=password', 'MAIL_TO=a@example.org'];

describe('what a process has of the secrets', () => {
  function folderWith(lines: readonly string[], inHostsFile = false): string {
    const own = (line: string) => /^(PROXMOX_|SSH_HOST)/.test(line);
    const all = ['SSH_HOST=192.0.2.1', ...lines];
    const folder = configurationFolder(
      inHostsFile
        ? {
            '.env': `${all.filter((line) => !own(line)).join('\n')}\n`,
            'hosts.yaml': `hosts:\n  pve1:\n${all
              .filter(own)
              .map((line) => `    ${line.replace('=', ': ')}\n`)
              .join('')}`,
          }
        : { '.env': `${all.join('\n')}\n` },
    );
    mkdirSync(join(folder, 'mcp'));
    for (const [name, text] of [
      ['changing', changing],
      ['mcp/reading', reading],
      ['password', 'mail-secret'],
    ] as const) {
      writeFileSync(join(folder, name), `${text}\n`);
      chmodSync(join(folder, name), 0o600);
    }
    return folder;
  }
  const has = (folder: string, reader?: Reader) => {
    const { config } = loadConfig({ cwd: folder, env: {}, ...(reader && { reader }) });
    return { config, secrets: secretsOf(config).map((secret) => secret.reveal()) };
  };

  it.each([[false], [true]])(
    'the MCP server reads with the reading token, and opens no other file (hosts.yaml: %s)',
    (inHostsFile) => {
      const folder = folderWith([...api, ...readingKeys, ...mail], inHostsFile);
      // Files that it must not open: each would be a problem.
      for (const name of ['changing', 'password']) chmodSync(join(folder, name), 0o644);
      const { config, secrets } = has(folder, 'mcp-server');
      expect(secrets).toEqual([reading]);
      expect(config.hosts[0]?.api).toMatchObject({ tokenName: 'mcp-pve1-read' });
      expect(config.hosts[0]?.api?.readToken).toBeUndefined();
      expect(config.mail).toMatchObject({ to: ['a@example.org'] });
      expect(() => has(folder)).toThrow(/mode 0600/);
      // Nor does whoever looks whether it runs with what is there now.
      const inUse = configurationInUse(loadConfig({ cwd: folder, env: {}, reader: 'mcp-server' }), 'mcp-server');
      expect(Object.keys(inUse.digests).filter((key) => /PASSWORD|TOKEN_VALUE/.test(key))).toEqual([
        `${inHostsFile ? 'pve1.' : ''}PROXMOX_READ_TOKEN_VALUE`,
      ]);
      expect(changedKeys(inUse)).toEqual([]);
    },
  );

  it('a worker that only has the ledger opens none at all', () => {
    const folder = folderWith([...api, ...readingKeys, ...mail, 'WORKER_LEDGER=only'], false);
    for (const name of ['changing', 'mcp/reading', 'password']) chmodSync(join(folder, name), 0o644);
    expect(has(folder, 'worker').secrets).toEqual([]);
    expect(() => has(folder)).toThrow(/mode 0600/);
  });

  it('it keeps none that stands in the configuration itself', () => {
    const folder = folderWith([
      ...api.filter((line) => !line.includes('TOKEN_VALUE')),
      `PROXMOX_TOKEN_VALUE=${changing}`,
      ...readingKeys,
      'GRAFANA_PASSWORD=x1',
    ]);
    expect(has(folder, 'mcp-server').secrets).toEqual([reading]);
    expect(has(folder).secrets).toEqual([changing, reading, 'x1']);
  });

  it('without a reading token all is as it was', () => {
    const folder = folderWith([...api, ...mail]);
    expect(has(folder, 'mcp-server').secrets).toEqual([changing]);
    expect(has(folder, 'mcp-server').config.hosts[0]?.api?.tokenName).toBe('mcp-pve1');
    expect(has(folder, 'worker').secrets).toEqual([changing, 'mail-secret']);
  });

  it('the worker changes with the other one, and takes both out of texts where it may read them', () => {
    const folder = folderWith([...api, ...readingKeys, ...mail]);
    const { config, secrets } = has(folder, 'worker');
    expect(config.hosts[0]?.api?.tokenName).toBe('mcp-pve1');
    expect(secrets).toEqual([changing, reading, 'mail-secret']);
    chmodSync(join(folder, 'mcp/reading'), 0o644);
    expect(has(folder, 'worker').secrets).toEqual([changing, 'mail-secret']);
    chmodSync(join(folder, 'changing'), 0o644);
    expect(() => has(folder, 'worker')).toThrow(/PROXMOX_TOKEN_VALUE_FILE/);
  });

  it.each([
    [['PROXMOX_READ_TOKEN_NAME=read'], /PROXMOX_READ_TOKEN_VALUE .*because PROXMOX_READ_TOKEN_NAME is set/],
    [
      ['PROXMOX_READ_TOKEN_VALUE_FILE=mcp/reading'],
      /PROXMOX_READ_TOKEN_NAME .*because PROXMOX_READ_TOKEN_VALUE is set/,
    ],
    [['PROXMOX_READ_TOKEN_NAME=mcp-pve1', readingKeys[1] ?? ''], /another API token than PROXMOX_TOKEN_NAME/],
  ])('half a reading token is a problem: %j', (lines, message) => {
    expect(() => has(folderWith([...api, ...lines]))).toThrow(message);
  });
});
