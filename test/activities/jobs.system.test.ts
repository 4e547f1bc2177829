import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHealthActivities } from '../../src/activities/check-health/check-health.ts';
import { freeBackupId } from '../../src/operations/backup-id.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { makeHost, type TestHost } from '../support/local-host.ts';
import { type StandIns, standIns } from '../support/stand-ins.ts';
import { useTemporal } from '../support/temporal.ts';

// What the morning report says of jobs, with a real Temporal server and the real helper.
const temporal = useTemporal();
let host: TestHost;
let programs: StandIns;
/** A file for each job that copies. */
let copying: string;

beforeAll(() => {
  host = makeHost();
  programs = standIns(host);
  copying = mkdtempSync(join(tmpdir(), 'pmx-copying-'));
});
afterAll(async () => {
  for (const job of (await host.hosts.get('pve1').jobs()).jobs) await host.hosts.get('pve1').cancelJob(job.id);
  await host.close();
  programs.remove();
  rmSync(copying, { recursive: true, force: true });
});

async function ofJobs(): Promise<Finding[]> {
  const { findings } = await host.run(() =>
    createHealthActivities({ ...host, client: temporal.client }).inspectRecentIssues({ host: 'pve1' }),
  );
  return findings.filter(({ check }) => /jobs?$/i.test(check));
}

/** A run that nobody works on, and so stays open. */
const open = (workflowId: string) =>
  temporal.client.workflow.start('nobody', { workflowId, taskQueue: 'nobody', args: [] });

let count = 0;
/**
 * A backup's job that is at work until it is stopped: what it copies never ends. It is waited for until it copies, because
 * without the fence the next one would take away what it is just making.
 */
async function startJob(run: string): Promise<string> {
  count += 1;
  const id = `job-${count}`;
  const backup = freeBackupId('daily', Date.now() + count * 1000, []);
  execFileSync(host.layout.helper, ['job-start', id, run, 'collect-backup', '1', backup]);
  await expect.poll(() => readdirSync(copying).length, { timeout: 30_000 }).toBe(count);
  return id;
}

it('are fine while there is none, and nobody asks Temporal', async () => {
  expect(await ofJobs()).toEqual([{ check: 'Jobs', verdict: 'ok', summary: 'No job is at work.' }]);
  const without = createHealthActivities(host);
  const { findings } = await host.run(() => without.inspectRecentIssues({ host: 'pve1' }));
  expect(findings.find(({ check }) => check === 'Jobs')?.verdict).toBe('ok');
});

it('are nobody’s business while their runs go on, and are reported with what to do when those have ended', async () => {
  programs.put('cp', `: >${copying}/$$\nexec sleep 600`);
  const [going, terminated] = ['back-up/pve1/going', 'back-up/pve1/daily-2026-11-22T02:00:00Z'];
  await open(going);
  await open(terminated);
  const ids: string[] = [];
  for (const run of [going, terminated, 'back-up/pve1/unheard-of', '-']) ids.push(await startJob(run));
  const listed = await host.hosts.get('pve1').jobs();
  expect(listed.jobs.map(({ state }) => state)).toEqual(['running', 'running', 'running', 'running']);

  await temporal.client.workflow.getHandle(terminated).terminate('test');
  const found = await ofJobs();
  expect(found).toHaveLength(2);
  for (const [index, run] of [terminated, 'back-up/pve1/unheard-of'].entries()) {
    expect(found[index]).toMatchObject({ check: 'Abandoned job', verdict: 'warning' });
    expect(found[index]?.summary).toMatch(
      new RegExp(`^collect-backup is at work since \\d{4}-\\S+Z for the run ${run},`),
    );
    expect(found[index]?.remedy).toBe(`Stop it with: npx proxmox-mcp host jobs pve1 --cancel ${ids[index + 1]}`);
  }

  for (const id of ids.slice(1, 3)) expect(await host.hosts.get('pve1').cancelJob(id)).toMatchObject({ left: [] });
  expect(await ofJobs()).toEqual([
    { check: 'Jobs', verdict: 'ok', summary: 'Every job that is at work has a run that goes on.' },
  ]);
  await temporal.client.workflow.getHandle(going).terminate('test');
  expect(await ofJobs()).toMatchObject([{ check: 'Abandoned job' }]);
  for (const id of [ids[0], ids[3]]) await host.hosts.get('pve1').cancelJob(id ?? '');
  expect(await ofJobs()).toMatchObject([{ check: 'Jobs', verdict: 'ok' }]);
}, 120_000);

it('are started by no look, so that a host that is only looked at keeps no records', async () => {
  const [before, activities] = [await host.hosts.get('pve1').jobs(), createHealthActivities(host)];
  for (const inspect of Object.values(activities)) await host.run(() => inspect({ host: 'pve1' }));
  expect(await host.hosts.get('pve1').jobs()).toEqual(before);
});
