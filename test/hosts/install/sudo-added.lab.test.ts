import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { configOf, difference, listing, log, makeBare } from './sample.ts';

/** The packages that the lab's images were built of. */
const packages = join(
  process.env.PROXMOX_MCP_LAB_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'proxmox-mcp/lab'),
  'debs/bookworm',
);

describe.skipIf(whyNoLab())('a host without sudo, as Proxmox VE is', () => {
  let host: LabHost;
  let config: HostConfig;
  let before: string[];

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    config = configOf(host);
    // The host's own source of packages: a folder on it, as there is no network.
    const file = readdirSync(packages).find((name) => /^sudo_.*\.deb$/.test(name)) ?? 'none';
    await host.writeFile('/var/cache/source/sudo.deb', readFileSync(join(packages, file)));
    await host.must([
      'sh',
      '-euc',
      'rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; SUDO_FORCE_REMOVE=yes dpkg --purge sudo',
    ]);
    await host.must(['sh', '-euc', 'rm -rf /etc/sudoers.d; rm -rf /var/lib/apt/lists/*']);
    before = await listing(host);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const source = async (change = '') => {
    const script = `cd /var/cache/source
      { dpkg-deb -f sudo.deb; printf 'Filename: ./sudo.deb\nSize: %s\nSHA256: %s\n' "$(stat -c %s sudo.deb)" "$(sha256sum <sudo.deb | cut -d ' ' -f 1)"; } >Packages
      ${change}
      echo 'deb [trusted=yes] file:/var/cache/source ./' >/etc/apt/sources.list; apt-get -qq update`;
    await host.must(['sh', '-euc', script]);
    before = await listing(host);
  };
  const root = () => ({ ...host.admin, user: 'root' });
  const options = (plan: string[] = []) => ({
    login: root(),
    log,
    revertAfterSeconds: 300,
    agree: async (lines: readonly string[]) => {
      plan.push(...lines);
      return true;
    },
  });
  const isThere = async () => (await host.exec(['sh', '-c', 'command -v sudo visudo'])).exitCode === 0;
  /** Journals of dpkg and apt, and what only an index of files is. */
  const unchanged = async () => {
    const left = difference(before, await listing(host)).filter(
      (line) =>
        !/ etc\/(passwd|group|shadow|gshadow|subuid|subgid)-( |$)| var\/lib\/apt| etc\/ld\.so\.cache/.test(line),
    );
    expect(left).toEqual([]);
  };

  it('is left as it is where apt knows no such package, with what to do', async () => {
    await expect(install(config, options())).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('sudo is missing, and apt-get there knows no package'),
      remedy: expect.stringContaining('apt-get update && apt-get install sudo'),
    });
    await unchanged();
  });

  it('is left as it is where the package is too old for the policy', async () => {
    await source(`sed -i 's/^Version: .*/Version: 1.8.27-1+deb10u3/' Packages`);
    await expect(install(config, options())).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('no package of it that can be used'),
    });
    await unchanged();
  });

  it('is left as it is where the package can not be fetched', async () => {
    await source('sed -i s/sudo.deb/gone.deb/ Packages');
    await expect(install(config, options())).rejects.toMatchObject({
      message: expect.stringContaining("apt-get can't fetch the package sudo, so nothing was changed"),
    });
    expect(await isThere()).toBe(false);
    await unchanged();
  });

  it('says who can install it to an administrator who is not root', async () => {
    await expect(install(config, { ...options(), login: host.admin })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(/There is no sudo on \S+, so admin can't become root/),
      remedy: expect.stringContaining('--as root'),
    });
  });

  it('is without it again when the installation does not come about', { timeout: 120_000 }, async () => {
    await source();
    await host.writeFile('/etc/ssh/sshd_config.d/a-first.conf', 'DenyUsers claude-user\n');
    await host.must(['systemctl', 'reload', 'ssh']);
    before = await listing(host);
    await expect(install(config, options())).rejects.toMatchObject({
      code: 'ssh-key-refused',
      message: expect.stringMatching(/The package sudo, which was added for it, was removed again$/),
    });
    expect(await isThere()).toBe(false);
    await unchanged();
    await host.must(['rm', '/etc/ssh/sshd_config.d/a-first.conf']);
    await host.must(['systemctl', 'reload', 'ssh']);
    before = await listing(host);
  });

  it('is without it again when it puts everything back by itself', { timeout: 120_000 }, async () => {
    let isLeft: boolean | undefined;
    const progress = async (step: string) => {
      if (!step.startsWith('prove')) return;
      await host.must(['sh', '/var/lib/proxmox-mcp-install/agent', 'revert']);
      isLeft = await isThere();
    };
    await expect(install(config, { ...options(), progress })).rejects.toMatchObject({
      message: expect.stringMatching(/The package sudo, which was added for it, was removed again$/),
    });
    expect(isLeft).toBe(false);
    await unchanged();
  });

  it('gets it with the installation, as the plan says, and keeps it', { timeout: 120_000 }, async () => {
    expect(await checkInstallation(config, options())).toContainEqual(
      expect.objectContaining({ check: 'sudo', remedy: expect.stringContaining('which installs it') }),
    );
    const plan: string[] = [];
    expect(await install(config, options(plan))).toBe('installed');
    expect(plan[0] + (plan[1] ?? '')).toMatch(/install the package sudo 1\.9\.\S+ \(apt-get/);
    expect(plan.join('\n')).not.toContain('make /etc/sudoers.d (');
    expect(await checkInstallation(config, options())).toEqual([]);
    expect(await install(config, options())).toBe('nothing-to-do');

    const shown: string[] = [];
    const off = { ...options(shown), removeBackups: false, keepLogs: false };
    expect(await uninstall(config, off)).toBe('uninstalled');
    expect(shown.join('\n')).toContain('keep the package sudo, which host install had added');
    expect(await isThere()).toBe(true);
  });
});
