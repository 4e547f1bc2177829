import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { configOf, difference, listing, log } from './sample.ts';

const ssh = '/home/claude-user/.ssh';
const helper = '/usr/local/libexec/proxmox-mcp/helper';

/** The user was there before, owns its home, and is somebody who wants to be root. */
describe.skipIf(whyNoLab())('a host whose user has prepared for what root will do', () => {
  let host: LabHost;
  let config: HostConfig;
  let before: string[];

  beforeAll(async () => {
    host = await startLabHost();
    await host.must(['sudo', '-n', 'true'], { user: 'admin' });
    // What the user's own file holds would be a job of root's in another place.
    await asUser(`echo '* * * * * root touch /root/pwned' >>${ssh}/authorized_keys; touch /home/claude-user/mine`);
    await asRoot('echo precious >/etc/precious; chmod 600 /etc/precious; mkdir -pm 700 /root/.ssh');
    await asRoot('[ -e /root/.ssh/authorized_keys ] || echo root >/root/.ssh/authorized_keys');
    config = configOf(host);
    before = await listing(host);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const asRoot = (script: string) => host.must(['sh', '-euc', script]);
  const asUser = (script: string) => host.must(['sh', '-euc', script], { user: 'claude-user' });
  const options = () => ({ login: host.admin, log, agree: async () => true });
  /** Does it over and over in the background, in the user's folder of keys or beside it, until stopped. */
  const race = async (perl: string) => {
    await asUser(`setsid perl -e 'for (;;) { ${perl} }' >/dev/null 2>&1 </dev/null & sleep 0.2`);
    return () => host.exec(['pkill', '-KILL', 'perl']);
  };

  // Measured with GNU tar: in one of six tries, a user who swaps .ssh for a link gets the folder that the link names.
  it('takes everything back while nobody but root can swap a folder', { timeout: 120_000 }, async () => {
    const spy = `case $* in *--extract*) stat -c %U /home/claude-user ${ssh} >>/run/owners ;; esac; exec /usr/bin/tar.real "$@"`;
    await asRoot('mv /usr/bin/tar /usr/bin/tar.real');
    await host.writeFile('/usr/bin/tar', `#!/bin/sh\n${spy}\n`, { mode: 0o755 });
    const interrupted = install(config, {
      ...options(),
      progress: (step) => {
        if (!step.startsWith('arm') && !step.startsWith('take')) throw new Error('interrupted');
      },
    });
    await expect(interrupted).rejects.toThrow('is as it was before');
    await asRoot('mv /usr/bin/tar.real /usr/bin/tar');
    expect(await host.readFile('/run/owners')).toBe('root\nroot\n');
    expect(difference(before, await listing(host))).toEqual([]);
  });

  it('is not installed on while another file lets keys in', async () => {
    await asUser(`cp ${ssh}/authorized_keys ${ssh}/authorized_keys2`);
    await expect(install(config, options())).rejects.toThrow(`${ssh}/authorized_keys2 may let other keys in`);
    await asUser(`rm ${ssh}/authorized_keys2`);
  });

  it('has nothing written through a link that waits for it', { timeout: 120_000 }, async () => {
    await asUser(`ln -s /etc/precious ${ssh}/authorized_keys.proxmox-mcp-new`);
    await install(config, options());
    expect(await asRoot('cat /etc/precious; stat -c "%a" /etc/precious')).toBe('precious\n600\n');
    expect(await asRoot(`stat -c "%F %U" ${ssh}/authorized_keys`)).toBe('regular file root\n');
    expect(await checkInstallation(config, options())).toEqual([]);
  });

  it('has nothing executed as root that others can change', async () => {
    await asRoot(`cp -a ${helper} /root/helper; chown claude-user ${helper}`);
    await asUser(`printf '#!/bin/sh\\ntouch /root/pwned\\n' >${helper}`);
    const drift = await checkInstallation(config, options());
    expect(drift.map(({ check, summary }) => `${check} ${summary}`).join()).toMatch(
      /helper has other content and belongs|belongs to/,
    );
    expect((await host.exec(['test', '-e', '/root/pwned'])).exitCode).toBe(1);
    await asRoot(`cp -a /root/helper ${helper}; rm /root/helper`);
  });

  it('gets its folders back only when root has written all in them', { timeout: 120_000 }, async () => {
    const stop = await race(
      `chdir "${ssh}"; symlink "/etc/cron.d/evil", "authorized_keys.proxmox-mcp-new"; rename "authorized_keys", "old" and symlink "/etc/cron.d/evil", "authorized_keys";`,
    );
    await uninstall(config, { ...options(), removeBackups: false, keepLogs: false });
    await stop();
    expect((await host.exec(['test', '-e', '/etc/cron.d/evil'])).exitCode).toBe(1);
    const others = (line: string) => !/home\/claude-user\/\.ssh\/|etc\/(passwd|shadow|group|gshadow)-/.test(line);
    expect(difference(before, await listing(host)).filter(others)).toEqual([]);
  });
});
