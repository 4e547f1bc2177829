import { isHostKey, isKey, keys } from './keys.ts';
import { type ConfigFinding, configProblem, configWarning } from './problems.ts';
import type { HostEntry, Setting } from './setting.ts';
import { nearestKey, nearMiss } from './suggest.ts';

/** What the environment of the process says about our keys; mistyped ones are warned about, the rest isn't ours. */
export function pickEnvironment(env: Readonly<Record<string, string | undefined>>): {
  settings: Setting[];
  warnings: ConfigFinding[];
} {
  const settings: Setting[] = [];
  const warnings: ConfigFinding[] = [];
  for (const [key, text] of Object.entries(env)) {
    if (text === undefined) continue;
    if (isKey(key)) settings.push({ key, text, source: 'the environment' });
    else {
      const meant = nearMiss(key, text);
      if (meant !== undefined) {
        const summary = 'it is not a key of Proxmox MCP, so it was ignored.';
        warnings.push(configWarning({ key, source: 'the environment', summary, remedy: `Did you mean ${meant}?` }));
      }
    }
  }
  return { settings, warnings };
}

/** `KEY=value` of the command line's `--set`. */
export function parseAssignments(assignments: readonly string[]): { settings: Setting[]; problems: ConfigFinding[] } {
  const settings: Setting[] = [];
  const problems: ConfigFinding[] = [];
  for (const assignment of assignments) {
    const [, key, text] = /^\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*)$/s.exec(assignment) ?? [];
    if (key !== undefined && text !== undefined && !keys[key]?.secret) settings.push({ key, text, source: '--set' });
    else if (key !== undefined) {
      const remedy = `Write it into .env, or name a file that holds it: --set ${key}_FILE=PATH.`;
      // Arguments of a process can be read by every user of the machine.
      problems.push(configProblem({ key, source: '--set', expected: 'no secret on the command line', remedy }));
    } else
      problems.push(
        configProblem({
          key: '--set',
          source: 'the command line',
          expected: 'KEY=value',
          remedy: 'Write e.g. --set MCP_PORT=8081.',
        }),
      );
  }
  return { settings, problems };
}

/**
 * Later layers win; an empty value counts as not written in its layer. `KEY` and `KEY_FILE` say the same thing, so that
 * one of a later layer takes the other of an earlier one out; both in one layer stay and are reported where the files
 * are read.
 */
export function mergeLayers(...layers: readonly (readonly Setting[])[]): Map<string, Setting> {
  const merged = new Map<string, Setting>();
  for (const layer of layers) {
    const written = layer.filter(({ text }) => text.trim() !== '');
    for (const { key } of written) {
      merged.delete(key.endsWith('_FILE') ? key.slice(0, -'_FILE'.length) : `${key}_FILE`);
    }
    for (const setting of written) {
      // A password may begin or end with a blank; .env has taken away those that aren't quoted.
      const text = keys[setting.key]?.type.exact ? setting.text : setting.text.trim();
      merged.set(setting.key, { ...setting, text });
    }
  }
  return merged;
}

/**
 * Keys of a file or of `--set` that are there without a value. Where nothing is the default that is what they say;
 * elsewhere the default would be taken in silence. (In the environment they count as not written: Docker Compose passes
 * variables on like that.)
 */
export function emptyValues(settings: readonly Setting[], label = ''): ConfigFinding[] {
  return settings.flatMap(({ key: name, text, source }) => {
    const key = keys[name];
    if (text.trim() !== '' || key === undefined) return [];
    const otherwise = key.defaultText ?? key.default;
    if (otherwise === undefined) return [];
    const remedy = `Write e.g. ${name}=${key.example}, or remove the line to have the default: ${otherwise}.`;
    const place = { key: `${label}${name}`, source };
    return [configProblem({ ...place, expected: key.type.expected, found: 'nothing', remedy })];
  });
}

/** Keys that nobody knows, each with the known one that it most likely stands for. Values aren't shown. */
export function unknownKeys(settings: readonly Setting[]): ConfigFinding[] {
  return settings.filter(({ key }) => !isKey(key)).map((setting) => unknownKey(setting, setting.key));
}

/** Keys in entries of hosts.yaml that are unknown or belong to the service instead of a host. */
export function misplacedKeys(entries: readonly HostEntry[]): ConfigFinding[] {
  return entries.flatMap(({ name, settings }) =>
    settings
      .filter(({ key }) => !isHostKey(key) || key === 'HOST_NAME')
      .map((setting) => {
        const place = { key: `${name}.${setting.key}`, source: setting.source };
        if (setting.key === 'HOST_NAME') {
          const remedy = `Remove it: the entry's own key, ${name}, is the host's name.`;
          return configProblem({ ...place, expected: 'no HOST_NAME in hosts.yaml', remedy });
        }
        if (!isKey(setting.key)) return unknownKey(setting, place.key);
        const expected = 'a key of one host; this one is for the whole service';
        return configProblem({ ...place, expected, remedy: 'Move it to .env.' });
      }),
  );
}

function unknownKey({ key, text, source }: Setting, label: string): ConfigFinding {
  const expected = 'a known key';
  const meant = nearestKey(key, text);
  // What is neither near a key nor written like one may be a line of a pasted private key: not shown.
  if (meant === undefined && !/^[A-Z][A-Z0-9_]{0,40}$/.test(key)) {
    return configProblem({ key: 'this line', source, expected, remedy: 'Correct or remove the line.' });
  }
  const remedy = meant === undefined ? 'Remove it; docs/configuration.md lists the keys.' : `Did you mean ${meant}?`;
  return configProblem({ key: label, source, expected, remedy });
}
