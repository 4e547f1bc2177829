import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** What the rule says to a file, in a folder of its own. */
function lint(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-lint-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const plugins = [join(root, 'scripts/lint/synchronous-validators.grit')];
  writeFileSync(join(folder, 'biome.json'), JSON.stringify({ plugins }));
  writeFileSync(join(folder, 'some.ts'), source);
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  const { stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', 'some.ts'], { cwd: folder, encoding: 'utf8' });
  return `${stdout}${stderr}`;
}

it('is a rule for the workflows', () => {
  expect(readFileSync(join(root, 'biome.json'), 'utf8')).toContain('./scripts/lint/synchronous-validators.grit');
});

// Temporal doesn't wait for a validator's promise: an asynchronous one would let every answer in.
it.each([
  ['export const options = { async validator(given: string) { if (given === "") throw new Error(given); } };'],
  ['export const options = { validator: async (given: string) => { if (given === "") throw new Error(given); } };'],
])('lint refuses an asynchronous validator: %s', (source) => {
  expect(lint(source)).toContain('has to be synchronous');
});

it('and takes one that is synchronous', () => {
  const source = 'export const options = { validator(given: string) { if (given === "") throw new Error(given); } };';
  expect(lint(source)).toMatch(/^Checked 1 file/m);
  expect(lint(source)).not.toContain('synchronous');
});
