import { existsSync, readdirSync, readFileSync } from 'node:fs';

export const when = 'before-build';

/**
 * What the worker registers: every area of src/activities, `<area>/<area>.ts`, by the queue that its file names:
 * `export const queue = 'host'` (or 'service', or 'ledger').
 */
export function generate() {
  const folder = 'src/activities';
  const areas = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(`${folder}/${entry.name}/${entry.name}.ts`))
    .map(({ name }) => {
      const path = `./${name}/${name}.ts`;
      const source = readFileSync(`${folder}/${path}`, 'utf8');
      const factory = /^export function (create\w+Activities)\(/m.exec(source)?.[1];
      const queue = /^export const queue = '(host|service|ledger)'/m.exec(source)?.[1];
      if (!factory || !queue)
        throw new Error(`${path} must export create…Activities and queue (host, service or ledger)`);
      return { path, factory, queue };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const registry = (queue, of, needs = 'ActivityDependencies') => [
    `/** The activities of ${of}. */`,
    `export function create${queue[0].toUpperCase()}${queue.slice(1)}Activities(dependencies: ${needs}) {`,
    '  return {',
    ...areas.filter((area) => area.queue === queue).map((area) => `    ...${area.factory}(dependencies),`),
    '  };',
    '}',
  ];
  const lines = [
    "// Made by `npm run generate` from the folders of this folder. Don't edit.",
    ...areas.map((area) => `import { ${area.factory} } from '${area.path}';`),
    "import type { ActivityDependencies, LedgerDependencies } from './dependencies.ts';",
    '',
    ...registry('host', 'the hosts’ own queues'),
    '',
    ...registry('service', 'the service’s queue'),
    '',
    ...registry('ledger', 'the ledger’s queue', 'LedgerDependencies'),
    '',
  ];
  return { 'src/activities/index.generated.ts': lines.join('\n') };
}
