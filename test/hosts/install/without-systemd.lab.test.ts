import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { installPrivileges } from '../../../lab/hosts/privileges.ts';
import type { HostConfig } from '../../../src/config.ts';
import { ServiceError } from '../../../src/errors.ts';
import { securityState } from '../../../src/hosts/commands/check-health/security-state.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../src/hosts/helper/generate-sudoers.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { commands, sampleClient, sampleCommands } from '../helper/sample.ts';
import { configOf, difference, differenceWithin, listing, log, makeBare } from './sample.ts';

describe.skipIf(whyNoLab())('a host without systemd', () => {
  let host: LabHost;
  let config: HostConfig;
  let before: string[];

  beforeAll(async () => {
    host = await startLabHost({ init: 'none' });
    await makeBare(host);
    config = configOf(host);
    before = await listing(host);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const options = () => ({ login: host.admin, log, agree: async () => true, revertAfterSeconds: 300 });

  it('has none', async () => {
    expect((await host.exec(['test', '-d', '/run/systemd/system'])).exitCode).toBe(1);
    expect(await host.must(['cat', '/proc/1/comm'])).not.toBe('systemd\n');
  });

  it('takes an installation back by itself when the administrator is none any more', async () => {
    const progress = async (step: string) => {
      if (step.startsWith('prove')) await host.must(['mv', '/etc/sudoers.d/admin', '/root/admin']);
    };
    const error = await install(config, { ...options(), progress, revertAfterSeconds: 8 }).catch((reason) => reason);
    expect(error).toMatchObject({ message: expect.stringContaining('puts everything back by itself') });
    await host.must(['mv', '/root/admin', '/etc/sudoers.d/admin']);
    expect(await differenceWithin(host, before, 30_000)).toEqual([]);
    expect((await host.exec(['pgrep', '-f', 'proxmox-mcp-install'])).exitCode).toBe(1);
  });

  it('is installed, and the service works through the real helper', async () => {
    expect(await install(config, options())).toBe('installed');
    const executorFor = ({ name, ssh }: HostConfig) => createSshExecutor({ name, ssh: ssh ?? host.ssh, log });
    const hosts = createHosts({ hosts: [config], executorFor });
    expect(await hosts.get(config.name).run(securityState, {})).toMatchObject({ uid: 0 });
    await hosts.close();
    expect(await checkInstallation(config, options())).toEqual([]);
    expect((await host.exec(['pgrep', '-f', 'proxmox-mcp-install'])).exitCode).toBe(1);
  });

  it('runs a job that outlives its connection, and stops all of one that is cancelled', {
    timeout: 120_000,
  }, async () => {
    const { layout } = config;
    await installPrivileges(host, generateHelper(layout, { commands: sampleCommands }), (facts) =>
      generateSudoers(layout, { ...facts, commands: sampleCommands }),
    );
    const executor = createSshExecutor({ name: config.name, ssh: config.ssh ?? host.ssh, log });
    const client = sampleClient(config, executor);
    let cuts = 0;
    const onProgress = () => {
      if (cuts++ === 0) void host.cutConnections();
    };
    const job = () => client.job(commands.count, { word: 'cut' }, { id: 'cut', fence: { host: 1 }, onProgress });
    let ended = await job().catch((error: unknown) => error);
    for (let attempt = 0; attempt < 10 && ended instanceof ServiceError; attempt++) {
      expect(ended.retryable).toBe(true);
      ended = await job().catch((error: unknown) => error);
    }
    expect(ended).toMatchObject({ exitCode: 7, stdout: expect.stringContaining('cut 5\n') });
    expect((await host.readFile(`${layout.state}/counted`)).trim().split('\n')).toHaveLength(1);

    const stop = new AbortController();
    const error = await client
      .job(
        commands.linger,
        {},
        {
          id: 'lingers',
          signal: stop.signal,
          onProgress: ({ lastLine }) => {
            if (lastLine === 'begun') stop.abort();
          },
        },
      )
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'cancelled' });
    expect((await host.exec(['pgrep', '-f', 'job-run|sleep 100'])).exitCode).toBe(1);
    await executor.close();
    // The real helper and policy again.
    expect(await install(config, options())).toBe('installed');
  });

  it('leaves nothing when it is uninstalled', async () => {
    expect(await uninstall(config, { ...options(), removeBackups: false, keepLogs: false })).toBe('uninstalled');
    const accounts = / etc\/(passwd|group|shadow|gshadow|subuid|subgid)-( |$)/;
    expect(difference(before, await listing(host)).filter((line) => !accounts.test(line))).toEqual([]);
  });
});
