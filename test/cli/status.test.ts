import { expect, it } from 'vitest';
import { statusText } from '../../src/cli/status.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { RunSummary } from '../../src/runs/runs.ts';
import type { ServiceStatus } from '../../src/service/status.ts';
import { configurationFolder } from '../config/folder.ts';

const configured = () =>
  loadConfig({ cwd: configurationFolder({ '.env': 'SSH_HOST=192.0.2.1\nHOST_NAME=pve1\n' }), env: {} }).config;
const part = { name: 'worker', address: 'metrics on 127.0.0.1:9464', state: 'not running' } as const;
const stopped: ServiceStatus = {
  running: false,
  dataDir: '/data',
  parts: [part],
  changedKeys: [],
  reports: 'to nobody',
  canApprove: true,
};
const service = {
  pid: 7,
  started: '1',
  phase: 'running',
  by: 'unit',
  startedAt: '2026-01-01T00:00:00Z',
  version: '1.2.3',
} as const;
const run = (id: string, more: Partial<RunSummary> = {}): RunSummary => ({
  ...{ id, operation: 'back-up', target: 'pve1', state: 'done', dryRun: false, timeZone: 'UTC', url: '' },
  startedAt: '2026-01-01T01:00:00Z',
  ...more,
});

it('of a service that does not run it says how to start it, and nothing else', () => {
  expect(statusText(stopped, configured(), [])).toBe('Proxmox MCP is not running on /data. Start it: npm start');
  const left = { ...stopped, parts: [{ ...part, state: 'not ready', pid: 12 } as const] };
  expect(statusText(left, configured(), [])).toMatch(/^.*has left: worker\. End them: npx proxmox-mcp stop\n/);
});

it('says what runs and why not, when each host was done last, what waits for a person and what is next', () => {
  const text = statusText(
    {
      ...stopped,
      running: true,
      service,
      parts: [{ ...part, state: 'not ready', pid: 9, reason: 'it takes no work yet' }],
      changedKeys: ['BACKUP_DIR'],
      work: {
        hosts: [{ host: 'pve1', timeZone: 'Europe/Berlin', backedUp: run('back-up/pve1/1', { verdict: 'failed' }) }],
        going: [run('check-health/pve1/2')],
        paused: [run('back-up/pve1/3')],
        schedules: [],
        unsent: '1 notice of scheduled runs could not be mailed.',
      },
    },
    configured(),
    ['pve1: back-up tomorrow'],
  );
  expect(text).toMatch(/^Proxmox MCP is running since .*, process 7\.\nStarted by systemd .*, version 1\.2\.3\.\n/);
  expect(text).toContain('(BACKUP_DIR): it runs with the old one.');
  expect(text).toMatch(/worker +not ready .*process 9: it takes no work yet/);
  expect(text).toMatch(/pve1: never checked; backed up 2026-01-01 02:00:00 CET, .* ago \(FAILED\)/);
  expect(text).toMatch(/Running now\n {2}check-health\/pve1\/2, started/);
  expect(text).toMatch(/Waiting for a person\n.*See: npx proxmox-mcp runs get back-up\/pve1\/3/);
  expect(text).toMatch(/Reports\n {2}.*\n {2}1 notice of scheduled runs could not be mailed\.\n/);
  expect(text).toContain('Next\n  pve1: back-up tomorrow');
});

it('of containers it says whether all of them are ready', () => {
  const { config } = loadConfig({
    cwd: configurationFolder({ '.env': 'SSH_HOST=192.0.2.1\nHOST_NAME=pve1\n' }),
    env: { PROXMOX_MCP_DEPLOYMENT: 'compose' },
  });
  const text = (running: boolean, ...states: readonly ('ready' | 'not ready')[]) =>
    statusText({ ...stopped, running, parts: states.map((state) => ({ ...part, state })) }, config, []);
  expect(text(true, 'ready', 'ready')).toMatch(/^Proxmox MCP is running, in containers\.\n/);
  expect(text(true, 'ready', 'not ready')).toMatch(/^Proxmox MCP is running in part, in containers\. See: /);
  expect(text(false, 'not ready', 'not ready')).toMatch(/^Proxmox MCP is not running, in containers\. See: /);
});

it('says that nobody can approve yet, of a service that runs', () => {
  const text = (running: boolean) =>
    statusText({ ...stopped, canApprove: false, ...(running && { running, service }) }, configured(), []);
  expect(text(true)).toContain('Approvals\n  by nobody yet; add yourself: npx proxmox-mcp people add NAME');
  expect(text(false)).not.toContain('Approvals');
});
