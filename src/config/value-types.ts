import { isIP } from 'node:net';
import { z } from 'zod';
import { hostName as hostNameSchema } from '../operations/inputs.ts';
import { Secret } from '../secret.ts';

/** What a value may be: a zod schema over the text, and the same in words for messages and docs. */
export interface ValueType<Value> {
  readonly schema: z.ZodType<Value, string>;
  /** Completes "expected …". */
  readonly expected: string;
}

function valueType<Value>(expected: string, schema: z.ZodType<Value, string>): ValueType<Value> {
  return { expected, schema };
}

/** A schema from a function that answers `undefined` for what it doesn't accept. */
function parsed<Value>(parse: (text: string) => Value | undefined): z.ZodType<Value, string> {
  return z.string().transform((text, context): Value => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: 'not accepted' });
    return z.NEVER;
  });
}

const oneLine = /^[^\r\n\0]+$/;

export const text = valueType('text of one line', z.string().regex(oneLine).max(1_000));

const yes: readonly string[] = ['true', 'yes', 'y', 'on', '1'];
const no: readonly string[] = ['false', 'no', 'n', 'off', '0'];

export const flag = valueType(
  'true or false',
  parsed((value) => {
    const word = value.toLowerCase();
    return yes.includes(word) ? true : no.includes(word) ? false : undefined;
  }),
);

export function whole(from: number, to: number, what = 'a whole number'): ValueType<number> {
  return valueType(
    `${what} from ${from} to ${to}`,
    parsed((value) => {
      const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
      return number >= from && number <= to ? number : undefined;
    }),
  );
}

export const port = whole(1, 65_535, 'a port number');

export function oneOf<const Name extends string>(...names: readonly Name[]): ValueType<Name> {
  return valueType(
    `one of ${names.join(', ')}`,
    parsed((value) => names.find((name) => name.toLowerCase() === value.toLowerCase())),
  );
}

function isHostAddress(value: string): boolean {
  if (isIP(value) !== 0) return true;
  // All-numeric names are mistyped IPv4 addresses: 192.168.1.1370.
  if (/^[\d.]+$/.test(value)) return false;
  return (
    value.length <= 253 &&
    /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*\.?$/i.test(value)
  );
}

export const address = valueType('a host name or an IP address', z.string().refine(isHostAddress));

export const addressAndPort = valueType(
  'HOST:PORT',
  z.string().refine((value) => {
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value);
    return (
      match !== null && isHostAddress(match[1] ?? match[2] ?? '') && Number(match[3]) >= 1 && Number(match[3]) <= 65_535
    );
  }),
);

/** No credentials, because URLs are shown. No trailing slash in the value, because paths are appended. */
export const url = valueType(
  'an http:// or https:// URL without user, query or fragment',
  parsed((value) => {
    if (!/^https?:\/\/[^\s@?#]+$/i.test(value) || !URL.canParse(value)) return undefined;
    return value.replace(/\/+$/, '');
  }),
);

export const urlOrNone = orNone(url, '');

/** A path on this machine; relative ones are resolved against the configuration's folder. */
export const path = valueType('a path', z.string().regex(oneLine).max(1_000));

/** A path on a managed host. These go into the privilege policy, hence the narrow alphabet. */
export const hostPath = valueType(
  'an absolute path of letters, digits and . _ - / without ..',
  z
    .string()
    .regex(/^(\/[A-Za-z0-9._-]+)+$/)
    .max(200)
    .refine((value) => !value.split('/').some((segment) => segment === '.' || segment === '..')),
);

export const hostName = valueType('1 to 63 characters of a-z, 0-9 and -, e.g. pve1', hostNameSchema());

export const userName = valueType(
  'a Linux user name: a-z, 0-9, _ and -, starting with a letter or _',
  z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/),
);

export const unitName = valueType(
  'the name of a systemd service',
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}$/),
);

export const proxmoxUser = valueType(
  'USER@REALM, e.g. root@pam',
  z.string().regex(/^[^\s:/!@]+@[A-Za-z][A-Za-z0-9._-]*$/),
);

export const apiTokenName = valueType(
  'the name of an API token: a letter, then letters, digits and . _ - (only what follows the ! in its full id)',
  z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,126}$/),
);

/** Any notation; the value is upper case with colons, as Node's `fingerprint256` and `pvenode cert info` print it. */
export const fingerprint = valueType(
  'a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons',
  parsed((value) => {
    const digits = value.replaceAll(':', '').toUpperCase();
    return /^[0-9A-F]{64}$/.test(digits) ? digits.replace(/(..)(?!$)/g, '$1:') : undefined;
  }),
);

export const timeZone = valueType(
  'an IANA time zone, e.g. Europe/Berlin',
  z.string().refine((value) => {
    try {
      return /^[A-Za-z]/.test(value) && new Intl.DateTimeFormat('en', { timeZone: value }) !== undefined;
    } catch {
      return false;
    }
  }),
);

/** `none`, because an empty value means that nothing was set. */
function orNone<Value>(of: ValueType<Value>, nothing: Value): ValueType<Value> {
  return valueType(
    `${of.expected}; or none`,
    parsed((value) => (value === 'none' ? nothing : of.schema.safeParse(value).data)),
  );
}

function split(value: string): string[] {
  return value.split(/[\s,]+/).filter((item) => item !== '');
}

function listOf(expected: string, accepts: (item: string) => boolean): ValueType<readonly string[]> {
  return valueType(
    `${expected}, separated by commas`,
    parsed((value) => {
      const items = split(value);
      return items.length > 0 && items.every(accepts) ? items : undefined;
    }),
  );
}

const name = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
export const namesOrNone = orNone(
  listOf('names of letters, digits and . _ -', (item) => name.test(item)),
  [],
);
export const addresses = listOf('host names or IP addresses without ports', isHostAddress);

const mailAddress = /^[^\s@<>,;:"()[\]\\]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;
export const mailTo = listOf('mail addresses', (item) => mailAddress.test(item));
export const mailFrom = valueType(
  'a mail address, or NAME <ADDRESS>',
  z.string().refine((value) => mailAddress.test(/^[^<>\r\n]*<([^<>]+)>$/.exec(value)?.[1] ?? value)),
);

export const imageTag = valueType('an image tag', z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/));

/** Values that stand in examples; one of them in the configuration means that somebody forgot to fill it in. */
const placeholder = /^(x+|\*+|change[-_ ]?me|your[-_ ].*|<.*>|secret|placeholder|todo)$/i;

function secretOf(expected: string, accepts: (value: string) => boolean): ValueType<Secret> {
  return valueType(
    expected,
    parsed((value) =>
      oneLine.test(value) && !placeholder.test(value) && accepts(value) ? new Secret(value) : undefined,
    ),
  );
}

export const password = secretOf('a password of one line, not the placeholder of an example', () => true);
export const apiTokenValue = secretOf(
  "the API token's secret (a UUID, as Proxmox showed it once), not the placeholder of an example",
  (value) => /^[A-Za-z0-9-]{8,200}$/.test(value),
);
export const webhook = secretOf(
  'an https:// URL',
  (value) => URL.canParse(value) && /^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost)[:/])/.test(value),
);
