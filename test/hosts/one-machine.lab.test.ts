import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../src/config.ts';
import { createHosts } from '../../src/hosts/create-hosts.ts';
import { checkInstallation } from '../../src/hosts/install/check.ts';
import { install } from '../../src/hosts/install/install.ts';
import { createSshExecutor } from '../../src/hosts/ssh/executor.ts';
import { runNode, useBuild } from '../support/built.ts';
import { configFolder, configOf, log, makeBare } from './install/sample.ts';

describe.skipIf(whyNoLab())('one lab host under two names', () => {
  const build = useBuild();
  let host: LabHost;
  let pve1: HostConfig;
  let old: HostConfig;

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    pve1 = { ...configOf(host), name: 'pve1' };
    // A second sshd of the same machine: another port, as another network or a tunnel would be another address.
    await host.writeFile('/etc/ssh/sshd_config.d/port.conf', 'Port 22\nPort 2222\n');
    await host.must(['systemctl', 'restart', 'ssh']);
    const known = join(host.folder, 'known-old');
    const line = readFileSync(host.ssh.knownHostsPath, 'utf8').trim().split(' ').slice(1).join(' ');
    writeFileSync(known, `[${host.address.host}]:2222 ${line}\n`);
    old = { ...pve1, name: 'pve-old', ssh: { ...(pve1.ssh ?? host.ssh), port: 2222, knownHostsPath: known } };
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const options = (others: readonly HostConfig[]) => ({
    ...{ login: host.admin, log, agree: async () => true, revertAfterSeconds: 300 },
    others,
  });

  it('is refused by host install and named by host check, once the first name is there', {
    timeout: 120_000,
  }, async () => {
    expect(await install(pve1, options([old]))).toBe('installed');
    await expect(install(old, options([pve1]))).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringMatching(/^pve-old and pve1 are the same machine \(machine-id [0-9a-f]{32}\)/),
    });
    expect(await checkInstallation(old, options([pve1]))).toContainEqual(
      expect.objectContaining({ check: 'one name' }),
    );
    expect(await checkInstallation({ ...old, sharesMachineId: true }, options([pve1]))).toEqual([]);
  });

  it('is worked on under one of them alone, when both are used at once', async () => {
    const hosts = createHosts({
      hosts: [pve1, old],
      executorFor: ({ name, ssh }) => createSshExecutor({ name, ssh: ssh ?? host.ssh, log }),
    });
    const outcomes = await Promise.allSettled(['pve1', 'pve-old'].map((name) => hosts.get(name).jobs()));
    await hosts.close();
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const [refused] = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toMatchObject({
      code: 'configuration',
      message: expect.stringMatching(/are the same machine \(machine-id /),
      remedy: expect.stringContaining('Remove one of them'),
    });
  });

  it('is not added a second time, as it shows the key that is pinned for the first name', async () => {
    const folder = configFolder(host, pve1);
    const add = (...args: string[]) =>
      runNode(build.path('src/cli.js'), ['--config-dir', folder, 'host', 'add', 'other', ...args]);
    const byKey = await add('--address', host.address.host, '--ssh-port', '2222');
    expect(byKey.code).not.toBe(0);
    expect(byKey.stderr).toMatch(
      /other shows the SSH key SHA256:\S+, which is pinned for lab: they are one machine, or/,
    );
    expect(byKey.stderr).toContain('ssh-keygen -A');
    const byAddress = await add('--address', `::ffff:${host.address.host}`);
    expect(byAddress.stderr).toContain('The host lab has this address already');
    expect(readFileSync(host.ssh.knownHostsPath, 'utf8')).not.toContain('2222');
  });
});
