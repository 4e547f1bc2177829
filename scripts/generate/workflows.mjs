import { existsSync, readdirSync, readFileSync } from 'node:fs';

export const when = 'before-build';

/** What the worker registers: every workflow function that a file of src/workflows (not of its folders) exports. */
export function generate() {
  if (!existsSync('src/workflows')) return {};
  const exports = readdirSync('src/workflows')
    .filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
    .sort()
    .flatMap((file) => {
      const source = readFileSync(`src/workflows/${file}`, 'utf8');
      const names = [...source.matchAll(/^export (?:async function|const) (\w+)/gm)].map(([, name]) => name);
      return names.length === 0 ? [] : [`export { ${names.sort().join(', ')} } from './${file}';`];
    });
  const lines = ["// Made by `npm run generate` from the files of this folder. Don't edit.", ...exports, ''];
  return { 'src/workflows/index.generated.ts': lines.join('\n') };
}
