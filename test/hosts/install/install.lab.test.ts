import { readFileSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stillHad, whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import type { HostConfig } from '../../../src/config.ts';
import { securityState } from '../../../src/hosts/commands/check-health/security-state.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import { checkInstallation } from '../../../src/hosts/install/check.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { uninstall } from '../../../src/hosts/install/uninstall.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { sample } from '../../support/exhaustive.ts';
import { configOf, difference, listing, log, makeBare } from './sample.ts';

const yes = async () => true;

const byRegularExpression = /^ {4}sha256:[0-9a-f]{64} \S+ \^job-list\$$/m;

const kinds = [
  { debian: 'bullseye', form: /^Cmnd_Alias PMX_HELPER = sha256:[0-9a-f]{64} \S+$/m },
  { debian: 'bookworm', form: byRegularExpression },
  { debian: 'trixie', form: byRegularExpression },
  { debian: 'trixie', sudo: 'rs', form: /^Cmnd_Alias PMX_HELPER = \/\S+$/m },
] as const;

describe.skipIf(whyNoLab()).each(await stillHad(sample(kinds, 2)))(
  'a host of Debian $debian, $sudo',
  ({ form, ...kind }) => {
    let host: LabHost;
    let config: HostConfig;
    let before: string[];

    beforeAll(async () => {
      host = await startLabHost(kind);
      await makeBare(host);
      config = configOf(host);
      before = await listing(host);
    }, startTimeoutMs);
    afterAll(() => host?.stop());

    const options = () => ({ login: host.admin, log, agree: yes, revertAfterSeconds: 300 });

    it('shows what it would do and changes nothing before it is agreed to', async () => {
      let plan: readonly string[] = [];
      const outcome = await install(config, {
        ...options(),
        agree: async (lines) => {
          plan = lines;
          return false;
        },
      });
      expect(outcome).toBe('declined');
      expect(plan.join('\n')).toContain('make /etc/sudoers.d/claude-user');
      expect(plan.join('\n')).toMatch(/helper: .*root:root, mode 755, sha256 [0-9a-f]{64}/);
      expect(difference(before, await listing(host))).toEqual([]);
      expect(() => statSync(config.ssh?.keyPath ?? '')).toThrow();
    });

    it('installs, and the service works through the real helper', async () => {
      const said: string[] = [];
      expect(await install(config, { ...options(), progress: (step) => void said.push(step) })).toBe('installed');
      expect(statSync(config.ssh?.keyPath ?? '').mode & 0o777).toBe(0o600);
      const secret = readFileSync(config.ssh?.keyPath ?? '', 'utf8').split('\n')[1] ?? 'none';
      expect(said.join('\n')).not.toContain(secret);
      const hosts = createHosts({
        hosts: [config],
        executorFor: ({ name, ssh }) => createSshExecutor({ name, ssh: ssh ?? host.ssh, log }),
      });
      expect(await hosts.get(config.name).run(securityState, {})).toMatchObject({ uid: 0 });
      await hosts.close();
      expect(await host.must(['id', '-Gn', 'claude-user'])).toBe('claude-user\n');
      // Its user can't change what lets it in.
      const tries = 'echo x >>~/.ssh/authorized_keys; mv ~/.ssh ~/.other; touch ~/.profile; true';
      await host.exec(['sh', '-c', tries], { user: 'claude-user' });
      expect(await checkInstallation(config, options())).toEqual([]);
      // The form of the policy that its sudo understands.
      expect(await host.readFile(config.layout.sudoersFile)).toMatch(form);
      // Nothing of the installing itself is left.
      expect((await listing(host)).filter((line) => /proxmox-mcp-(install|revert|take-back|new)/.test(line))).toEqual(
        [],
      );
    });

    it('has nothing to do a second time', async () => {
      const now = await listing(host);
      const agree = async () => {
        throw new Error('nothing is to be agreed to');
      };
      expect(await install(config, { ...options(), agree })).toBe('nothing-to-do');
      expect(difference(now, await listing(host))).toEqual([]);
    });

    it('leaves nothing when it is uninstalled, and ends nothing in containers whose user has the same number', async () => {
      const box = 'mkdir -p /tmp/box/bin && cp /bin/busybox /tmp/box/bin/sleep';
      const inBox =
        'unshare --pid --fork --kill-child chroot --userspec="$(id -u claude-user)" /tmp/box /bin/sleep 900';
      await host.must(['sh', '-c', `${box} && { setsid ${inBox} </dev/null >/dev/null 2>&1 & }`]);
      const isThere = () => host.exec(['pgrep', '-U', 'claude-user', '-f', '^/bin/sleep 900']);
      const number = (await host.must(['id', '-u', 'claude-user'])).trim();
      await expect.poll(async () => (await isThere()).exitCode, { timeout: 20_000 }).toBe(0);
      expect(await uninstall(config, { ...options(), removeBackups: false, keepLogs: false })).toBe('uninstalled');
      // The system's own copies of the account files from before the last change to them.
      const accounts = / etc\/(passwd|group|shadow|gshadow|subuid|subgid)-( |$)/;
      const left = difference(before, await listing(host)).filter((line) => !accounts.test(line));
      expect(left).toEqual([]);
      await host.must(['pkill', '-KILL', '-U', number, '-f', '^/bin/sleep 900']);
      expect(await uninstall(config, { ...options(), removeBackups: false, keepLogs: false })).toBe('nothing-to-do');
    });
  },
);
