import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createTokenStore } from '../../src/tokens/store.ts';
import { runNode, useBuild } from '../support/built.ts';

const build = useBuild();

it('loses nothing when several processes change it at once, one of them having died with the lock', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-tokens-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'tokens.json');
  writeFileSync(`${path}.lock`, `999999999 ${hostname()} dead`);
  const script = join(folder, 'make.mjs');
  writeFileSync(
    script,
    `import { createTokenStore } from ${JSON.stringify(build.path('src/tokens/store.js'))};
     const store = createTokenStore(${JSON.stringify(path)});
     for (let i = 0; i < 10; i += 1) await store.create({ name: process.argv[2] + '-' + i, scope: 'read' });
     for (let i = 0; i < 5; i += 1) await store.revoke(process.argv[2] + '-' + i);`,
  );
  const ended = await Promise.all(['a', 'b', 'c', 'd'].map((name) => runNode(script, [name])));
  expect(ended.map(({ code, stderr }) => ({ code, stderr }))).toEqual(Array(4).fill({ code: 0, stderr: '' }));
  const names = createTokenStore(path)
    .list()
    .map(({ name }) => name);
  expect(names.sort()).toEqual(['a', 'b', 'c', 'd'].flatMap((name) => [5, 6, 7, 8, 9].map((i) => `${name}-${i}`)));
  expect(readdirSync(folder).sort()).toEqual(['make.mjs', 'tokens.json']);
});
