// Takes out of a build what no process of the image loads: other platforms' native parts, development's leftovers.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const releases = 'node_modules/@temporalio/core-bridge/releases';
const rust = { x64: 'x86_64', arm64: 'aarch64' }[process.arch];
const own = readdirSync(releases).filter((name) => name === `${rust}-unknown-linux-gnu`);
if (own.length === 0) throw new Error(`@temporalio/core-bridge has nothing for ${process.arch}`);
for (const name of readdirSync(releases).filter((name) => !own.includes(name))) remove(join(releases, name));
for (const source of ['sdk-core', 'src', 'bridge-macros', 'ts']) {
  remove(join('node_modules/@temporalio/core-bridge', source));
}
// The demo and the benchmarks are started from a checkout alone.
for (const name of ['dist/lab', 'dist/bench', 'dist/.built', 'dist/.tsbuildinfo']) remove(name);
// Types, tests' sources and documentation of packages; their licences stay.
for (const entry of readdirSync('node_modules', { recursive: true, withFileTypes: true })) {
  if (
    entry.isFile() &&
    /\.(d\.[cm]?ts|[cm]?ts|[cm]?js\.map|md|markdown)$/i.test(entry.name) &&
    !/^licen[sc]e/i.test(entry.name)
  ) {
    remove(join(entry.parentPath, entry.name));
  }
}

function remove(path) {
  rmSync(path, { recursive: true, force: true });
}
