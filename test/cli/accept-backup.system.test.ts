import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { configurationFolder } from '../config/folder.ts';
import { lacks, lacksRecorded, publishHere } from '../hosts/install/published.ts';
import { runNode, useBuild } from '../support/built.ts';
import { typeInto } from '../support/pseudo-terminal.ts';

vi.setConfig({ testTimeout: 120_000 });
const build = useBuild();
const older = 'daily-backup-20261121-020000';
const newer = 'daily-backup-20261122-020000';

/** A host that is this machine, whose state is this user's own. */
function makeHost() {
  const folder = configurationFolder();
  const layout = { ...defaultLayout, state: join(folder, 'state'), backups: join(folder, 'backups') };
  const settings = ['HOST_NAME=pve1', 'ENABLE_LOCAL_EXECUTION=true', 'LOCAL_SUDO=false'];
  const set = [...settings, `STATE_DIR=${layout.state}`, `BACKUP_DIR=${layout.backups}`].flatMap((one) => [
    '--set',
    one,
  ]);
  const args = (...more: string[]) => ['--config-dir', folder, ...set, 'host', 'accept-backup', ...more];
  return {
    publish: (id: string, hoursAgo: number, doubts?: readonly string[]) => publishHere(layout, id, hoursAgo, doubts),
    args,
    cli: (...more: string[]) => runNode(build.path('src/cli.js'), args(...more)),
    isAccepted: () => existsSync(join(layout.state, 'backups', newer, 'accepted')),
  };
}

describe('host accept-backup', () => {
  it('lists what is doubted with what it lacks, and the last good one', async () => {
    const { cli, publish } = makeHost();
    publish(older, 30);
    expect(await cli('pve1')).toMatchObject({ code: 0, stdout: 'No archive on pve1 is doubted.\n' });
    publish(newer, 2, lacksRecorded);
    const { code, stdout } = await cli('pve1');
    expect(code).toBe(0);
    const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`;
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(`^${newer} \\(10 B, ${time}\\) is doubted:$`),
      ...lacks.map((line) => `  - ${line}`),
      expect.stringMatching(`^The last good one: ${older} \\(10 B, ${time}\\)$`),
      'To let one count, if it is as it should be: npx proxmox-mcp host accept-backup pve1 ID',
      '',
    ]);
  });

  it('asks a person, and without one or a yes accepts nothing', async () => {
    const { cli, args, publish, isAccepted } = makeHost();
    publish(newer, 2, lacksRecorded);
    expect(await cli('pve1', newer)).toMatchObject({ code: 2, stderr: expect.stringContaining(lacks[1] ?? '') });
    expect(await cli('pve1', '--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('none is named') });
    const asked = [build.path('src/cli.js'), ...args('pve1', newer)];
    const type = (answer: string) => typeInto(process.execPath, asked, { 'Type yes: ': answer });
    const { code, screen } = await type('no\n');
    expect(screen).toContain(`- ${lacks[0]}`);
    expect(screen).toContain('There is no archive that counts.');
    expect(code).not.toBe(0);
    expect(isAccepted()).toBe(false);
    expect(await type('yes\n')).toMatchObject({ code: 0, screen: expect.stringContaining('counts from now on') });
    expect(isAccepted()).toBe(true);
  });

  it('accepts the one that is named with --yes, once', async () => {
    const { cli, publish, isAccepted } = makeHost();
    publish(newer, 2, lacksRecorded);
    expect(await cli('pve1', newer, '--yes')).toMatchObject({
      code: 0,
      stdout: `${newer} on pve1 counts from now on.\n`,
      stderr: expect.stringContaining(lacks[0] ?? ''),
    });
    expect(isAccepted()).toBe(true);
    expect((await cli('pve1', newer, '--yes')).stdout).toContain('counts already');
    expect((await cli('pve1')).stdout).toContain('No archive');
  });

  it.each([
    [['pve1', older, '--yes'], `There is no archive ${older}`],
    [['pve1', 'newest', '--yes'], 'Id of a backup: daily-backup-YYYYMMDD-HHMMSS'],
    [['pve9', newer], 'There is no host named pve9'],
    [['pve1', newer, older], 'too many arguments'],
  ])('%j is an error that says what is expected', async (more, said) => {
    const { cli, publish, isAccepted } = makeHost();
    publish(newer, 2, lacksRecorded);
    const { code, stderr } = await cli(...more);
    expect(code).not.toBe(0);
    expect(stderr).toContain(said);
    expect(isAccepted()).toBe(false);
  });
});
