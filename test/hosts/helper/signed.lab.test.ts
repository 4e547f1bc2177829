import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { approvalState } from '../../../src/hosts/commands/approve/plans.ts';
import { allowChanges, stopChanges, switchState } from '../../../src/hosts/commands/approve/switch.ts';
import { callLine } from '../../../src/hosts/commands/call-line.ts';
import { changeUnit, restoreUnit } from '../../../src/hosts/commands/control-service/units.ts';
import type { Executor } from '../../../src/hosts/execution/executor.ts';
import { defaultLayout as layout } from '../../../src/hosts/helper/default-layout.ts';
import type { Host } from '../../../src/hosts/host.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { allowChangesText } from '../../../src/hosts/signed-plan.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { sample } from '../../support/exhaustive.ts';
import { startKeepersHost } from '../install/keeper.ts';
import { everyKind, log } from '../install/sample.ts';
import { sampleClient } from './sample.ts';
import { type Key, newKey, planFor, sign } from './signing.ts';

// A host as `host install` leaves it, over SSH and its own sudo and ssh-keygen: OpenSSH 8.4 to 10.
describe.skipIf(whyNoLab()).each(sample(everyKind, 1))('signed plans, on $name', ({ name: _, ...kind }) => {
  const build = useBuild();
  let lab: LabHost;
  let started: Awaited<ReturnType<typeof startKeepersHost>>;
  let executor: Executor;
  let host: Host;
  let anna: Key;
  let identity: string;
  let fence = 0;

  const cli = (...args: string[]) =>
    runNode(build.path('src/cli.js'), ['--config-dir', started.folder, 'host', ...args]);
  const asRoot = () => ['--as', 'root', '--key', lab.admin.keyPath, '--yes'];
  const change = (id: string, run = 'test/lab') => {
    fence = Math.max(fence + 1, Date.now());
    return host.job(changeUnit, { action: 'restart', unit: 'pmx-signed' }, { id, run, fence: { host: fence } });
  };
  const startedAt = () => lab.must(['systemctl', 'show', '--value', '-p', 'MainPID', 'pmx-signed']);

  beforeAll(async () => {
    started = await startKeepersHost(kind);
    lab = started.host;
    await install(started.config, { login: lab.admin, log, agree: async () => true, revertAfterSeconds: 300 });
    await lab.writeFile('/etc/systemd/system/pmx-signed.service', '[Service]\nExecStart=/bin/sleep infinity\n');
    await lab.writeFile(`${layout.state}/units`, 'pmx-signed\n', { mode: 0o600 });
    await lab.must(['sh', '-euc', 'systemctl daemon-reload; systemctl start pmx-signed']);
    const ssh = started.config.ssh ?? lab.ssh;
    executor = createSshExecutor({ name: lab.name, ssh, log: pino({ level: 'silent' }) });
    host = sampleClient(started.config, executor);
    anna = newKey(lab.folder, 'anna');
    const added = await cli('administrators', 'lab', 'add', `${anna.path}.pub`, '--name', 'anna', ...asRoot());
    expect(added.stdout, added.stderr).toBe('lab takes signatures of anna from now on.\n');
    identity = (await host.run(approvalState, {})).host ?? '';
  }, startTimeoutMs);
  afterAll(async () => {
    await executor?.close();
    await lab?.stop();
  });
  beforeEach(() => lab.writeFile(`${layout.state}/signed-commands`, 'change-unit\n', { mode: 0o600 }));

  it('the host says who it is, and whom it trusts', async () => {
    expect(await host.run(approvalState, {})).toMatchObject({
      verifies: true,
      administrators: ['anna'],
      signed: ['change-unit'],
    });
    expect(identity.split(' ')[1]).toBe((await lab.readFile('/etc/machine-id')).trim());
    const listed = await cli('administrators', 'lab', ...asRoot());
    expect(listed.stdout, listed.stderr).toMatch(/^NAME +KEY +FINGERPRINT\nanna +ssh-ed25519 +SHA256:\S{43}\n$/);
  });

  it('what was signed is executed once, and nothing else', async () => {
    const before = await startedAt();
    await expect(change('unsigned')).rejects.toMatchObject({ code: 'not-signed' });
    const plan = planFor(identity, [callLine(started.config, changeUnit, { action: 'restart', unit: 'pmx-signed' })], {
      run: 'test/lab',
    });
    expect(await host.admit(plan.text, sign(anna, plan.text))).toEqual({ signer: 'anna' });
    await expect(change('other-run', 'test/other')).rejects.toMatchObject({ code: 'not-signed' });
    await change('signed');
    const after = await startedAt();
    expect(after).not.toBe(before);
    await change('signed');
    await expect(change('again')).rejects.toMatchObject({ code: 'not-signed' });
    expect(await startedAt()).toBe(after);
    // Everything that was said to sudo is in its log; sudo-rs keeps none of it.
    const jobs = (await host.jobs()).jobs.map(({ id, verb }) => `${id} ${verb}`);
    expect(jobs).toEqual(['signed change-unit']);
  });

  it('nobody who is the service’s user, with all its files, has it executed', { timeout: 300_000 }, async () => {
    const before = await startedAt();
    const plan = planFor(identity, ['change-unit restart pmx-signed'], { run: 'test/lab' });
    const own = newKey(lab.folder, 'own');
    const signature = sign(own, plan.text);
    await lab.writeFile('/tmp/plan', `${plan.text}${signature}`);
    await lab.writeFile('/tmp/signature', signature);
    await lab.writeFile('/tmp/line', `mallory ${own.publicKey}\n`);
    const helper = `sudo -n ${layout.helper}`;
    const call = `change-unit ${Date.now() - 1_000} restart pmx-signed`;
    for (const line of [
      `cat /tmp/line >>${layout.state}/administrators`,
      `echo >${layout.state}/signed-commands`,
      `rm -f ${layout.state}/signed-commands`,
      `sudo -n tee -a ${layout.state}/administrators </tmp/line`,
      `${helper} add-administrator mallory ${own.publicKey}`,
      `${helper} admit-plan ${plan.nonce} </tmp/plan`,
      `mkfifo /tmp/fifo-$$; (cat /tmp/plan >/tmp/fifo-$$ &); ${helper} admit-plan ${plan.nonce} </tmp/fifo-$$`,
      `${helper} admit-plan ${plan.nonce} </dev/zero`,
      `ln -s /etc/shadow /tmp/link-$$; ${helper} admit-plan ${plan.nonce} </tmp/link-$$`,
      `${helper} job-start mine test/lab ${call}`,
      `${helper} job-start mine - ${call}`,
      `${helper} job-run mine test/lab ${call} && false`,
      `${helper} now ${call}`,
      `${helper} allow-changes </tmp/signature && false`,
    ]) {
      const tried = await lab.exec(['sh', '-c', line], { user: 'claude-user' });
      expect(tried.exitCode, line).not.toBe(0);
      expect(tried.stdout, line).toBe('');
    }
    expect(await startedAt()).toBe(before);
    expect(await lab.must(['find', `${layout.state}/plans`, '-name', '.new-*'])).toBe('');
    // Whoever the service logs in as is no administrator either.
    const refused = await cli(
      'administrators',
      'lab',
      'add',
      `${anna.path}.pub`,
      '--name',
      'anna',
      ...asRoot()
        .with(1, 'claude-user')
        .with(3, started.config.ssh?.keyPath ?? ''),
    );
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('does not let claude-user become root') });
  });

  it('takes back who is removed, also from a plan that was admitted', async () => {
    const berta = newKey(lab.folder, 'berta');
    await cli('administrators', 'lab', 'add', `${berta.path}.pub`, '--name', 'berta', ...asRoot());
    const plan = planFor(identity, ['change-unit restart pmx-signed'], { run: 'test/lab' });
    expect(await host.admit(plan.text, sign(berta, plan.text))).toEqual({ signer: 'berta' });
    const removed = await cli('administrators', 'lab', 'remove', 'berta', ...asRoot());
    expect(removed.stdout, removed.stderr).toBe('lab takes no signature of berta any more.\n');
    await expect(change('of-berta')).rejects.toMatchObject({ code: 'not-signed' });
  });

  it('stops changes for everybody but who was at work, until an administrator signs, or root says so', async () => {
    await lab.must(['rm', `${layout.state}/signed-commands`]);
    await change('before', 'test/open');
    const stop = await host.run(stopChanges, { by: 'person:anna', why: 'a_test' });
    expect(stop).toMatchObject({ on: true, by: 'person:anna', why: 'a test' });
    expect(stop.open).toContainEqual({ run: 'test/open', call: 'change-unit restart pmx-signed' });
    await expect(change('meanwhile')).rejects.toMatchObject({ code: 'changes-stopped' });
    const restore = (run: string) => {
      fence = Math.max(fence + 1, Date.now());
      const former = { unit: 'pmx-signed', active: 'active', enabled: 'kept' } as const;
      return host.run(restoreUnit, former, { fence: { host: fence }, run });
    };
    await expect(restore('test/other')).rejects.toMatchObject({ code: 'changes-stopped' });
    await restore('test/open');
    const text = allowChangesText({ host: stop.host ?? '', nonce: stop.nonce ?? '' });
    const signature = sign(anna, text);
    expect(await host.run(allowChanges, {}, { input: signature })).toEqual({ signer: 'anna' });
    await change('afterwards');
    await host.run(stopChanges, { by: 'cli:root', why: 'again' });
    await expect(host.run(allowChanges, {}, { input: signature })).rejects.toMatchObject({ code: 'not-signed' });
    const lifted = await cli('allow-changes', 'lab', ...asRoot());
    expect(lifted.stdout, lifted.stderr).toBe('Changes go on on lab.\n');
    expect(await host.run(switchState, {})).toMatchObject({ on: false });
  });
});
