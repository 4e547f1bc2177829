import { keys } from './keys.ts';
import { shown } from './problems.ts';
import type { Setting } from './setting.ts';

export interface SettingRow {
  readonly key: string;
  readonly value: string;
  readonly source: string;
}

/** What was written, without secrets; with `all`, the defaults too. */
export function settingRows(settings: ReadonlyMap<string, Setting>, all: boolean): SettingRow[] {
  const written = [...settings].map(([key, { text, source }]) => {
    const name = key.slice(key.indexOf('.') + 1);
    return { key, value: keys[name] === undefined || keys[name].secret ? '[secret]' : shown(text), source };
  });
  if (!all) return written;
  const defaults = Object.entries(keys)
    .filter(([key]) => !settings.has(key))
    .map(([key, { default: value, defaultText, secret }]) => ({
      key,
      value: secret ? '' : (defaultText ?? (value === undefined ? '' : JSON.stringify(value))),
      source: 'the default',
    }));
  return [...written, ...defaults];
}
