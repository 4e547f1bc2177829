import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import type { ScheduleSummary } from '../../src/runs/schedules.ts';
import { claudeLines, hasAdministrator, summary } from '../../src/service/summary.ts';
import { configurationFolder } from '../config/folder.ts';
import { cheap, password } from '../people/people.ts';

function said(env: string, schedules: readonly ScheduleSummary[] = []): string {
  const { config } = loadConfig({ cwd: configurationFolder({ '.env': env }), env: {} });
  return summary(config, { schedules });
}

const schedule = {
  id: 'check-health/morning/pve1',
  operation: 'check-health',
  target: 'pve1',
  cron: '0 8 * * *',
  timeZone: 'Europe/Berlin',
  overlap: 'skip',
  paused: false,
  nextRuns: ['2100-01-01T07:00:00Z'],
  lastRuns: [],
} as const satisfies ScheduleSummary;

it('says that real hosts hold something too, which goes before the data that reaches them', () => {
  const real = said('SSH_HOST=192.0.2.1\nHOST_NAME=pve1');
  expect(real).toMatch(/Remove +each host first: npx proxmox-mcp host uninstall pve1; then: rm -rf /);
  expect(said('DEMO=true')).toMatch(/Remove +all that it made: rm -rf /);
});

it("names the hosts, the next run of each operation by the host's clock, and who gets the reports", () => {
  const text = said('SSH_HOST=192.0.2.1\nHOST_NAME=pve1', [
    { ...schedule, id: 'check-health/later/pve1', nextRuns: ['2100-02-01T07:00:00Z'] },
    schedule,
    { ...schedule, id: 'back-up/daily/pve1', operation: 'back-up', paused: true },
  ]);
  expect(text).toMatch(/Hosts +pve1\n/);
  expect(text).toMatch(/Next +pve1: check-health 2100-01-01 08:00:00 CET, in \d+ days \d+ h\n/);
  expect(text).not.toContain('back-up');
  expect(text).toMatch(/Reports +to nobody: no mail server is set up/);
  const mail = 'SMTP_HOST=localhost\nMAIL_FROM=a@example.org\nMAIL_TO=b@example.org\nSMTP_SECURITY=none';
  expect(said(`SSH_HOST=192.0.2.1\n${mail}`)).toMatch(/Reports +mailed to b@example\.org\n/);
});

it('has a line for Claude Code that makes its own token', () => {
  const text = said('SSH_HOST=192.0.2.1');
  expect(text).toContain(
    'claude mcp add --transport http proxmox http://127.0.0.1:8080/api/mcp --header "Authorization: Bearer $(npx proxmox-mcp token create claude-code --scope operate)"',
  );
});

it.each([
  ['MCP_PUBLIC_URL=https://mcp.example.org\nTRUSTED_PROXIES=127.0.0.1', {}, 'npx'],
  ['', { PROXMOX_MCP_DEPLOYMENT: 'systemd' }, 'sudo'],
  ['', { PROXMOX_MCP_DEPLOYMENT: 'compose' }, 'sudo'],
])('where Claude Code is elsewhere, or there is no npx, its line has a placeholder: %j, %j', (env, deployed, by) => {
  const cwd = configurationFolder({ '.env': `SSH_HOST=192.0.2.1\n${env}` });
  const { config } = loadConfig({ cwd, env: deployed });
  const [line, ...rest] = claudeLines(config, undefined, deployed);
  expect(line).toMatch(/\/api\/mcp --header "Authorization: Bearer TOKEN"$/);
  expect(rest).toEqual([
    `TOKEN is what this prints on the service's machine: ${by} proxmox-mcp token create claude-code --scope operate`,
  ]);
});

it('says in one line how somebody becomes able to approve, as long as nobody is', async () => {
  const folder = configurationFolder({ '.env': 'DATA_DIR=./data\nDEMO=true' });
  const { config } = loadConfig({ cwd: folder, env: {} });
  const lines = () =>
    summary(config, { schedules: [], canApprove: hasAdministrator(config) })
      .split('\n')
      .filter((line) => /people/.test(line));
  expect(lines()).toEqual(['  Approvals    by nobody yet; add yourself: npx proxmox-mcp people add NAME']);
  const people = createPeople(peopleFile(config.dataDir), { cost: cheap });
  await people.add({ name: 'anna', role: 'administrator', password, first: true });
  expect(lines()).toEqual([]);
});

it.each([
  ['PUBLISH_ADDRESS=192.168.1.10\nMCP_PUBLIC_URL=https://192.168.1.10', 'https://192.168.1.10', true],
  ['PUBLISH_ADDRESS=0.0.0.0\nMCP_DOMAIN=mcp.lan\nHTTPS_PORT=8443', 'https://mcp.lan:8443', true],
  ['PUBLISH_ADDRESS=0.0.0.0\nMCP_DOMAIN=mcp.example.org\nACME_EMAIL=a@example.org', 'https://mcp.example.org', false],
  // Somebody else's proxy has the certificate.
  ['MCP_PUBLIC_URL=https://mcp.example.org\nTRUSTED_PROXIES=127.0.0.1', 'https://mcp.example.org', false],
  [
    'PUBLISH_ADDRESS=192.168.1.10\nMCP_PUBLIC_URL=https://mcp.example.org\nTRUSTED_PROXIES=192.168.1.9',
    'https://mcp.example.org',
    false,
  ],
  ['MCP_PUBLIC_URL=https://localhost\nTRUSTED_PROXIES=172.20.0.3', 'https://localhost', true],
  ['MCP_PORT=9000', 'http://127.0.0.1:9000', false],
])('with Compose, %j: Claude Code is told %s and, where Caddy has its own CA, how to trust it', (env, url, ownCa) => {
  const cwd = configurationFolder({ '.env': `SSH_HOST=192.0.2.1\n${env}` });
  const { config } = loadConfig({ cwd, env: { PROXMOX_MCP_DEPLOYMENT: 'compose' } });
  const text = summary(config, { schedules: [] });
  expect(text).toContain(`claude mcp add --transport http proxmox ${url}/api/mcp --header`);
  expect(text.includes('NODE_EXTRA_CA_CERTS=')).toBe(ownCa);
  expect(text.includes('mcp-reverse-proxy:/data/caddy/pki/authorities/local/root.crt')).toBe(ownCa);
});
