import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../lab/engine.ts';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { keyPair } from '../../../lab/hosts/keys.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { typeInto } from '../../support/pseudo-terminal.ts';
import { configFolder, configOf, difference, listing, makeBare } from './sample.ts';

describe.skipIf(whyNoLab())('an administrator who logs in as ssh would', () => {
  const build = useBuild();
  let host: LabHost;
  let folder: string;
  let socket: string;
  let agent: ChildProcess;
  let before: string[];

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    folder = configFolder(host, configOf(host));
    before = await listing(host);
    socket = join(folder, 'agent.sock');
    agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    while (!existsSync(socket)) await sleep(20);
  }, startTimeoutMs);
  afterAll(async () => {
    agent?.kill();
    await host?.stop();
  });

  const add = async (...paths: string[]) => {
    const added = await run(['ssh-add', ...paths], { env: { SSH_AUTH_SOCK: socket } });
    expect(added, added.stderr).toMatchObject({ exitCode: 0 });
  };
  const others = (count: number) =>
    Array.from({ length: count }, (_, index) => {
      const path = join(folder, `other-${index}`);
      writeFileSync(path, keyPair(`other-${index}`).private, { mode: 0o600 });
      return path;
    });
  const cli = (args: string[], env: Record<string, string> = { SSH_AUTH_SOCK: socket }) =>
    runNode(build.path('src/cli.js'), ['--config-dir', folder, 'host', ...args, '--as', 'admin'], {
      // Not this machine's own ~/.ssh.
      env: { HOME: folder, ...env },
    });

  it('is told what was tried when it is the wrong keys, or none', async () => {
    const none = await cli(['install', 'lab', '--yes']);
    expect(none.code).not.toBe(0);
    expect(none.stderr).toContain('There is no SSH key here to log in with as admin on lab');
    expect(none.stderr).toMatch(/not tried: the SSH agent, which holds no key \(ssh-add/);
    await add(...others(2));
    const wrong = await cli(['install', 'lab', '--yes']);
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toMatch(
      /let admin in with none of these: the agent's key \S+, the agent's key \S+; it takes no/,
    );
    const gone = await cli(['install', 'lab', '--yes'], { SSH_AUTH_SOCK: join(folder, 'no-agent') });
    expect(gone.code).not.toBe(0);
    expect(gone.stderr).toMatch(/the SSH agent at \S+no-agent, which can't be asked/);
    expect(difference(before, await listing(host))).toEqual([]);
  });

  it('installs, checks and uninstalls with the third key', { timeout: 120_000 }, async () => {
    await add(host.admin.keyPath);
    const installed = await cli(['install', 'lab', '--yes']);
    expect(installed, installed.stderr).toMatchObject({ code: 0 });
    expect(installed.stdout).toContain('Installed on lab, and verified over new connections.');
    expect(await cli(['check', 'lab'])).toMatchObject({ code: 0 });
    expect(await cli(['uninstall', 'lab', '--yes'])).toMatchObject({ code: 0 });
  });

  it('comes in with the eighth key, though sshd hears of no more than six at once', { timeout: 120_000 }, async () => {
    await run(['ssh-add', '-D'], { env: { SSH_AUTH_SOCK: socket } });
    await add(...others(7), host.admin.keyPath);
    const planned = await cli(['install', 'lab', '--dry-run']);
    expect(planned, planned.stderr).toMatchObject({ code: 0 });
    // Nor of more than two.
    await host.writeFile('/etc/ssh/sshd_config.d/tries.conf', 'MaxAuthTries 2\n');
    await host.must(['systemctl', 'reload', 'ssh']);
    const stricter = await cli(['install', 'lab', '--dry-run']);
    expect(stricter, stricter.stderr).toMatchObject({ code: 0 });
    const named = await cli(['install', 'lab', '--dry-run', '--key', host.admin.keyPath]);
    expect(named, named.stderr).toMatchObject({ code: 0 });
    await host.must(['rm', '/etc/ssh/sshd_config.d/tries.conf']);
    await host.must(['systemctl', 'reload', 'ssh']);
  });

  it('finds every standard file, and what ~/.ssh/config names', async () => {
    const home = (name: string) => {
      const path = join(folder, name);
      mkdirSync(join(path, '.ssh'), { recursive: true });
      return path;
    };
    const standard = home('standard');
    const wrong = keyPair('wrong');
    writeFileSync(join(standard, '.ssh/id_ed25519'), wrong.private, { mode: 0o600 });
    copyFileSync(host.admin.keyPath, join(standard, '.ssh/id_rsa'));
    const found = await cli(['install', 'lab', '--dry-run'], { HOME: standard });
    expect(found, found.stderr).toMatchObject({ code: 0 });

    const configured = home('configured');
    copyFileSync(host.admin.keyPath, join(configured, '.ssh/work key'));
    writeFileSync(
      join(configured, '.ssh/config'),
      'Host lab\n  IdentityFile "~/.ssh/work key"\n  ProxyJump elsewhere\n',
    );
    const named = await cli(['install', 'lab', '--dry-run'], { HOME: configured });
    expect(named, named.stderr).toMatchObject({ code: 0 });
    writeFileSync(join(configured, '.ssh/work key'), wrong.private);
    const refused = await cli(['install', 'lab', '--dry-run'], { HOME: configured });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('none of these: ~/.ssh/work key; not tried: what ~/.ssh/config says by ProxyJump');
  });

  it('types the passphrase of a key, once, and only of one that the host takes', { timeout: 120_000 }, async () => {
    const home = join(folder, 'locked');
    mkdirSync(join(home, '.ssh'), { recursive: true });
    const lock = async (file: string, phrase: string) => {
      const path = join(home, '.ssh', file);
      const locked = await run(['ssh-keygen', '-p', '-f', path, '-N', phrase, '-P', '']);
      expect(locked, locked.stderr).toMatchObject({ exitCode: 0 });
    };
    writeFileSync(join(home, '.ssh/id_ed25519'), keyPair('other').private, { mode: 0o600 });
    await lock('id_ed25519', 'phrase of another');
    copyFileSync(host.admin.keyPath, join(home, '.ssh/id_rsa'));
    await lock('id_rsa', 'the phrase 1');
    const args = ['--config-dir', folder, 'host', 'install', 'lab', '--as', 'admin', '--dry-run'];
    const type = (phrase: string) =>
      typeInto(
        process.execPath,
        [build.path('src/cli.js'), ...args],
        { 'Passphrase of ~/.ssh/id_rsa: ': `${phrase}\r` },
        { HOME: home },
      );
    const typed = await type('the phrase 1');
    expect(typed.screen).toContain('make /etc/sudoers.d/claude-user');
    expect(typed.screen).not.toContain('the phrase 1');
    expect(typed.screen).not.toContain('Passphrase of ~/.ssh/id_ed25519');
    expect(typed.code).toBe(0);
    const gaveUp = await type('\u0003');
    expect(gaveUp.code).toBe(130);
    // Where nobody can type it.
    const alone = await cli(['install', 'lab', '--dry-run'], { HOME: home });
    expect(alone.code).not.toBe(0);
    expect(alone.stderr).toContain('~/.ssh/id_rsa, which has a passphrase (ssh-add');
  });

  it('comes in as root by a password, typed once and kept nowhere', { timeout: 240_000 }, async () => {
    const home = join(folder, 'no-key');
    mkdirSync(home, { recursive: true });
    const password = 'pw "1" $x mark8213';
    await host.must(['chpasswd'], { input: `root:${password}\n` });
    const args = (verb: string, ...more: string[]) => ['--config-dir', folder, '--debug', 'host', verb, 'lab', ...more];
    const type = (answer: string, ...more: string[]) =>
      typeInto(
        process.execPath,
        [build.path('src/cli.js'), ...args('install', '--yes', ...more)],
        { 'Password: ': `${answer}\r` },
        { HOME: home },
      );
    const never = await type(password);
    expect(never.screen).toContain('it takes no passwords');

    for (const [file, settings] of [
      ['keyboard', 'KbdInteractiveAuthentication yes\nPasswordAuthentication no\nPermitRootLogin yes\n'],
      ['password', 'KbdInteractiveAuthentication no\nPasswordAuthentication yes\nPermitRootLogin yes\n'],
    ]) {
      await host.writeFile('/etc/ssh/sshd_config.d/a-first.conf', settings ?? '');
      await host.must(['systemctl', 'reload', 'ssh']);
      const wrong = await type('not it');
      expect(wrong.screen, file).toContain('it did not accept that password');
      expect(wrong.code, file).toBe(1);
      const typed = await type(password, '--revert-after', '300');
      expect(typed.screen, file).toContain('Installed on lab, and verified over new connections.');
      expect(typed.screen, file).not.toContain('mark8213');
      expect(typed.screen.match(/Password: /g), file).toHaveLength(1);
      expect(await cli(['uninstall', 'lab', '--yes', '--key', host.admin.keyPath])).toMatchObject({ code: 0 });
    }
    const alone = await runNode(build.path('src/cli.js'), args('check'), { env: { HOME: home } });
    expect(alone.stderr).toContain('nobody is there to type a password');
  });
});
