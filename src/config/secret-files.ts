import { resolve } from 'node:path';
import { readSecret } from '../secret-file.ts';
import type { Reader } from './key.ts';
import { keys, secretOfFileKey } from './keys.ts';
import { type ConfigFinding, configProblem } from './problems.ts';
import type { Setting } from './setting.ts';
import { path as pathType } from './value-types.ts';

/**
 * Replaces every `KEY_FILE` by `KEY` with what the file holds (one trailing newline is taken off). A file that others
 * may read is a problem and isn't read (its key is `refused`), so that nobody keeps a secret open to the machine without noticing.
 *
 * The MCP server and the process that has the ledger open no file of a secret that they don't need, and keep none that stands in the configuration itself. The
 * worker, which reads what hosts and programs write, opens such a file where it may, to take the secret out of texts; where it
 * may not, the file is none of its business.
 *
 * @param options - `mayBeAway`: a file that can't be read is refused without a problem
 */
export function readSecretFiles(
  settings: ReadonlyMap<string, Setting>,
  folder: string,
  {
    label = '',
    reader,
    mayBeAway = false,
  }: { readonly label?: string; readonly reader?: Reader | undefined; readonly mayBeAway?: boolean } = {},
): { settings: Map<string, Setting>; refused: ReadonlySet<string>; problems: ConfigFinding[] } {
  const refused = new Set<string>();
  const result = new Map(settings);
  const problems: ConfigFinding[] = [];
  for (const setting of settings.values()) {
    const secret = secretOfFileKey(setting.key);
    const isNeeded = reader === undefined || isNeededBy(secret ?? setting.key, reader, settings);
    if (!isNeeded && reader !== 'worker') {
      result.delete(setting.key);
      // It is written, so that nobody misses it.
      refused.add(secret ?? setting.key);
      continue;
    }
    if (secret === undefined) continue;
    result.delete(setting.key);
    const refuse = (expected: string, remedy: string) => {
      refused.add(secret);
      problems.push(configProblem({ key: `${label}${setting.key}`, source: setting.source, expected, remedy }));
    };

    const other = settings.get(secret);
    if (other !== undefined) {
      refuse(`either ${secret} (${other.source}) or ${setting.key}, not both`, 'Remove one of them.');
      continue;
    }
    if (!pathType.schema.safeParse(setting.text).success) {
      const remedy = pathType.explain?.(setting.text) ?? 'Write the path of the file.';
      refuse(pathType.expected, remedy);
      continue;
    }
    const path = resolve(folder, setting.text);
    const read = readSecret(path);
    if ('text' in read)
      result.set(secret, { key: secret, text: read.text, source: `${setting.source}, file ${path}`, file: path });
    else if (isNeeded && !mayBeAway) refuse(read.expected, read.remedy);
    else refused.add(secret);
  }
  return { settings: result, refused, problems };
}

function isNeededBy(key: string, reader: Reader, settings: ReadonlyMap<string, Setting>): boolean {
  const { neededBy } = keys[key] ?? {};
  if (neededBy === undefined || neededBy.includes(reader)) return true;
  // Where there is no reading token, reads are made with the other one.
  return (
    reader === 'mcp-server' &&
    key === 'PROXMOX_TOKEN_VALUE' &&
    !settings.has('PROXMOX_READ_TOKEN_VALUE') &&
    !settings.has('PROXMOX_READ_TOKEN_VALUE_FILE')
  );
}
