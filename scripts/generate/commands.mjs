import { readdirSync, readFileSync } from 'node:fs';

export const when = 'before-build';

/** The table of commands, from the modules in the folders of src/hosts/commands that define some. */
export function generate() {
  const folder = 'src/hosts/commands';
  const modules = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /^[a-z-]+\/[a-z-]+\.ts$/.test(path))
    .sort()
    .map((path) => {
      const source = readFileSync(`${folder}/${path}`, 'utf8');
      const found = [...source.matchAll(/^export const (\w+) = defineCommand\(\{\s*name: '([^']+)'/gm)];
      for (const [, variable, name] of found) {
        if (name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase()) !== variable)
          throw new Error(`${folder}/${path}: the command "${name}" must not be called ${variable}`);
      }
      const all = source.match(/\bdefineCommand\(/g)?.length ?? 0;
      if (all !== found.length)
        throw new Error(`${folder}/${path}: expected export const nameOfIt = defineCommand({ name: 'name-of-it', …`);
      return { path, variables: found.map(([, variable]) => variable) };
    })
    .filter(({ variables }) => variables.length > 0);
  const lines = [
    "// Made by `npm run generate` from the folders of this folder. Don't edit.",
    ...modules.map(({ path, variables }) => `import { ${[...variables].sort().join(', ')} } from './${path}';`),
    "import type { Command } from './command.ts';",
    '',
    '/** Every command that the service may run on a host: the policy, the helper, the docs and the tests are made of it. */',
    'export const table: readonly Command[] = [',
    ...modules.flatMap(({ variables }) => variables.map((variable) => `  ${variable},`)),
    '];',
    '',
  ];
  return { 'src/hosts/commands/table.generated.ts': lines.join('\n') };
}
