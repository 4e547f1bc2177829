import { isMap, isScalar, parseDocument } from 'yaml';
import { parseDotenv } from './dotenv.ts';

/** The text of `.env` with the key set: on the line where it stands, else at the end. Everything else stays. */
export function setInDotenv(text: string, key: string, value: string): string {
  const assignment = `${key}=${/^[A-Za-z0-9_.:/@-]*$/.test(value) ? value : JSON.stringify(value)}`;
  const source = parseDotenv(text, '').settings.find((setting) => setting.key === key)?.source;
  const lines = text.split('\n');
  if (source !== undefined) {
    lines[Number(source.slice(1)) - 1] = assignment;
    return lines.join('\n');
  }
  const body = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${body}${assignment}\n`;
}

/** The text of `hosts.yaml` with these keys set in the entry of a host, which is made if it isn't there. */
export function setInHostsFile(text: string, host: string, values: Readonly<Record<string, string | number>>): string {
  const document = parseDocument(text);
  if (!isMap(document.contents)) document.contents = document.createNode({ hosts: {} }) as never;
  if (!isMap(document.get('hosts'))) document.set('hosts', document.createNode({}));
  if (!isMap(document.getIn(['hosts', host]))) document.setIn(['hosts', host], document.createNode({}));
  for (const [key, value] of Object.entries(values)) document.setIn(['hosts', host, key], value);
  return document.toString({ lineWidth: 0 });
}

/** The text of `.env` where another key with another value stands in the place of one; a comment behind it stays. */
export function renameInDotenv(text: string, key: string, to: string, value: string): string {
  const setting = parseDotenv(text, '').settings.find((one) => one.key === key);
  if (setting === undefined) return text;
  const lines = text.split('\n');
  const index = Number(setting.source.slice(1)) - 1;
  const [, line = '', end = ''] = /^(.*?)(\r?)$/s.exec(lines[index] ?? '') ?? [];
  const [, before = '', rest = ''] = /^(\s*(?:export\s+)?)[A-Za-z_][A-Za-z0-9_.-]*\s*=\s*(.*)$/.exec(line) ?? [];
  const [, comment = ''] = /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`|[^#]*?)(\s+#.*)?\s*$/.exec(rest) ?? [];
  lines[index] = `${before}${to}=${value}${comment}${end}`;
  return lines.join('\n');
}

/** The text of `hosts.yaml` where another key with another value stands in the place of one in the entry of a host. */
export function renameInHostsFile(
  text: string,
  host: string,
  key: string,
  [to, value]: readonly [key: string, value: string],
): string {
  const document = parseDocument(text);
  const entry = document.getIn(['hosts', host]);
  const pair = isMap(entry) ? entry.items.find((one) => isScalar(one.key) && one.key.value === key) : undefined;
  if (pair === undefined || !isScalar(pair.key) || !isScalar(pair.value)) return text;
  pair.key.value = to;
  pair.value.value = value;
  // Quotation marks and the spelling of what stood there aren't its own.
  pair.value.type = 'PLAIN';
  return document.toString({ lineWidth: 0 });
}

/** The text of `.env` without the lines of these keys. Everything else stays. */
export function removeFromDotenv(text: string, keys: readonly string[]): string {
  const lines = parseDotenv(text, '')
    .settings.filter(({ key }) => keys.includes(key))
    .map(({ source }) => Number(source.slice(1)) - 1);
  return text
    .split('\n')
    .filter((_, index) => !lines.includes(index))
    .join('\n');
}

/** The text of `hosts.yaml` without these keys in the entry of a host. */
export function removeFromHostsFile(text: string, host: string, keys: readonly string[]): string {
  const document = parseDocument(text);
  for (const key of keys) if (document.hasIn(['hosts', host, key])) document.deleteIn(['hosts', host, key]);
  return document.toString({ lineWidth: 0 });
}

/** The text of `hosts.yaml` without a host. */
export function removeHostFromHostsFile(text: string, host: string): string {
  const document = parseDocument(text);
  if (document.hasIn(['hosts', host])) document.deleteIn(['hosts', host]);
  return document.toString({ lineWidth: 0 });
}
