import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { configOf, log, makeBare } from './sample.ts';

describe.skipIf(whyNoLab())('a host whose folder of backups is a link to another disk', () => {
  let host: LabHost;
  let config: HostConfig;
  const asRoot = (script: string) => host.must(['sh', '-euc', script]);
  const options = () => ({ login: host.admin, log, agree: async () => true });

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    const layout = { ...configOf(host).layout, backups: '/srv/backups' };
    config = { ...configOf(host), layout };
    await asRoot('mkdir -m 700 /srv/disk; ln -s disk /srv/backups');
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  it('is installed on and checked, and the link stays', { timeout: 120_000 }, async () => {
    expect(await install(config, options())).toBe('installed');
    expect(await checkInstallation(config, options())).toEqual([]);
    expect(await install(config, options())).toBe('nothing-to-do');
    await asRoot('echo kept >/srv/disk/kept');

    await asRoot('chmod 770 /srv/disk');
    const summary = "leads to a folder that isn't root's alone (owner 0:0, mode 770)";
    expect(await checkInstallation(config, options())).toMatchObject([{ check: '/srv/backups', summary }]);
    await expect(install(config, options())).rejects.toThrow(summary);
    await asRoot('chmod 700 /srv/disk');

    expect(await uninstall(config, { ...options(), keepLogs: false, removeBackups: false })).toBe('uninstalled');
    expect(await asRoot('readlink /srv/backups; cat /srv/disk/kept')).toBe('disk\nkept\n');

    expect(await install(config, options())).toBe('installed');
    await asRoot('echo >/srv/disk/daily-backup-20261122-020000.tar.gz');
    expect(await uninstall(config, { ...options(), keepLogs: false, removeBackups: true })).toBe('uninstalled');
    expect(await asRoot('readlink /srv/backups; ls /srv/disk')).toBe('disk\nkept\n');
  });

  it('is not, where the link leads nowhere', async () => {
    await asRoot('rm -r /srv/disk');
    await expect(install(config, options())).rejects.toThrow('is a symbolic link');
  });
});
