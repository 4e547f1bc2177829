import { isSecretName } from '../../operations/api-secrets.ts';

/** What is shown in a secret's place. */
export const masked = '[secret]';

const deepest = 40;
/** Beside these, `key` or `name` says of what option a value is; alone it may be a secret itself. */
const besides = new Set('value values pending old new delete'.split(' '));

/**
 * An answer of the API without the secrets that it may hold: values of fields that are named like one, of options that are
 * (`{ key: 'cipassword', value: … }`), and of lines in a text that look so (`cipassword: …`). By name, wherever they stand:
 * some calls mask them themselves, and others don't.
 *
 * @param path of the call, for fields that only there are secret
 */
export function maskSecrets(data: unknown, path: string): unknown {
  const isPlugin = path.startsWith('/cluster/acme/plugins');
  const isSecret = (name: string) => isSecretName(name) || (isPlugin && name === 'data');
  return mask(data, isSecret, 0);
}

function mask(value: unknown, isSecret: (name: string) => boolean, depth: number): unknown {
  if (typeof value === 'string') return value.includes('\n') ? maskLines(value, isSecret) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth > deepest) return '…';
  if (Array.isArray(value)) return value.map((item) => mask(item, isSecret, depth + 1));
  const entries = Object.entries(value);
  const isOption = entries.some(([name]) => besides.has(name.toLowerCase()));
  const of = entries.find(([name, inner]) => /^(key|name)$/i.test(name) && typeof inner === 'string')?.[1];
  const hidesValue = isOption && typeof of === 'string' && isSecret(of);
  return Object.fromEntries(
    entries.map(([name, inner]) => {
      if (isOption && /^(key|keys)$/i.test(name)) return [name, inner];
      const hides = isSecret(name) || (hidesValue && besides.has(name.toLowerCase()));
      return [name, hides && inner !== null && inner !== '' ? masked : mask(inner, isSecret, depth + 1)];
    }),
  );
}

/** `name: value`, `name = value`, `"name": "value"` on a line of its own; and private keys. */
function maskLines(text: string, isSecret: (name: string) => boolean): string {
  return text
    .replaceAll(
      /-----BEGIN ([A-Z ]{0,40}PRIVATE KEY)-----[^-]*(-----END \1-----)?/g,
      `-----BEGIN $1-----\n${masked}\n-----END $1-----`,
    )
    .split('\n')
    .map((line) => {
      const [, before, name, between] =
        /^(\s{0,80}(?:- )?["']?)([A-Za-z][\w.-]{0,60})(["']?\s{0,20}[:=]\s{0,20})\S/.exec(line) ?? [];
      return name !== undefined && isSecret(name) ? `${before}${name}${between}${masked}` : line;
    })
    .join('\n');
}
