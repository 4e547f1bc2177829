import { readdirSync, readFileSync } from 'node:fs';

export const when = 'before-build';

/** The list of operations, from the files of src/operations that define one. */
export function generate() {
  const operations = readdirSync('src/operations')
    .filter((file) => file.endsWith('.ts') && file !== 'definition.ts')
    .sort()
    .flatMap((file) => {
      const match = /^export const (\w+) = (?:defineOperation|defineApiChange)\(\s*\{\s*name: '([^']+)'/m.exec(
        readFileSync(`src/operations/${file}`, 'utf8'),
      );
      if (!match) return [];
      const [, variable, name] = match;
      if (`${name}.ts` !== file)
        throw new Error(`src/operations/${file} defines "${name}": the file must be named after it`);
      return [{ file, variable, name }];
    });
  const lines = [
    "// Made by `npm run generate` from the files of this folder. Don't edit.",
    ...operations.map(({ file, variable }) => `import { ${variable} } from './${file}';`),
    "import type { OperationDefinition } from './definition.ts';",
    '',
    '/** Every operation, by name, with its own types. */',
    'const typed = {',
    ...operations.map(({ name, variable }) => `  ${/-/.test(name) ? `'${name}'` : name}: ${variable},`),
    '};',
    '',
    'export type OperationName = keyof typeof typed;',
    '',
    '/** Every operation, by name. */',
    'export const catalogue: Readonly<Record<OperationName, OperationDefinition>> = typed;',
    '',
  ];
  return { 'src/operations/catalogue.generated.ts': lines.join('\n') };
}
