import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { agent, bringAgent } from '../../../src/hosts/install/agent.ts';
import { sudoPassword } from '../../../src/hosts/install/become-root.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { Secret } from '../../../src/secret.ts';
import { useBuild } from '../../support/built.ts';
import { sample } from '../../support/exhaustive.ts';
import { keeper, startKeepersHost } from './keeper.ts';
import { differenceWithin, leaveAccountCopies, log, runUntil } from './sample.ts';

const yes = async () => true;

describe.skipIf(whyNoLab())('an installation that is interrupted', () => {
  const build = useBuild();
  let host: LabHost;
  let config: HostConfig;
  let folder: string;
  let file: string;
  let before: string[];

  beforeAll(async () => {
    ({ host, config, folder, file, before } = await startKeepersHost());
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const options = () => ({ login: host.admin, log, agree: yes });
  /** The administrator whose sudo asks. */
  const asked = () => ({
    ...options(),
    login: { ...host.admin, user: keeper.user },
    sudoPassword: sudoPassword(async () => new Secret(keeper.password)),
  });

  /** Everything as it was, after the time to confirm. */
  async function isAsBefore(): Promise<void> {
    expect(await differenceWithin(host, before, 120_000)).toEqual([]);
  }

  /** How long an installation has until it is taken back, in seconds. A loaded machine needs the longer time. */
  const times = [8, 50];

  /** Fails the step whose text holds `at`, by what `fault` does to the host. */
  async function interrupt(at: string, fault: () => Promise<unknown>): Promise<string> {
    for (const revertAfterSeconds of times) {
      let was = '';
      const progress = async (step: string) => {
        if (was !== '' || !step.includes(at)) return;
        was = step;
        await fault();
      };
      const error = await install(config, { ...options(), revertAfterSeconds, progress }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(Error);
      if (was !== '') return (error as Error).message;
      await isAsBefore();
    }
    throw new Error(`The installation did not get to "${at}"`);
  }

  /** What an installation said that was killed as its step began. */
  async function killedAt(step: number): Promise<string> {
    const login = ['--as', keeper.user, '--key', host.admin.keyPath, '--sudo-password-file', file];
    const args = ['--config-dir', folder, 'host', 'install', 'lab', ...login, '--yes', '--revert-after'];
    let said = '';
    for (const seconds of times) {
      said = await runUntil(
        build.path('src/cli.js'),
        [...args, `${seconds}`],
        (text) => text.split('\n· ').length > step,
      );
      if (!said.includes('· put everything back')) break;
      await isAsBefore();
    }
    return said;
  }

  // The steps of an installation on a bare host, each killed as it begins.
  const steps = 14;
  const everyStep = Array.from({ length: steps }, (_, index) => index + 1);
  it.each(sample(everyStep, 4))(
    'by kill -9 at step %i, with a password of sudo',
    { timeout: 300_000 },
    async (count) => {
      const said = await killedAt(count);
      expect(said.split('\n· ').length, said).toBeGreaterThan(count);
      expect(said).not.toContain('Installed');
      if (count < steps) return await isAsBefore();
      expect(said).toMatch(/· confirm\n$/);
      // Confirmed or not: one of both.
      const isGone = async () => (await differenceWithin(host, before, 0)).length === 0;
      const isWhole = async () => (await checkInstallation(config, options())).length === 0;
      await expect.poll(async () => (await isGone()) || (await isWhole()), { timeout: 120_000 }).toBe(true);
      if (await isGone()) return;
      await uninstall(config, { ...options(), removeBackups: false, keepLogs: false });
      await leaveAccountCopies(host);
    },
  );

  it('by Ctrl-C, and says that the host mends it', { timeout: 300_000 }, async () => {
    const login = ['--key', host.admin.keyPath, '--yes', '--revert-after', '8'];
    const args = ['--config-dir', folder, 'host', 'install', 'lab', ...login];
    const said = await runUntil(build.path('src/cli.js'), args, (text) => text.includes('· prepare'), 'SIGINT');
    expect(said).toMatch(
      /Interrupted\. Soon after 8 s lab puts back by itself what was changed\.\n.*host check lab\n$/,
    );
    await isAsBefore();
  });

  const cuts = [
    ['prepare', 'without'],
    ['make the user', 'with'],
    ['make /usr/local/libexec/proxmox-mcp/helper', 'without'],
    ['prove', 'with'],
  ] as const;
  it.each(sample(cuts, 1))(
    'by connections that are cut again and again from: %s, %s a password of sudo',
    { timeout: 300_000 },
    async (at, password) => {
      const how = password === 'with' ? asked() : options();
      let error: unknown;
      let wasCut = false;
      for (const revertAfterSeconds of times) {
        let ended = false;
        let cutting: Promise<void> | undefined;
        const cut = async () => {
          while (!ended) await host.cutConnections();
        };
        const progress = (step: string) => {
          if (step.includes(at)) cutting ??= cut();
        };
        error = await install(config, { ...how, revertAfterSeconds, progress }).catch((reason: unknown) => reason);
        ended = true;
        await cutting;
        await isAsBefore();
        wasCut = cutting !== undefined;
        if (wasCut) break;
      }
      expect(wasCut).toBe(true);
      expect(error).toBeInstanceOf(Error);
    },
  );

  it('by a connection that is lost while the script is on its way', async () => {
    const brought = await host.exec([...bringAgent('arm', ['60'])], { input: agent.slice(0, -50) });
    expect(brought).toMatchObject({ exitCode: 65, stderr: expect.stringContaining('did not arrive whole') });
    await isAsBefore();
  });

  it('by being so slow that a command comes when everything is back', async () => {
    const late = await host.exec(['/bin/sh', '-s', '--', 'folder', '/etc/late', '755'], { input: agent });
    expect(late).toMatchObject({ exitCode: 65, stderr: expect.stringContaining('the time to confirm is over') });
    await isAsBefore();
  });

  it('by a systemd that arms nothing', async () => {
    await host.must(['mv', '/usr/bin/systemd-run', '/usr/bin/systemd-run.away']);
    const error = await install(config, options()).catch((reason: unknown) => reason);
    await host.must(['mv', '/usr/bin/systemd-run.away', '/usr/bin/systemd-run']);
    expect(String(error)).toContain('could not prepare the revert');
    await isAsBefore();
  });

  it('by a network that swallows everything', { timeout: 180_000 }, async () => {
    const message = await interrupt('make /etc/sudoers.d', () => host.dropNetwork(25_000));
    expect(message).toContain('by itself');
    await isAsBefore();
  });

  const reboots = [
    ['power-loss', 'make the user'],
    ['power-loss', 'make /etc/sudoers.d'],
    ['power-loss', 'prove'],
    ['orderly', 'prove'],
  ] as const;
  it.each(sample(reboots, 2))('by a reboot (%s) at: %s', { timeout: 240_000 }, async (kind, at) => {
    await interrupt(at, () => host.reboot(kind));
    await isAsBefore();
  });
});
