import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { type Sshd, startSshd } from '../../lab/sshd.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { startSmtp, type TestSmtp } from '../mail/smtp.ts';
import { ask } from '../mcp/lib/clients.ts';
import { type Collector, startCollector } from '../support/collector.ts';
import { startService, type TestService } from '../support/service.ts';
import { filesBelow, findCanaries, formsOf, watchArguments } from './canaries.ts';
import { localMachine, type Machine, makePlace, type Place } from './places.ts';

const word = () => randomBytes(12).toString('base64url');
const canaries: Record<string, string> = {
  'API token': randomUUID(),
  'SMTP password': `p+${word()}/"\\=?&`,
  'Slack webhook': `https://hooks.slack.com/services/T0/B0/${word()}`,
  'Discord webhook': `https://discord.com/api/webhooks/1/${word()}`,
  'Grafana password': word(),
  "the installation's .env": word(),
  "the collector's key": word(),
};
/** Not a secret: it must be found, or the search finds nothing at all. */
const marker = `visible-${randomBytes(6).toString('hex')}`;

let machine: Machine;
let sshd: Sshd;
let smtp: TestSmtp;
let simulator: ProxmoxSimulator;
let leaky: Server;
let collector: Collector;
let service: TestService;
let failing: Place;
let token: string;
let watch: ReturnType<typeof watchArguments>;
const answers: string[] = [];

beforeAll(async () => {
  machine = localMachine();
  sshd = await startSshd();
  // Three lines from the middle of the private key.
  const key = readFileSync(sshd.ssh.keyPath, 'utf8').split('\n');
  for (const line of [2, 3, 4]) canaries[`SSH key, line ${line}`] = key[line] ?? 'missing';
  simulator = await createProxmoxSimulator();
  collector = await startCollector();
  leaky = createServer((_, response) => response.end(JSON.stringify({ status: 'degraded', told: known() })));
  await new Promise<void>((resolve) => leaky.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(leaky.address() as AddressInfo).port}`;
  let logins = 0;
  smtp = await startSmtp({
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: (auth, _session, callback) => {
      logins += 1;
      // A server that quotes what it was given.
      if (logins <= 2 || auth.password !== canaries['SMTP password'])
        callback(new Error(`Bad password ${auth.password}`));
      else callback(null, { user: auth.username ?? '' });
    },
  });

  const layout = { healthUrl: `${url}/health`, proxyUrl: url };
  const secret = canaries["the installation's .env"] ?? '';
  const places: Record<string, Place> = {};
  for (const name of ['local', 'through-ssh', 'failing'])
    places[name] = await makePlace({ name, machine, secret, layout });
  failing = places.failing as Place;
  for (const { layout: at } of Object.values(places)) {
    const stamp = new Date().toISOString();
    const said = known().replaceAll('\n', ' ');
    const lines = `${stamp} host sudo: claude-user : command not allowed ; COMMAND=/usr/bin/curl ${said}\n${stamp} host sshd: Failed password for claude-user ${said}\n`;
    writeFileSync(at.sudoLog, lines);
    writeFileSync(at.authLog, lines);
  }
  // A program that prints what it should not, for a while and then as its last words.
  writeFileSync(join(machine.root, 'said'), `${known()}\n`);
  const tar = `#!/bin/sh\ncat ${machine.root}/said; sleep 3\ncat ${machine.root}/said >&2\nexit 2\n`;
  writeFileSync(join(machine.root, 'failing/gate/bin/tar.new'), tar, { mode: 0o755 });
  await machine.sh(`mv ${machine.root}/failing/gate/bin/tar.new ${machine.root}/failing/gate/bin/tar`);

  const { SSH_HOST = '', ...ssh } = {
    SSH_HOST: sshd.ssh.host,
    SSH_PORT: String(sshd.ssh.port),
    SSH_USER: sshd.ssh.user,
    SSH_KEY_PATH: sshd.ssh.keyPath,
    SSH_KNOWN_HOSTS: sshd.ssh.knownHostsPath,
  };
  const { ENABLE_LOCAL_EXECUTION: _, LOCAL_SUDO: __, ...entry } = places['through-ssh']?.entry ?? {};
  const api = {
    PROXMOX_HOST: simulator.host,
    PROXMOX_PORT: String(simulator.port),
    PROXMOX_USER: simulator.tokens.full.user,
    PROXMOX_TOKEN_NAME: simulator.tokens.full.name,
    // Refused there: what a wrong token's error says is searched too.
    PROXMOX_TOKEN_VALUE: canaries['API token'] ?? '',
    PROXMOX_FINGERPRINT: simulator.certificateFingerprint,
  };
  service = await startService({
    env: {
      LOG_LEVEL: 'DEBUG',
      SMTP_HOST: 'localhost',
      SMTP_PORT: String(smtp.port),
      SMTP_SECURITY: 'none',
      SMTP_USER: 'proxmox-mcp',
      SMTP_PASSWORD_FILE: './smtp-password',
      MAIL_FROM: 'proxmox-mcp@example.org',
      MAIL_TO: 'admin@example.org',
      SLACK_WEBHOOK_URL: canaries['Slack webhook'] ?? '',
      DISCORD_WEBHOOK_URL: canaries['Discord webhook'] ?? '',
      GRAFANA_PASSWORD: canaries['Grafana password'] ?? '',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${canaries["the collector's key"]}`,
    },
    files: { 'smtp-password': `${canaries['SMTP password']}\n` },
    hosts: {
      local: places.local?.entry ?? {},
      failing: failing.entry,
      'through-ssh': { ...entry, SSH_HOST, ...ssh, ...api },
    },
  });
  const tokens = createTokenStore(join(service.config.dataDir, 'tokens.json'));
  ({ token } = await tokens.create({ name: marker, scope: 'admin' }));
  canaries['MCP token'] = token;
  watch = watchArguments(canaries);
  await service.startWorker();
  await service.startMcp();
}, 600_000);

afterAll(async () => {
  await service?.stop();
  await simulator?.close();
  await smtp?.stop();
  leaky?.close();
  await collector?.close();
  await sshd?.stop();
  await machine?.stop();
});

/** What the service can know to be secret, as a host or a server may quote it: those it was given, keys, its own tokens. */
function known(): string {
  const given = Object.entries(canaries).filter(([name]) => !/^SSH key|installation/.test(name));
  return `${given.map(([, value]) => value).join(' ')} ${readFileSync(sshd.ssh.keyPath, 'utf8')}`;
}

/** Where it was found, when it stands there as it is. */
function around(text: string, value: string): string {
  const at = text.indexOf(value);
  return at < 0 ? 'in another form' : text.slice(Math.max(0, at - 80), at);
}

async function call(method: string, params: Record<string, unknown> = {}) {
  const answer = await ask(`${service.mcpUrl}/api/mcp`, token, method, params);
  answers.push(JSON.stringify(answer.messages), JSON.stringify([...answer.headers]));
  return answer.last;
}

async function tool(name: string, args: Record<string, unknown> = {}) {
  return call('tools/call', { name, arguments: args });
}

async function runOf(name: string, args: Record<string, unknown>): Promise<RunDetails> {
  const started = await tool(name, args);
  const id = started.result?.structuredContent?.run.id as string;
  const run = await service.runs.wait(id, { timeoutMs: 180_000 });
  for (const [reader, more] of [
    ['get_run', {}],
    ['get_run_log', {}],
    ['wait_for_run', { timeoutSeconds: 1 }],
  ] as const) {
    await tool(reader, { id, ...more });
  }
  await call('resources/read', { uri: `proxmox-mcp://runs/${id}/report` });
  answers.push(JSON.stringify(run));
  return run;
}

describe('no secret', () => {
  it('is needed for the search to work: a marker is found in all its forms', () => {
    for (const form of formsOf(marker)) expect(findCanaries(`x${form}y`, { marker })).toEqual(['marker']);
    for (const offset of [0, 1, 2, 3]) {
      const bytes = Buffer.from(`${'-'.repeat(offset)}${marker}-`).toString('base64');
      expect(findCanaries(bytes, { marker }), `offset ${offset}`).toEqual(['marker']);
    }
  });

  it('is left anywhere by runs that succeed, fail, mail and are read', async () => {
    const checks = await Promise.all(
      ['local', 'through-ssh'].map((host) => runOf('check_health', { host, mail: true })),
    );
    expect(checks.map(({ state }) => state)).toEqual(['done', 'done']);
    // The mail server has quoted the password twice by now; from here on it lets us in.
    expect((await runOf('check_health', { host: 'failing', mail: true })).result?.output.mailed).toBe(true);
    const backups = await Promise.all(['local', 'through-ssh', 'failing'].map((host) => runOf('back_up', { host })));
    expect(
      backups.map(({ state }) => state),
      JSON.stringify(backups.map(({ failure }) => failure)),
    ).toEqual(['done', 'done', 'undone']);
    for (const host of ['through-ssh', 'local', 'nowhere']) await tool('get_host', { host });
    for (const name of ['list_hosts', 'list_runs', 'list_schedules']) await tool(name);
    await tool('back_up', { host: 'nowhere' });
    await ask(`${service.mcpUrl}/api/mcp`, `${token}x`, 'tools/list').then(({ messages }) =>
      answers.push(JSON.stringify(messages)),
    );
    for (const method of ['tools/list', 'resources/list', 'resources/templates/list', 'prompts/list'])
      await call(method);
    for (const path of ['/health', '/livez', '/readyz', '/metrics', '/', '/tools']) {
      answers.push(await (await fetch(`${service.mcpUrl}${path}`)).text());
    }
    answers.push(await (await fetch(`http://127.0.0.1:${service.config.worker.metricsPort}/metrics`)).text());
    for (const args of [['config', 'show'], ['doctor'], ['host', 'list'], ['token', 'list'], ['runs', 'list']]) {
      const said = await service.cli(...args).catch((error: { stdout: string; stderr: string }) => error);
      answers.push(said.stdout, said.stderr);
    }
  }, 600_000);

  it('is in an answer', () => {
    expect(answers.some((answer) => answer.includes(marker))).toBe(true);
    const found = answers.flatMap((answer) =>
      findCanaries(answer, canaries).map(
        (name) => `${name}: ${answer.slice(0, 100)} … ${around(answer, canaries[name] ?? '')}`,
      ),
    );
    expect(found).toEqual([]);
  });

  it('is in a mail', () => {
    expect(smtp.mails.length).toBeGreaterThan(0);
    expect(smtp.mails.flatMap(({ raw, text, html }) => findCanaries(`${raw}\n${text}\n${html}`, canaries))).toEqual([]);
  });

  it('is in a trace', () => {
    // The runs that failed, and the calls and commands that quoted what they were given, are in it.
    const names = collector.spans.map(({ name }) => name);
    for (const name of ['tools/call get_host', 'run back-up', 'job collect-backup']) expect(names).toContain(name);
    expect(collector.spans.filter(({ failure }) => failure !== undefined).length).toBeGreaterThan(3);
    expect(collector.headers.at(-1)?.authorization).toBe(`Bearer ${canaries["the collector's key"]}`);
    expect(collector.bodies.flatMap((body) => findCanaries(body, canaries))).toEqual([]);
    expect(collector.bodies.flatMap((body) => findCanaries(body, { marker }))).toEqual([]);
  });

  it('is in the data folder: Temporal’s database, logs, tokens', async () => {
    await service.killWorker('SIGTERM');
    const files = filesBelow(service.config.dataDir);
    const holders = files.filter(({ bytes }) => findCanaries(bytes, { marker }).length > 0).map(({ path }) => path);
    expect(holders.some((path) => path.includes('temporal.sqlite'))).toBe(true);
    const found = files.flatMap(({ path, bytes }) => findCanaries(bytes, canaries).map((name) => `${name} in ${path}`));
    expect(found).toEqual([]);
    expect(files.filter(({ path }) => path.endsWith('.log')).map(({ path }) => path)).not.toEqual([]);
  });

  it('is in the arguments of a process', () => {
    const { found, looks } = watch.stop();
    expect(looks).toBeGreaterThan(20);
    expect(found).toEqual([]);
  });
});
