import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { findingsOf } from '../../../src/operations/report.ts';
import type { RunDetails } from '../../../src/runs/runs.ts';
import { crashFaults } from '../../support/crash-faults.ts';
import { recordOutcome } from '../../support/crash-matrix.ts';
import { sample } from '../../support/exhaustive.ts';
import { sshEntry } from '../../support/hosts.ts';
import { startService, type TestService } from '../../support/service.ts';

const layout = defaultLayout;
const by = { kind: 'cli', name: 'test' } as const;
const list = `${layout.state}/units`;
let lab: LabHost;
let service: TestService;

const units: Readonly<Record<string, string>> = {
  'pmx-good': '[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\n[Install]\nWantedBy=multi-user.target\n',
  // systemd says that it started; it ends a second later.
  'pmx-dying': '[Service]\nExecStart=/bin/sleep 1\n',
  'pmx-once': '[Service]\nType=oneshot\nExecStart=/bin/true\n',
  'pmx-slow':
    '[Service]\nExecStartPre=/bin/sh -c "echo begun >>/run/pmx-slow; sleep 10"\nExecStart=/bin/sleep infinity\n',
  'pmx-foreign': '[Service]\nExecStart=/bin/sleep infinity\n',
};
const admitted = ['pmx-good', 'pmx-dying', 'pmx-once', 'pmx-slow', 'ssh', 'pmx-absent'];

beforeAll(async () => {
  lab = await startLabHost({});
  await lab.writeFile(layout.helper, generateHelper(layout), { mode: 0o755 });
  await lab.writeFile(layout.sudoersFile, `claude-user ALL=(root) NOPASSWD: ${layout.helper}\n`, { mode: 0o440 });
  for (const [name, text] of Object.entries(units)) await lab.writeFile(`/etc/systemd/system/${name}.service`, text);
  await sh('systemctl daemon-reload');
  service = await startService({ hosts: { pve1: sshEntry(lab) } });
  await service.startWorker();
}, startTimeoutMs);

afterAll(async () => {
  await service?.stop();
  await lab?.stop();
}, 120_000);

beforeEach(async () => {
  await sh(`mkdir -p -m 700 ${layout.state}; printf '%s\\n' ${admitted.join(' ')} >${list}; chmod 644 ${list}`);
  await sh(`systemctl stop ${Object.keys(units).join(' ')}; systemctl reset-failed; systemctl disable -q pmx-good`);
  await sh('rm -f /run/pmx-slow');
});

const sh = (script: string) => lab.must(['sh', '-euc', script]);
const isActive = async (unit: string) => (await sh(`systemctl is-active ${unit} || :`)).trim();

async function start(input: Record<string, unknown>): Promise<string> {
  return (await service.runs.start('control-service', { host: 'pve1', ...input }, by)).id;
}
async function control(input: Record<string, unknown>): Promise<RunDetails> {
  return service.runs.wait(await start(input), { timeoutMs: 180_000 });
}
const output = ({ result, failure }: RunDetails) => result?.output ?? failure;

describe('a service that root has named', () => {
  it('is started, reloaded, restarted, enabled, disabled and stopped, each with its effect', async () => {
    const unit = 'pmx-good';
    expect(output(await control({ unit, action: 'start' }))).toMatchObject({
      before: { active: 'inactive' },
      after: { active: 'active' },
    });
    const pid = await sh(`systemctl show --property=MainPID --value ${unit}`);
    expect(output(await control({ unit, action: 'reload' }))).toMatchObject({ after: { active: 'active' } });
    expect(await sh(`systemctl show --property=MainPID --value ${unit}`)).toBe(pid);
    expect(output(await control({ unit: `${unit}.service`, action: 'restart' }))).toMatchObject({
      after: { active: 'active' },
    });
    expect(await sh(`systemctl show --property=MainPID --value ${unit}`)).not.toBe(pid);
    expect(output(await control({ unit, action: 'enable' }))).toMatchObject({
      before: { startsAtBoot: 'disabled' },
      after: { startsAtBoot: 'enabled' },
    });
    expect(output(await control({ unit, action: 'disable' }))).toMatchObject({ after: { startsAtBoot: 'disabled' } });
    expect(output(await control({ unit, action: 'stop' }))).toMatchObject({ after: { active: 'inactive' } });
    expect(await isActive(unit)).toBe('inactive');
  });

  it('that dies right after its start is put back, whatever systemctl said', async () => {
    const run = await control({ unit: 'pmx-dying', action: 'start' });
    expect(run).toMatchObject({ state: 'undone', failure: { code: 'verification-failed' } });
    expect(run.failure?.message).toContain('pmx-dying.service is not as it was to be');
    expect(await isActive('pmx-dying')).toBe('inactive');
  });

  it('that does its work and ends is done', async () => {
    expect(await control({ unit: 'pmx-once', action: 'start' })).toMatchObject({ state: 'done' });
  });

  it('can not be enabled where its unit says nothing of that, or reloaded where it has no way to', async () => {
    expect(await control({ unit: 'pmx-dying', action: 'enable' })).toMatchObject({
      state: 'undone',
      failure: { code: 'verification-failed' },
    });
    const run = await control({ unit: 'pmx-slow', action: 'reload' });
    expect(run).toMatchObject({ state: 'failed', failure: { code: 'conflict' } });
    expect(run.failure?.message).toContain("can't reload");
  });

  it('shows its status and its log, followed for a bound of time, as quoted words of the host', async () => {
    await sh('systemctl start pmx-good');
    const status = await control({ unit: 'pmx-good', action: 'status' });
    expect(findingsOf(status.result?.report.sections ?? [])[0]).toMatchObject({ check: 'pmx-good', verdict: 'ok' });
    const id = await start({ unit: 'pmx-good', action: 'logs', seconds: 6 });
    await sh('sleep 3; echo "a line while it is followed" | systemd-cat --identifier=x; logger -t x y');
    await sh('systemctl restart pmx-good');
    const followed = await service.runs.wait(id, { timeoutMs: 60_000 });
    const quoted = followed.result?.report.sections.find((section) => 'quoted' in section);
    expect(quoted).toMatchObject({ title: 'Log', quoted: expect.stringMatching(/Started.*pmx-good[\s\S]*Stopp/) });
  });

  it('is only planned by a dry run', async () => {
    const run = await control({ unit: 'pmx-good', action: 'start', dryRun: true });
    expect(run).toMatchObject({ state: 'planned' });
    expect(await isActive('pmx-good')).toBe('inactive');
    expect(await service.runs.list({ host: 'pve1', dryRuns: true, limit: 1 })).toMatchObject({
      runs: [{ state: 'planned' }],
    });
  });
});

describe('what root has not named', () => {
  it.each([
    ['pmx-foreign', 'forbidden', 'root has not put pmx-foreign on the list'],
    // On the list by mistake: people reach the host by it, under either name.
    ['ssh', 'forbidden', 'is never controlled'],
    ['pmx-absent', 'not-found', 'there is no unit pmx-absent.service'],
  ])('%s is refused, and nothing is changed', async (unit, code, why) => {
    for (const action of ['stop', 'status', 'logs']) {
      const run = await control({ unit, action });
      expect(run, action).toMatchObject({ state: 'failed', failure: { code } });
      expect(run.failure?.message).toContain(why);
    }
    expect(await isActive('ssh')).toBe('active');
  });

  it.each([
    ['that others may write', `chmod 666 ${list}`],
    ['that is another user’s', `chown claude-user ${list}`],
    ['that is a link', `mv ${list} /root/units; ln -s /root/units ${list}`],
  ])('a list %s names nothing', async (_, spoil) => {
    await sh(spoil);
    expect(await control({ unit: 'pmx-good', action: 'start' })).toMatchObject({ failure: { code: 'forbidden' } });
    expect(await isActive('pmx-good')).toBe('inactive');
    await sh(`rm -f ${list}`);
  });
});

describe('a start in the middle', () => {
  // After a worker was killed, Temporal waits for it for up to ten seconds at every workflow that it had.
  const begun = () => sh('i=0; until [ -s /run/pmx-slow ]; do i=$((i + 1)); [ $i -lt 900 ]; sleep 0.1; done');
  const count = async () => (await sh('grep -c begun /run/pmx-slow')).trim();

  // By name first: vitest shortens what it takes from an object.
  it.each(sample(crashFaults, 2).map((fault) => [fault.name, fault] as const))(
    'ends as docs/crash-matrix.md says when %s',
    async (_, fault) => {
      const id = await start({ unit: 'pmx-slow', action: 'start' });
      await begun();
      await fault.hit({ service, ids: [id], lab });
      const run = await service.runs.wait(id, { timeoutMs: 240_000 });
      const outcome = fault.cancels ? 'undone' : 'done';
      expect(run, JSON.stringify(run)).toMatchObject({ state: fault.cancels ? 'cancelled' : 'done' });
      const is = await isActive('pmx-slow');
      const times = fault.cancels ? '' : await count();
      const effects = fault.cancels
        ? `it is ${is}, as before`
        : `it is ${is}; started ${times === '1' ? 'once' : `${times} times`}`;
      expect(is).toBe(fault.cancels ? 'inactive' : 'active');
      recordOutcome({ operation: 'control-service', step: 'Act', fault: fault.name, outcome, effects });
    },
    400_000,
  );

  it('keeps another change of the host waiting, but not a look', async () => {
    const id = await start({ unit: 'pmx-slow', action: 'start' });
    await begun();
    expect(await control({ unit: 'pmx-slow', action: 'status' })).toMatchObject({ state: 'done' });
    expect((await service.runs.get(id)).state).toBe('running');
    const other = await start({ unit: 'pmx-good', action: 'start' });
    await expect.poll(async () => (await service.runs.get(other)).progress?.phase).toBe('waiting-for-lock');
    expect(await service.runs.wait(id, { timeoutMs: 120_000 })).toMatchObject({ state: 'done' });
    expect(await service.runs.wait(other, { timeoutMs: 120_000 })).toMatchObject({ state: 'done' });
  });
});
