import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { identify } from '../../src/service/process-identity.ts';
import { buildTemporal } from '../../src/service/temporal-build.ts';
import { afterwards, temporaryFolder } from './temporary.ts';

/** A `go` that compiles for ever, in a child of its own. */
const slowGo = (pids: string) => `#!/bin/sh
case $1 in
  env) echo '{"GOVERSION":"go1.26.8","GOMODCACHE":"/nonexistent"}' ;;
  list) printf 'a\\nb\\n' ;;
  build) sleep 600 & echo "$$ $!" >'${pids}.new'; mv '${pids}.new' '${pids}'; wait ;;
esac
`;

it('ends the compilers at once when it is given up, and leaves nothing', async () => {
  const folder = temporaryFolder();
  const pids = join(folder, 'pids');
  const cache = join(folder, 'cache');
  for (const name of ['bin', 'cache']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'bin/go'), slowGo(pids), { mode: 0o755 });
  const { PATH } = process.env;
  process.env.PATH = `${folder}/bin:${PATH}`;
  afterwards(() => {
    process.env.PATH = PATH;
  });

  const stop = new AbortController();
  const built = buildTemporal(join(cache, 'temporal'), () => {}, stop.signal);
  built.catch(() => {});
  await expect.poll(() => existsSync(pids), { timeout: 10_000 }).toBe(true);
  const running = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
  expect(running.map((pid) => identify(pid) !== undefined)).toEqual([true, true]);
  stop.abort();
  await expect(built).rejects.toThrow();
  await expect
    .poll(() => running.map((pid) => identify(pid) !== undefined), { timeout: 5_000 })
    .toEqual([false, false]);
  expect(readdirSync(cache)).toEqual([]);
});
