import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../lab/engine.ts';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { keyPair } from '../../../lab/hosts/keys.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { configFolder, configOf, difference, listing, makeBare } from './sample.ts';

describe.skipIf(whyNoLab())('an administrator whose key is in an SSH agent', () => {
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

  it('is told what the agent holds when it is the wrong keys, or none', async () => {
    const none = await cli(['install', 'lab', '--yes']);
    expect(none.code).not.toBe(0);
    expect(none.stderr).toMatch(/SSH agent.*\n?.*ssh-add/s);
    await add(...others(2));
    const wrong = await cli(['install', 'lab', '--yes']);
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toContain('refused every key of the SSH agent for the user admin');
    const gone = await cli(['install', 'lab', '--yes'], { SSH_AUTH_SOCK: join(folder, 'no-agent') });
    expect(gone.code).not.toBe(0);
    expect(gone.stderr).toMatch(/SSH agent/);
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

  it('names the file of the right key where sshd hears of no more than six', async () => {
    await run(['ssh-add', '-D'], { env: { SSH_AUTH_SOCK: socket } });
    await add(...others(7), host.admin.keyPath);
    const tooMany = await cli(['check', 'lab']);
    expect(tooMany.code).not.toBe(0);
    expect(tooMany.stderr).toMatch(/SSH agent/);
    expect(tooMany.stderr).toContain('--key');
    const named = await cli(['install', 'lab', '--dry-run', '--key', host.admin.keyPath]);
    expect(named, named.stderr).toMatchObject({ code: 0 });
  });
});
