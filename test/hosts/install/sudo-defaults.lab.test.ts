import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stillHad, whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { sample } from '../../support/exhaustive.ts';
import { configOf, everyKind, log, makeBare } from './sample.ts';

describe.skipIf(whyNoLab()).each(sample(await stillHad(everyKind), 1))(
  "sudo's own defaults on $name",
  ({ name, ...kind }) => {
    let host: LabHost;
    let config: HostConfig;
    beforeAll(async () => {
      host = await startLabHost(kind);
      await makeBare(host);
      config = configOf(host);
    }, startTimeoutMs);
    afterAll(() => host?.stop());

    // root's own login: an administrator who needs sudo without a terminal has none with requiretty.
    const login = () => ({ ...host.admin, user: 'root' });
    const options = () => ({ login: login(), log, agree: async () => true });

    it.each([
      ['requiretty', 'Defaults requiretty'],
      ['noexec', 'Defaults noexec'],
      ['other passwords', 'Defaults targetpw'],
      ["root's password", 'Defaults rootpw'],
      ['another runas_default', 'Defaults runas_default=nobody'],
      ['no env_reset', 'Defaults !env_reset'],
      ['no use_pty', 'Defaults !use_pty'],
      ['no syslog', 'Defaults !syslog'],
      ['a lecture', 'Defaults lecture=always'],
      ['a short patience', 'Defaults passwd_timeout=1, passwd_tries=1, timestamp_timeout=0'],
      ['another secure_path', 'Defaults secure_path=/nonexistent'],
      ['ignore_dot and logs', 'Defaults ignore_dot, log_host, log_year, log_output, log_input'],
    ])(
      '%s keep nobody from an installation, before its file or after it',
      async (_what, line) => {
        for (const file of ['/etc/sudoers.d/a-host', '/etc/sudoers.d/zz-host']) {
          await host.writeFile(file, `${line}\n`, { mode: 0o440 });
          const outcome = await install(config, options()).catch((error: Error) => error.message);
          await host.exec(['rm', ...(outcome === 'installed' ? ['-f', '/nonexistent'] : [file])]);
          // sudo-rs doesn't know all of them, and then takes no rules at all: the look says so.
          if ('sudo' in kind && outcome !== 'installed') {
            expect(outcome).toMatch(/nothing was changed: the policy of sudo is broken already \(.*syntax error/);
            continue;
          }
          expect(outcome).toBe('installed');
          expect(await checkInstallation(config, { login: login(), log })).toEqual([]);
          await uninstall(config, { ...options(), removeBackups: true, keepLogs: false });
          await host.must(['rm', file]);
        }
      },
      120_000,
    );
  },
);
