import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

export interface Import {
  /** A file from the project's folder (`src/errors.ts`), or a package's name (`ssh2`, `node:fs`). */
  readonly of: string;
  /** `import type`: gone when the program runs. */
  readonly typesOnly: boolean;
  /** `import('…')`, when it is needed. */
  readonly dynamic: boolean;
}

export interface Source {
  /** From the project's folder: `src/errors.ts`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const statement =
  /^(?:import|export)\s+(type\s)?(?:(?!^(?:import|export)\s)[^;'])*?from\s+'([^']+)'|^import\s+'([^']+)'/gms;
const call = /\bimport\(\s*'([^']+)'\s*\)/g;

/** Every TypeScript file below these folders. */
export function readSources(...folders: readonly string[]): Source[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    )
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, imports: importsOf(path, text) };
    });
}

function importsOf(path: string, text: string): Import[] {
  const resolved = (of = '') => (of.startsWith('.') ? join(dirname(path), of) : packageOf(of));
  return [
    ...[...text.matchAll(statement)].map(([, type, from, bare]) => ({
      of: resolved(from ?? bare),
      typesOnly: type !== undefined,
      dynamic: false,
    })),
    ...[...text.matchAll(call)].map(([, of]) => ({ of: resolved(of), typesOnly: false, dynamic: true })),
  ];
}

/** `@temporalio/client/lib/helpers.js` is of `@temporalio/client`. */
function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What these files need when they run, themselves included: the files and the packages, found from import to import. */
export function closureOf(sources: readonly Source[], ...start: readonly string[]): ReadonlySet<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const { of, typesOnly } of byPath.get(path)?.imports ?? []) if (!typesOnly) visit(of);
  };
  start.forEach(visit);
  return seen;
}
