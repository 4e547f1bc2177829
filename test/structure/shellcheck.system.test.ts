import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { acceptBackup } from '../../src/hosts/commands/back-up/archives.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateBrought, generateHelper } from '../../src/hosts/helper/generate-helper.ts';
import { sampleCommands } from '../hosts/helper/sample.ts';

const isThere = spawnSync('shellcheck', ['--version']).status === 0;
// Under CI it is always there: the tests fail instead of being left out.
const isSkipped = !isThere && !process.env.CI;
if (isSkipped) console.error('\nNOT TESTED: shellcheck is missing (Debian: apt install shellcheck).\n');

const folder = mkdtempSync(join(tmpdir(), 'pmx-shellcheck-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Everything of the project that a shell reads, beside what is generated. */
const scripts = [
  ...execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', '*.sh', '.ci/run'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter(Boolean),
];

it('knows the scripts', () => {
  expect(scripts.length).toBeGreaterThan(25);
  expect(scripts).toEqual(expect.arrayContaining(['.ci/run', 'install.sh', 'src/hosts/helper/fence.sh']));
});

it.skipIf(isSkipped).each(scripts)('%s has nothing that shellcheck complains of', (path) => {
  expect(complaints(path)).toBe('');
});

it.skipIf(isSkipped)('nor has the helper as it is generated, of the real commands and of those of the tests', () => {
  expect(complaints('sudoers/proxmox-mcp-helper', silenced)).toBe('');
  const sample = join(folder, 'helper');
  writeFileSync(sample, generateHelper(defaultLayout, { commands: sampleCommands }));
  expect(complaints(sample, silenced)).toBe('');
});

it.skipIf(isSkipped)('nor has a command that is brought to a host', () => {
  const script = join(folder, 'brought');
  writeFileSync(script, generateBrought(defaultLayout, acceptBackup));
  // What the helper's other parts set, and nothing of it calls here.
  expect(complaints(script, [...silenced, 'SC2154'])).toBe('');
});

/** What parts silence for themselves, where it is looked at as such: in the whole, one function's names look like another's. */
const silenced = ['SC2015', 'SC2016', 'SC2030', 'SC2031', 'SC2064', 'SC2094', 'SC2317'];

function complaints(path: string, without: readonly string[] = []): string {
  const options = ['--external-sources', '--format=gcc', ...without.map((code) => `--exclude=${code}`)];
  const { stdout, stderr, error } = spawnSync('shellcheck', [...options, path], { encoding: 'utf8' });
  return error ? error.message : stdout + stderr;
}
