import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { sample } from '../../support/exhaustive.ts';
import { typeInto } from '../../support/pseudo-terminal.ts';
import { keeper, startKeepersHost } from './keeper.ts';
import { difference, listing } from './sample.ts';

const systems = [
  { name: 'Debian 12', debian: 'bookworm' },
  { name: 'Debian 13', debian: 'trixie' },
  { name: 'Debian 13 with sudo-rs', debian: 'trixie', sudo: 'rs' },
] as const;

describe.skipIf(whyNoLab()).each(sample(systems, 1))(
  'an administrator whose sudo asks for a password, on $name',
  ({ name: _, ...kind }) => {
    const build = useBuild();
    let host: LabHost;
    let folder: string;
    let file: string;
    let before: string[];

    beforeAll(async () => {
      ({ host, folder, file, before } = await startKeepersHost(kind));
    }, startTimeoutMs);
    afterAll(() => host?.stop());

    const args = (verb: string, ...more: string[]) => {
      const login = ['--as', keeper.user, '--key', host.admin.keyPath];
      return ['--config-dir', folder, '--debug', 'host', verb, 'lab', ...login, ...more];
    };
    const cli = (verb: string, ...more: string[]) => runNode(build.path('src/cli.js'), args(verb, ...more));
    const unchanged = async () => expect(difference(before, await listing(host))).toEqual([]);
    /** How often PAM has counted a wrong password; three lock the account. */
    const failures = async () => {
      const tally = await host.must(['faillock', '--user', keeper.user]);
      await host.must(['faillock', '--user', keeper.user, '--reset']);
      return tally.split('\n').filter((line) => / V *$/.test(line)).length;
    };
    // sudo-rs counts it already when it is asked whether it would ask.
    const asked = 'sudo' in kind ? 1 : 0;

    it('installs, checks and uninstalls, and the password is nowhere', { timeout: 240_000 }, async () => {
      const watch = watchProcesses(keeper.mark);
      const said: string[] = [];
      try {
        for (const [verb, ...more] of [
          ['install', '--yes', '--revert-after', '300'],
          ['check'],
          ['install', '--yes'],
          ['uninstall', '--yes'],
        ]) {
          const ran = await cli(verb ?? '', '--sudo-password-file', file, ...(more as string[]));
          expect(ran, ran.stderr + ran.stdout).toMatchObject({ code: 0 });
          said.push(ran.stdout + ran.stderr);
        }
      } finally {
        await watch.stop();
      }
      const { scans, seen } = await watch.stop();
      expect(seen).toEqual([]);
      expect(scans).toBeGreaterThan(50);
      expect(said[0]).toContain('Installed on lab, and verified over new connections.');
      expect(said[1]).toContain('lab is as it should be.');
      expect(said[2]).toContain('lab is as it should be: nothing to do.');
      expect(said[3]).toContain('Uninstalled from lab.');
      expect(said.join('\n')).not.toContain(keeper.mark);
      expect(said.join('\n')).not.toMatch(/\[sudo|lecture|usual lecture|Password:/i);
      // The pattern comes on standard input, as it would find itself in the log of processes.
      const logs =
        'cat >/dev/shm/p; grep -rlaFf /dev/shm/p /var/log /run /tmp /var/tmp /home 2>/dev/null; journalctl --no-pager 2>/dev/null | grep -cFf /dev/shm/p; rm /dev/shm/p';
      expect((await host.exec(['sh', '-c', logs], { input: `${keeper.mark}\n` })).stdout).toBe('0\n');
      const accounts = / etc\/(passwd|group|shadow|gshadow|subuid|subgid)-( |$)/;
      expect(difference(before, await listing(host)).filter((line) => !accounts.test(line))).toEqual([]);
      before = await listing(host);
    });

    it('says so when it is the wrong one, and counts no failed login', async () => {
      const wrong = join(folder, 'wrong');
      writeFileSync(wrong, 'wrong-horse\n', { mode: 0o600 });
      const ran = await cli('install', '--yes', '--sudo-password-file', wrong);
      expect(ran).toMatchObject({ code: expect.not.stringMatching('0') });
      expect(ran.stderr).toContain(`This is not the password of ${keeper.user} on lab`);
      expect(ran.stdout + ran.stderr).not.toContain('wrong-horse');
      expect(await failures()).toBe(asked);
      // Where the account is not of this host, sudo alone can tell: it gets one password, and no second.
      await host.must(['chmod', 'o-x', '/usr/sbin/unix_chkpwd']);
      const told = await cli('install', '--yes', '--sudo-password-file', wrong);
      await host.must(['chmod', 'o+x', '/usr/sbin/unix_chkpwd']);
      expect(told.stderr).toContain(`did not accept this password from ${keeper.user}`);
      expect(told.stdout + told.stderr).not.toContain('wrong-horse');
      expect(await failures()).toBeLessThan(3);
      await unchanged();
    });

    it.runIf(asked === 0)('asks on the terminal, without echo', async () => {
      const typed = await typeInto(process.execPath, [build.path('src/cli.js'), ...args('install', '--dry-run')], {
        [`Password of sudo for ${keeper.user} on lab: `]: `${keeper.password}\n`,
      });
      expect(typed.screen).toContain('To install on lab:');
      expect(typed).toMatchObject({ code: 0 });
      expect(typed.screen).not.toContain(keeper.mark);
      await unchanged();
    });

    it.runIf(asked === 0)('refuses what it can not use, and asks nobody where there is no terminal', async () => {
      const nobody = await cli('check');
      expect(nobody.stderr).toContain('without a password');
      expect(nobody.stderr).toContain('--sudo-password-file');
      const open = join(folder, 'open');
      writeFileSync(open, `${keeper.password}\n`, { mode: 0o644 });
      expect((await cli('check', '--sudo-password-file', open)).stderr).toContain('others may read');
      expect((await cli('check', '--sudo-password-file', join(folder, 'none'))).stderr).toContain('ENOENT');
      await host.must(['gpasswd', '--delete', keeper.user, 'sudo']);
      const none = await cli('check', '--sudo-password-file', file);
      await host.must(['usermod', '-aG', 'sudo', keeper.user]);
      expect(none.stderr).toMatch(/does not let keeper become root/);
      expect(none.stderr).not.toContain(keeper.mark);
    });
  },
);

/** Looks at arguments and environment of every process, this machine's and its containers', until it is stopped. */
function watchProcesses(mark: string): { stop(): Promise<{ scans: number; seen: string[] }> } {
  const seen = new Set<string>();
  let scans = 0;
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        for (const part of ['cmdline', 'environ']) {
          const text = readIfThere(`/proc/${pid}/${part}`);
          if (text.includes(mark)) seen.add(text.replaceAll('\0', ' '));
        }
      }
      scans += 1;
      await sleep(20);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await watching;
      return { scans, seen: [...seen] };
    },
  };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
