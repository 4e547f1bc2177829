import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const pinned = fileURLToPath(new URL('./node-24', import.meta.url));
const folder = fileURLToPath(new URL('../../.cache/node-24', import.meta.url));
const program = join(folder, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');

/**
 * The Node.js of the container image, for machines that have another one: the path of its program, got from npm's registry
 * the first time. Undefined where this process runs on it already, and, loudly, where there is no package for this machine.
 * `run(argv)` runs a program to its end and returns its exit code.
 */
export function otherNode(run) {
  if (process.versions.node.startsWith('24.')) return undefined;
  if (!existsSync(program)) {
    cpSync(pinned, folder, { recursive: true });
    run(['npm', 'ci', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error']);
    if (!existsSync(program)) {
      const why = `no Node.js 24 could be had from npm for ${process.platform} ${process.arch}`;
      if (process.env.CI) throw new Error(`The unit tests can't run on the image's Node.js: ${why}`);
      console.log(`NOT TESTED on Node.js 24: ${why}`);
      return undefined;
    }
  }
  return program;
}
