// Writes what is made from the sources: `generate.mjs before-build|after-build [--check]`.
// Every file of scripts/generate/ is one generator: `export const when` (before-build works from the sources' text,
// after-build may import dist) and `export function generate()`, which returns { path: content } or a promise of it.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const [when, check] = [process.argv[2], process.argv.includes('--check')];
const stale = [];

for (const file of readdirSync('scripts/generate')
  .filter((name) => name.endsWith('.mjs'))
  .sort()) {
  const generator = await import(`./generate/${file}`);
  if (generator.when !== when) continue;
  for (const [path, content] of Object.entries(await generator.generate())) {
    if (existsSync(path) && readFileSync(path, 'utf8') === content) continue;
    if (check) {
      stale.push(path);
    } else {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
      console.log(`· wrote ${path}`);
    }
  }
}

if (stale.length > 0) {
  console.error(`Not what the sources say: ${stale.join(', ')}. Run npm run generate and commit what it writes.`);
  process.exitCode = 1;
}
