import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDotenv } from '../../src/config/dotenv.ts';
import { renameInDotenv } from '../../src/config/edit.ts';
import { inspectConfig } from '../../src/config/load.ts';
import { moveSecrets } from '../../src/config/move-secrets.ts';
import { configurationFolder } from './folder.ts';

const [token, reading] = ['3f2a9c1e-0000-4000-8000-5e1ec7edcafe', '11111111-2222-4333-8444-555555555555'];
const move = (folder: string) => moveSecrets(folder, { isCompose: false });
const read = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8');

describe('moving secrets', () => {
  const env = `# Mine
SMTP_HOST=smtp.example.org   # the office's
SMTP_USER=me
  export SMTP_PASSWORD="a \\"b\\" # c "   # since May
MAIL_TO=a@example.org

GRAFANA_PASSWORD='x#1'
`;
  const hosts = `# All of them
hosts:
  pve1:
    PROXMOX_HOST: 192.0.2.1 # the first
    PROXMOX_USER: mcp@pve
    PROXMOX_TOKEN_NAME: a
    PROXMOX_TOKEN_VALUE: "${token}" # made in May
    PROXMOX_READ_TOKEN_NAME: b
    PROXMOX_READ_TOKEN_VALUE: ${reading}
    PROXMOX_FINGERPRINT: ${'ab'.repeat(32)}
`;

  it('puts each into a file of its own and names that, and leaves everything else as it is', () => {
    const folder = configurationFolder({ '.env': env, 'hosts.yaml': hosts });
    const before = inspectConfig({ cwd: folder, env: {} });
    expect(move(folder)).toEqual([
      { key: 'SMTP_PASSWORD_FILE', file: 'secrets/smtp-password' },
      { key: 'GRAFANA_PASSWORD_FILE', file: 'secrets/grafana-password' },
      { key: 'pve1.PROXMOX_TOKEN_VALUE_FILE', file: 'keys/pve1-api-token' },
      { key: 'pve1.PROXMOX_READ_TOKEN_VALUE_FILE', file: 'keys/mcp/pve1-api-token' },
    ]);
    expect(read(folder, '.env')).toBe(
      env
        .replace('SMTP_PASSWORD="a \\"b\\" # c "', 'SMTP_PASSWORD_FILE=./secrets/smtp-password')
        .replace("GRAFANA_PASSWORD='x#1'", 'GRAFANA_PASSWORD_FILE=./secrets/grafana-password'),
    );
    expect(read(folder, 'hosts.yaml')).toBe(
      hosts
        .replace(`PROXMOX_TOKEN_VALUE: "${token}"`, 'PROXMOX_TOKEN_VALUE_FILE: ./keys/pve1-api-token')
        .replace(`PROXMOX_READ_TOKEN_VALUE: ${reading}`, 'PROXMOX_READ_TOKEN_VALUE_FILE: ./keys/mcp/pve1-api-token'),
    );
    const after = inspectConfig({ cwd: folder, env: {} });
    expect(after.problems).toEqual([]);
    expect(after.config.mail?.password?.reveal()).toBe('a "b" # c ');
    expect(after.config.mail?.password?.reveal()).toBe(before.config.mail?.password?.reveal());
    expect(after.config.grafanaPassword?.reveal()).toBe('x#1');
    expect(after.config.hosts[0]?.api?.tokenValue.reveal()).toBe(token);
    expect(after.config.hosts[0]?.api?.readToken?.value.reveal()).toBe(reading);
    for (const name of ['secrets/smtp-password', 'keys/mcp/pve1-api-token', '.env', 'hosts.yaml']) {
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    }
    // Again: nothing.
    const [envNow, hostsNow] = [read(folder, '.env'), read(folder, 'hosts.yaml')];
    expect(move(folder)).toEqual([]);
    expect([read(folder, '.env'), read(folder, 'hosts.yaml')]).toEqual([envNow, hostsNow]);
  });

  it('puts what each process needs where each container has it', () => {
    const folder = configurationFolder({
      '.env': `SSH_HOST=192.0.2.1
TEMPORAL_ADDRESS=eu-central-1.aws.api.temporal.io:7233
TEMPORAL_NAMESPACE=proxmox.a1b2c
TEMPORAL_API_KEY=key-of-the-cloud
OTEL_EXPORTER_OTLP_ENDPOINT=https://otlp.example.org
OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20abc
`,
    });
    expect(moveSecrets(folder, { isCompose: true })).toEqual([
      { key: 'TEMPORAL_API_KEY_FILE', file: 'secrets/shared/temporal-api-key' },
      { key: 'OTEL_EXPORTER_OTLP_HEADERS_FILE', file: 'secrets/shared/otel-exporter-otlp-headers' },
    ]);
    if (process.getuid?.() === 0) {
      for (const [name, mode] of [
        ['secrets/shared', 0o750],
        ['secrets/shared/temporal-api-key', 0o640],
      ] as const) {
        const { uid, gid, mode: found } = statSync(join(folder, name));
        expect([uid, gid, found & 0o777], name).toEqual([0, 10_000, mode]);
      }
    }
    for (const reader of ['mcp-server', 'worker', 'ledger'] as const) {
      const { config, problems } = inspectConfig({ cwd: folder, env: {}, reader });
      expect(problems).toEqual([]);
      expect(config.temporal.apiKey?.reveal(), reader).toBe('key-of-the-cloud');
      expect(config.tracing?.headers[0]?.value.reveal(), reader).toBe('Bearer abc');
    }
  });

  it('goes on where it was interrupted, and keeps a link a link', () => {
    const folder = configurationFolder({ real: env });
    symlinkSync('real', join(folder, '.env'));
    mkdirSync(join(folder, 'secrets'));
    writeFileSync(join(folder, 'secrets/smtp-password'), 'a "b" # c \n', { mode: 0o600 });
    expect(move(folder)).toHaveLength(2);
    expect(read(folder, 'real')).toContain('SMTP_PASSWORD_FILE=./secrets/smtp-password   # since May');
    expect(read(folder, 'secrets/smtp-password')).toBe('a "b" # c \n');
  });

  it.each([
    ['another secret in the file', { '.env': env }, 'expected nothing else in secrets/smtp-password'],
    ['the file named as well', { '.env': `${env}SMTP_PASSWORD_FILE=other\n` }, 'not both'],
    ['a line that can’t be read', { '.env': `${env}this is no line\n` }, 'KEY=value'],
    ['a key twice', { '.env': `${env}GRAFANA_PASSWORD=x2\n` }, 'one line for it'],
    ['a placeholder', { '.env': `${env}SLACK_WEBHOOK_URL=changeme\n` }, 'SLACK_WEBHOOK_URL'],
    ['no YAML', { '.env': env, 'hosts.yaml': 'hosts: [\n' }, 'valid YAML'],
  ])('refuses, and changes nothing, where there is %s', (what, files, message) => {
    const folder = configurationFolder(files);
    if (what.startsWith('another')) {
      mkdirSync(join(folder, 'secrets'));
      writeFileSync(join(folder, 'secrets/smtp-password'), 'another\n', { mode: 0o600 });
    }
    expect(() => move(folder)).toThrow(message);
    expect(read(folder, '.env')).toBe(files['.env']);
    expect(existsSync(join(folder, 'secrets/grafana-password'))).toBe(false);
    if (what.startsWith('another')) expect(read(folder, 'secrets/smtp-password')).toBe('another\n');
  });

  it('keeps the comment behind any value, and nothing of the value', () => {
    const value = fc.oneof(
      fc.stringMatching(/^[a-z0-9]{1,9}$/),
      fc.stringMatching(/^"[a-z #']{0,9}"$/),
      fc.stringMatching(/^'[a-z #"]{0,9}'$/),
    );
    fc.assert(
      fc.property(
        value,
        fc.constantFrom('', ' # c', '\t#c', '  # "c"', " # it's"),
        fc.constantFrom('', '\r'),
        (written, comment, end) => {
          const text = `A=1\nSMTP_PASSWORD=${written}${comment}${end}\nB=2`;
          fc.pre(parseDotenv(text, '').problems.length === 0);
          expect(renameInDotenv(text, 'SMTP_PASSWORD', 'SMTP_PASSWORD_FILE', './f')).toBe(
            `A=1\nSMTP_PASSWORD_FILE=./f${comment}${end}\nB=2`,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});
