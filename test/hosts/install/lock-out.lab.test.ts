import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import type { ServiceError } from '../../../src/errors.ts';
import { install } from '../../../src/hosts/install/install.ts';
import type { InstallOptions } from '../../../src/hosts/install/options.ts';
import { configOf, difference, differenceWithin, listing, log, makeBare } from './sample.ts';

describe.skipIf(whyNoLab())('a host on which the installation would lock somebody out, or let too much in', () => {
  let host: LabHost;
  let config: HostConfig;
  let mend: () => Promise<unknown> = async () => undefined;

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    config = configOf(host);
  }, startTimeoutMs);
  afterAll(() => host?.stop());
  afterEach(() => mend());

  /** Puts a file on the host, tries to install, and takes the file away again. Answers what the installation threw. */
  async function tryWith(path: string, content: string, more: Partial<InstallOptions> = {}, then: string[] = []) {
    await host.writeFile(path, content, { mode: 0o440 });
    mend = () => host.must(['sh', '-c', 'rm -f "$1"; shift; [ $# = 0 ] || "$@"', 'sh', path, ...then]);
    if (then.length > 0) await host.must(then as [string, ...string[]]);
    return await refusal(more);
  }

  async function refusal(
    more: Partial<InstallOptions> = {},
  ): Promise<{ error: ServiceError; left: string[]; steps: string[] }> {
    const before = await listing(host);
    const steps: string[] = [];
    const error = await install(config, {
      login: { ...host.admin, user: 'root' },
      log,
      agree: async () => true,
      revertAfterSeconds: 300,
      progress: (step) => void steps.push(step),
      ...more,
    }).then(
      (outcome) => expect.unreachable(outcome),
      (reason: ServiceError) => reason,
    );
    return { error, steps, left: difference(before, await listing(host)) };
  }

  it('by an sshd that admits only others', async () => {
    const path = '/etc/ssh/sshd_config.d/only.conf';
    const { error, left, steps } = await tryWith(path, 'AllowUsers root admin\n', {}, ['systemctl', 'restart', 'ssh']);
    expect(steps.at(-1)).toBe('put everything back');
    expect(error).toMatchObject({
      code: 'ssh-key-refused',
      message: expect.stringMatching(/allowusers.*is as it was before/s),
    });
    expect(left).toEqual([]);
  });

  it.each([
    ['that admits everything', '%claude-user ALL=(ALL:ALL) NOPASSWD: ALL\n', /may run .*id -u as root/],
    ['that asks for a password', '%claude-user ALL=(ALL:ALL) PASSWD: ALL\n', /does not let claude-user run the helper/],
    ['that wants a terminal for every command', 'Defaults!ALL requiretty\n', /does not let claude-user run the helper/],
  ])('by a rule read after ours %s', async (_, rule, message) => {
    const { error, left, steps } = await tryWith('/etc/sudoers.d/zz-late', rule);
    expect(steps.at(-1)).toBe('put everything back');
    expect(error).toMatchObject({ code: 'verification-failed', message: expect.stringMatching(message) });
    expect(error.message).toContain('is as it was before');
    expect(left).toEqual([]);
  });

  it.each([
    [
      'rules of sudo that are broken already',
      '/etc/sudoers.d/broken',
      'this is no rule\n',
      /the policy of sudo is broken already \(.+\)/,
    ],
    [
      'rules for the same user in another file',
      '/etc/sudoers.d/older',
      'claude-user ALL=(ALL) NOPASSWD: ALL\n',
      /older has rules/,
    ],
  ])('and says so before it begins: %s', async (_, path, rule, message) => {
    const { error, left, steps } = await tryWith(path, rule);
    expect(steps).toEqual([]);
    expect(error).toMatchObject({ code: 'configuration', message: expect.stringMatching(message) });
    expect(left).toEqual([]);
  });

  it('and says so before it begins: a folder above the helper that others may write', async () => {
    await host.must(['chmod', '2775', '/usr/local']);
    mend = () => host.must(['chmod', '755', '/usr/local']);
    const { error, left, steps } = await refusal();
    expect(steps).toEqual([]);
    expect(error).toMatchObject({ code: 'configuration', message: expect.stringContaining('/usr/local') });
    expect(left).toEqual([]);
  });

  it('by its own slowness, and that is what is said', { timeout: 240_000 }, async () => {
    const before = await listing(host);
    const isBack = async () => (await differenceWithin(host, before, 60_000)).length === 0;
    const progress = async (step: string) => {
      // What the host refuses then, it refuses because everything is gone.
      if (step.startsWith('prove')) await expect.poll(isBack, { timeout: 90_000 }).toBe(true);
    };
    const { error } = await refusal({ login: host.admin, progress, revertAfterSeconds: 12 });
    expect(error).toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('put everything back after 12 s'),
      remedy: expect.stringContaining('--revert-after'),
    });
  });

  it('by an administrator who is none any more: the host alone takes everything back', {
    timeout: 120_000,
  }, async () => {
    mend = () => host.must(['mv', '/root/admin', '/etc/sudoers.d/admin']);
    const progress = async (step: string) => {
      if (step.startsWith('prove')) await host.must(['mv', '/etc/sudoers.d/admin', '/root/admin']);
    };
    const before = await listing(host);
    const { error } = await refusal({ login: host.admin, progress, revertAfterSeconds: 12 });
    expect(error).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('puts everything back by itself'),
    });
    await mend();
    mend = async () => undefined;
    expect(await differenceWithin(host, before, 60_000)).toEqual([]);
  });
});
