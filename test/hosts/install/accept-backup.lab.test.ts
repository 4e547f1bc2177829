import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { defaultLayout as layout } from '../../../src/hosts/helper/default-layout.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { sample } from '../../support/exhaustive.ts';
import { keeper, startKeepersHost } from './keeper.ts';
import { lacks, lacksRecorded, published } from './published.ts';
import { difference, listing, log } from './sample.ts';

const systems = [
  { name: 'Debian 12', debian: 'bookworm' },
  { name: 'Debian 13', debian: 'trixie' },
  { name: 'Debian 13 with sudo-rs', debian: 'trixie', sudo: 'rs' },
] as const;
const id = 'daily-backup-20261122-020000';
const accepted = `${layout.state}/backups/${id}/accepted`;

describe.skipIf(whyNoLab()).each(sample(systems, 1))('a doubted archive, on $name', ({ name: _, ...kind }) => {
  const build = useBuild();
  let host: LabHost;
  let started: Awaited<ReturnType<typeof startKeepersHost>>;
  let before: string[];

  beforeAll(async () => {
    started = await startKeepersHost(kind);
    host = started.host;
    await install(started.config, { login: host.admin, log, agree: async () => true, revertAfterSeconds: 300 });
    const { archive, at, files } = published(layout, id, 2, lacksRecorded);
    for (const [path, text] of Object.entries(files)) {
      await host.must(['install', '-d', '-m', '700', join(path, '..')]);
      await host.writeFile(path, text, { mode: 0o600 });
    }
    await host.must(['touch', '-d', `@${at}`, archive]);
    before = await listing(host);
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  const cli = (...args: string[]) =>
    runNode(build.path('src/cli.js'), ['--config-dir', started.folder, 'host', 'accept-backup', 'lab', ...args]);
  const isAccepted = async () => (await host.exec(['test', '-e', accepted])).exitCode === 0;

  it('is not accepted by the service’s user, nor by who has its key', async () => {
    for (const line of [
      `sudo -n ${layout.helper} accept-backup ${id}`,
      `sudo -n ${layout.helper} now accept-backup ${id}`,
      `sudo -n ${layout.helper} job-start a - accept-backup ${id}`,
      `echo 1 | sudo -n tee ${accepted}`,
      `echo 1 >${accepted}`,
    ]) {
      const tried = await host.exec(['sh', '-c', line], { user: 'claude-user' });
      expect(tried.exitCode, line).not.toBe(0);
    }
    const key = started.config.ssh?.keyPath ?? '';
    const login = await cli(id, '--yes', '--as', 'claude-user', '--key', key);
    expect(login).toMatchObject({ code: 1, stderr: expect.stringContaining('does not let claude-user become root') });
    expect(await isAccepted()).toBe(false);
  });

  it('is shown to an administrator and accepted, and nothing else changes', { timeout: 60_000 }, async () => {
    const asKeeper = ['--as', keeper.user, '--key', host.admin.keyPath, '--sudo-password-file', started.file];
    const shown = await cli(...asKeeper);
    expect(shown.stdout, shown.stderr).toContain(
      `${lacks.map((line) => `  - ${line}\n`).join('')}There is no archive that counts.`,
    );
    expect(await isAccepted()).toBe(false);
    const said = await cli(id, '--yes', ...asKeeper);
    expect(said.stdout, said.stderr).toBe(`${id} on lab counts from now on.\n`);
    expect(said.stdout + said.stderr).not.toContain(keeper.mark);
    expect(await host.must(['stat', '-c', '%U %a', accepted])).toBe('root 600\n');
    const others = difference(before, await listing(host)).filter((line) => !line.includes(accepted.slice(1)));
    expect(others).toEqual([]);
    // As root, without sudo.
    const again = await cli(id, '--as', 'root', '--key', host.admin.keyPath);
    expect(again.stdout, again.stderr).toContain('counts already');
  });
});
