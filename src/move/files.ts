import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { peopleFile } from '../people/store.ts';
import { replacePrivateFile } from '../private-file.ts';
import { sharedMode } from '../private-json.ts';
import { tokensFile } from '../tokens/store.ts';
import { type MoveFolder, makePrivateFolder } from './move-folder.ts';
import type { FileMoveContext, FileStore, MoveOutcome } from './store.ts';

interface FileOptions {
  readonly name: string;
  readonly what: string;
  /** Where it stands. */
  readonly path: (context: FileMoveContext) => string;
  /** A new one is whose this is, and for its group; else its folder's owner's. */
  readonly like?: (context: FileMoveContext) => string;
  /** Both in one, where that can be done; undefined where the two contradict each other. */
  readonly merge?: (here: string, brought: string) => string | undefined;
}

/** A store that is one small file. */
function fileStore({ name, what, path, like, merge }: FileOptions): FileStore {
  return {
    name,
    keptBy: 'files',
    async export(context, into) {
      const from = path(context);
      if (!existsSync(from)) return { text: `no ${what}` };
      into.take(from, name);
      return { text: what };
    },
    async import(context, from) {
      return bring(path(context), context, from);
    },
  };

  function bring(to: string, context: FileMoveContext, from: MoveFolder): MoveOutcome {
    if (!from.has(name)) return { text: `no ${what}` };
    const brought = readFileSync(join(from.path, name), 'utf8');
    const here = existsSync(to) ? readFileSync(to, 'utf8') : undefined;
    if (here === brought) return { text: `${what}, as here already` };
    const all = here === undefined ? brought : merge?.(here, brought);
    if (all === undefined) throw another(what, to, join(from.path, name), name);
    if (!context.dryRun) {
      makePrivateFolder(dirname(to));
      replacePrivateFile(to, all, like?.(context), sharedMode(to));
    }
    return { text: here === undefined ? what : `${what}, added to those that are here` };
  }
}

/** Names are unique; whoever has the same name on both sides must be the same. */
function mergeNamed(key: 'tokens' | 'people') {
  const content = z.looseObject({ [key]: z.array(z.looseObject({ name: z.string() })) });
  return (here: string, brought: string): string | undefined => {
    const [ours, theirs] = [here, brought].map((text) => content.safeParse(JSON.parse(text)).data);
    const mine = ours?.[key] as readonly { readonly name: string }[] | undefined;
    const others = theirs?.[key] as readonly { readonly name: string }[] | undefined;
    if (mine === undefined || others === undefined) return undefined;
    const isOther = (one: { readonly name: string }) => {
      const same = mine.find(({ name }) => name === one.name);
      return same !== undefined && JSON.stringify(same) !== JSON.stringify(one);
    };
    if (others.some(isOther)) return undefined;
    const missing = others.filter(({ name }) => !mine.some((one) => one.name === name));
    return `${JSON.stringify({ ...ours, [key]: [...mine, ...missing] }, null, 2)}\n`;
  };
}

function mergeLines(here: string, brought: string): string {
  const lines = here.split('\n').filter((line) => line !== '');
  const missing = brought.split('\n').filter((line) => line !== '' && !lines.includes(line));
  return [...lines, ...missing, ''].join('\n');
}

function another(what: string, path: string, brought: string, name: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${path} is there already and says something else than ${brought}, and the two ${what} can't be made one`,
    remedy: `Compare them. To bring the other one: move ${path} away, then import again. To keep this one: --skip ${name}`,
  });
}

/** What else stands in files: bearer tokens (their hashes), people, pinned host keys, the policy. */
export const fileStores: readonly FileStore[] = [
  fileStore({
    name: 'tokens',
    what: 'tokens of MCP clients',
    path: ({ config }) => tokensFile(config.accessDir),
    merge: mergeNamed('tokens'),
  }),
  fileStore({
    name: 'people',
    what: 'people',
    path: ({ config }) => peopleFile(config.accessDir),
    merge: mergeNamed('people'),
  }),
  fileStore({
    name: 'known-hosts',
    what: 'pinned host keys',
    path: ({ config }) => join(config.dataDir, 'known_hosts'),
    merge: mergeLines,
  }),
  fileStore({
    name: 'policy',
    what: 'policy.yaml',
    path: ({ configFolder }) => join(configFolder, 'policy.yaml'),
    // In an installation that folder is root's, and the ledger's process reads in it what its group may.
    like: ({ configFolder }) => join(configFolder, '.env'),
  }),
];
