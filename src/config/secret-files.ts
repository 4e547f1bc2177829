import { resolve } from 'node:path';
import { readSecret } from '../secret-file.ts';
import { secretOfFileKey } from './keys.ts';
import { type ConfigFinding, configProblem } from './problems.ts';
import type { Setting } from './setting.ts';
import { path as pathType } from './value-types.ts';

/**
 * Replaces every `KEY_FILE` by `KEY` with what the file holds (one trailing newline is taken off). A file that others
 * may read is a problem and isn't read (its key is `refused`), so that nobody keeps a secret open to the machine without noticing.
 */
export function readSecretFiles(
  settings: ReadonlyMap<string, Setting>,
  folder: string,
  label = '',
): { settings: Map<string, Setting>; refused: ReadonlySet<string>; problems: ConfigFinding[] } {
  const refused = new Set<string>();
  const result = new Map(settings);
  const problems: ConfigFinding[] = [];
  for (const setting of settings.values()) {
    const secret = secretOfFileKey(setting.key);
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
    else refuse(read.expected, read.remedy);
  }
  return { settings: result, refused, problems };
}
