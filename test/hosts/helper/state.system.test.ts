import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import type { HostConfig, HostLayout } from '../../../src/config.ts';
import { stopChanges } from '../../../src/hosts/commands/approve/switch.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { publishBackup } from '../../../src/hosts/commands/back-up/make-backup.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { Argv, Executor } from '../../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { describeHelper } from '../../../src/hosts/helper/state.ts';
import { createLocalExecutor } from '../../../src/hosts/local/executor.ts';

/** A host whose helper is this text, made for `there`; the service is configured for `here`. `ran`: what the helper was asked. */
function hostWith(made: (layout: HostLayout) => string, changes: Partial<HostLayout> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-helper-state-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const there: HostLayout = { ...defaultLayout, backups: join(folder, 'b'), helper: join(folder, 'helper') };
  writeFileSync(there.helper, made(there), { mode: 0o755 });
  const config: HostConfig = {
    name: 'pve1',
    local: { sudo: false },
    layout: { ...there, ...changes },
    timeZone: 'UTC',
  };
  const local = createLocalExecutor({ name: 'pve1', log: pino({ level: 'silent' }) });
  const ran: Argv[] = [];
  const executor: Executor = {
    ...local,
    exec: async (argv, options) => {
      if (argv[0] !== there.helper) return await local.exec(argv, options);
      ran.push(argv);
      return { exitCode: 0, stdout: '', stderr: '', stdoutBytes: 0, stderrBytes: 0, truncated: false, durationMs: 1 };
    },
  };
  const host = createHosts({ hosts: [config], executorFor: () => executor, checkHelper: true }).get('pve1');
  const look = () => host.run(listBackups, {}).catch((error: Error) => error);
  const backup = { backup: 'daily-backup-20260101-000000', sha256: 'a'.repeat(64) };
  const change = () => host.job(publishBackup, backup, { id: 'x', fence: { host: 1 } });
  return { host, config, look, change, ran };
}

it('the helper that was installed for this configuration is run, wherever its commands live', async () => {
  for (const home of ['/root', '/home/somebody']) {
    const { host, config, look, ran } = hostWith((layout) => generateHelper(layout, { home }));
    expect(await host.helper()).toEqual({ kind: 'current' });
    await look();
    expect(ran).toHaveLength(1);
    expect(describeHelper(config, await host.helper())).toBeUndefined();
  }
});

it('a folder of backups that only .env knows stops everything before it begins, and says what to do', async () => {
  const { host, config, look, change, ran } = hostWith(generateHelper, { backups: '/srv/backups' });
  const error = {
    code: 'helper-differs',
    message: expect.stringMatching(
      /^The helper on pve1 .*: BACKUP_DIR is \S+\/b there, \/srv\/backups here; so nothing was done there$/,
    ),
    remedy: expect.stringMatching(/^Run: npx proxmox-mcp host install pve1\./),
  };
  expect(await look()).toMatchObject(error);
  await expect(change()).rejects.toMatchObject(error);
  expect(ran).toEqual([]);
  expect(describeHelper(config, await host.helper())).toContain('BACKUP_DIR is ');
});

it('a helper of another version may look, and changes nothing', async () => {
  const old = (layout: HostLayout) => generateHelper(layout).replace(/_version=\w+/, '_version=0');
  const { host, look, change, ran } = hostWith(old);
  expect(await host.helper()).toEqual({ kind: 'version' });
  await look();
  expect(ran).toHaveLength(1);
  await expect(change()).rejects.toMatchObject({
    code: 'helper-differs',
    message: /of another version of this service/,
  });
  expect(ran).toHaveLength(1);
  // Changes can be stopped by whatever helper is there.
  await host.run(stopChanges, { by: 'person:anna', why: 'test' });
  expect(ran.at(-1)?.slice(1)).toEqual(['stop-changes', 'person:anna', 'test']);
  // One that is so old that it doesn't say which it is.
  const older = hostWith((layout) => generateHelper(layout).replace(/ {2}readonly _version=\w+\n/, ''));
  expect(await older.host.helper()).toEqual({ kind: 'version' });
});

it('a host whose commands name other containers may still be looked at', async () => {
  const { look, change, ran } = hostWith(generateHelper, { containers: ['other'] });
  await look();
  expect(ran).toHaveLength(1);
  await expect(change()).rejects.toMatchObject({ code: 'helper-differs' });
});

it('what stands in its place is named, and one that is missing is left to who calls it', async () => {
  expect(await hostWith(() => 'something else\n').host.helper()).toEqual({ kind: 'foreign' });
  const missing = hostWith(generateHelper);
  rmSync(missing.config.layout.helper);
  expect(await missing.host.helper()).toEqual({ kind: 'unknown' });
});
