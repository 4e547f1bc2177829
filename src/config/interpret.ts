import type { Key } from './key.ts';
import { keys } from './keys.ts';
import { type ConfigFinding, configProblem, shown } from './problems.ts';
import type { Setting } from './setting.ts';

export interface Interpreted<Values> {
  /** With the defaults; a key whose text was wrong has its default. */
  readonly values: Values;
  /** Keys that were written, right or wrong. */
  readonly written: ReadonlySet<string>;
  /** Those of them that were wrong. */
  readonly wrong: ReadonlySet<string>;
  readonly problems: readonly ConfigFinding[];
}

/**
 * The written texts as typed values. `base` stands in for what isn't written (the table's defaults, or what an entry
 * of hosts.yaml takes over from `.env`). Every wrong value is one problem; secrets are never shown.
 */
export function interpret<Values extends object>(
  settings: ReadonlyMap<string, Setting>,
  table: { readonly [Name in keyof Values]: Key },
  base: Values,
  label = '',
): Interpreted<Values> {
  const problems: ConfigFinding[] = [];
  const written = new Set<string>();
  const wrong = new Set<string>();
  const values = { ...base } as Record<string, unknown>;
  for (const name of Object.keys(table)) {
    const setting = settings.get(name);
    const key = keys[name];
    if (setting === undefined || key === undefined) continue;
    written.add(name);
    const result = key.type.schema.safeParse(setting.text);
    if (result.success) values[name] = result.data;
    else {
      wrong.add(name);
      problems.push(wrongValue(`${label}${name}`, name, key, setting));
    }
  }
  return { values: values as object as Values, written, wrong, problems };
}

/** The defaults of the table as typed values. */
export function defaultsOf<Values extends object>(table: { readonly [Name in keyof Values]: Key }): Values {
  const entries = Object.entries<Key>(table).map(([name, key]) => [
    name,
    key.default === undefined ? undefined : key.type.schema.parse(key.default),
  ]);
  return Object.fromEntries(entries) as Values;
}

function wrongValue(label: string, name: string, key: Key, setting: Setting): ConfigFinding {
  return configProblem({
    key: label,
    source: setting.source,
    expected: key.type.expected,
    ...(!key.secret && { found: shown(setting.text) }),
    remedy: key.secret
      ? 'Correct the value.'
      : (key.type.explain?.(setting.text) ?? `Write e.g. ${name}=${key.example}.`),
  });
}
