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
  // Declared operations need no file of their own.
  const declared = readdirSync('src/operations')
    .sort()
    .flatMap((file) => {
      const source = readFileSync(`src/operations/${file}`, 'utf8');
      const [, name] = /^export const (\w+) = defineApiChange\(/m.exec(source) ?? [];
      return name === undefined ? [] : [{ name, file }];
    });
  const imports = declared.flatMap(({ name, file }) => [
    `import { ${name} as ${name}Operation } from '../operations/${file}';`,
  ]);
  if (declared.length > 0) imports.push("import { apiChangeWorkflow } from './lib/api-change.ts';");
  exports.push(...declared.map(({ name }) => `export const ${name} = apiChangeWorkflow(${name}Operation);`));
  const lines = [
    "// Made by `npm run generate` from the files of this folder. Don't edit.",
    ...imports,
    ...exports,
    '',
  ];
  return { 'src/workflows/index.generated.ts': lines.join('\n') };
}
