import { isIP, isIPv4, isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { isHostAddress } from '../address.ts';
import { parseKeep } from '../backups/retention.ts';
import { hostName as hostNameSchema } from '../operations/inputs.ts';
import { Secret } from '../secret.ts';
import { canonicalTimeZone, nearestTimeZone } from '../time-zone.ts';

/** What a value may be: a zod schema over the text, and the same in words for messages and docs. */
export interface ValueType<Value> {
  readonly schema: z.ZodType<Value, string>;
  /** Completes "expected …". */
  readonly expected: string;
  /** Of a value that isn't accepted: what it most likely is, and what to do. `undefined` when nothing is known of it. */
  readonly explain?: (text: string) => string | undefined;
  /** Several values are one: a list of YAML may stand for it. */
  readonly list?: true;
  /** Blanks at its ends belong to it. */
  readonly exact?: true;
}

function valueType<Value>(
  expected: string,
  schema: z.ZodType<Value, string>,
  more: Pick<ValueType<Value>, 'explain' | 'list' | 'exact'> = {},
): ValueType<Value> {
  return { expected, schema, ...more };
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
  'true or false (yes/no, on/off and 1/0 mean the same, in any case)',
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

/** `fe80::1%eth0` */
function explainAddress(text: string): string | undefined {
  if (/^https?:/i.test(text)) return 'Leave out the https:// and the path: only the name or the address.';
  if (isIPv6(text)) {
    return 'Leave out the zone (what follows the %): URLs know none. Give a name or an address that needs no zone.';
  }
  if (/^\[.*\]$/.test(text)) return 'Leave out the brackets.';
  if (isIPv4(text.replace(/:\d+$/, '')) || /^[A-Za-z0-9.-]+:\d+$/.test(text))
    return 'Leave out the port: it has a key of its own.';
  return undefined;
}

export const address = valueType('a host name or an IP address', z.string().refine(isHostAddress), {
  explain: explainAddress,
});

export const addressAndPort = valueType(
  'HOST:PORT',
  z.string().refine((value) => {
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value);
    const [, bracketed, name = '', port] = match ?? [];
    const isAddress = bracketed === undefined ? isHostAddress(name) : isIPv6(bracketed) && isHostAddress(bracketed);
    return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
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

/**
 * A path on this machine; relative ones are resolved against the configuration's folder. `~` and `$HOME` are another
 * folder for each user, and the service's is seldom the one of who wrote them: they are refused, not expanded.
 */
export const path = valueType(
  'a path, written in full (~ and $HOME are not expanded)',
  z
    .string()
    .regex(oneLine)
    .max(1_000)
    .refine((value) => !value.startsWith('~') && !/\$[A-Za-z_{(]/.test(value)),
  { explain: explainPath },
);

function explainPath(text: string): string | undefined {
  const below = /^(?:~|\$HOME|\$\{HOME\})(\/.*)?$/.exec(text);
  if (below === null) return undefined;
  return `Write the folder itself; for the user of this command it is ${join(homedir(), below[1] ?? '')}.`;
}

/** A path on a managed host. These go into the privilege policy, hence the narrow alphabet. */
export const hostPath = valueType(
  'an absolute path of letters, digits and . _ - / without ..',
  z
    .string()
    .regex(/^(\/[A-Za-z0-9._-]+)+$/)
    .max(200)
    .refine((value) => !value.split('/').some((segment) => segment === '.' || segment === '..')),
);

/** What is no file that could be kept, only the kernel's word of now. */
const notKept = /^\/(proc|sys|dev|run)(\/|$)/;

export const hostPathsOrNone = orNone(
  listOf(
    'absolute paths of letters, digits and . _ - / without .., not in /proc, /sys, /dev or /run',
    (item) => hostPath.schema.safeParse(item).success && !notKept.test(item),
  ),
  [],
);

const recipient = /^(age1[a-z0-9]{20,2500}|ssh-(ed25519|rsa) AAAA[A-Za-z0-9+/]+={0,2}( [^,\r\n\0]*)?)$/;

/** A path is told from a recipient by how it begins; SSH keys have blanks, so that only commas part. */
export const recipients = valueType(
  'recipients of age (age1…, or an SSH public key) or paths of files of them (/…, ./…), separated by commas',
  parsed((value): readonly string[] | undefined => {
    const items = value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
    const accepts = (item: string) =>
      recipient.test(item) || (/^\.{0,2}\//.test(item) && path.schema.safeParse(item).success);
    return items.length > 0 && items.every(accepts) ? items : undefined;
  }),
  { list: true },
);

export const remotes = listOf(
  'places as rclone:REMOTE:PATH or restic:REPOSITORY',
  (item) => /^rclone:[A-Za-z0-9_][A-Za-z0-9_.+@-]*:[^\0]*$/.test(item) || /^restic:[^-\0][^\0]*$/.test(item),
  (text) => (/:[^/@\s]+@/.test(text) ? 'Leave out the password: it belongs into a file of its own.' : undefined),
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
  // As Proxmox reads it: the realm follows the last @, so that a user's name may be a mail address. In ASCII, because
  // the API is told the user in a header.
  z.string().regex(/^["-.0-9;-~]+@[A-Za-z][A-Za-z0-9._-]*$/),
  {
    explain: (text) =>
      /^[^\s:/!]+@[^\s:/!]+!/.test(text)
        ? 'Write only what stands before the !; PROXMOX_TOKEN_NAME is what follows it.'
        : undefined,
  },
);

export const apiTokenName = valueType(
  'the name of an API token: a letter, then letters, digits and . _ - (only what follows the ! in its full id)',
  z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,126}$/),
);

/** Any notation, `openssl`'s `sha256 Fingerprint=` included; the value is upper case with colons, as Node's `fingerprint256` and `pvenode cert info` print it. */
export const fingerprint = valueType(
  'a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons',
  parsed((value) => {
    const digits = digitsOf(value);
    return /^[0-9A-F]{64}$/.test(digits) ? digits.replace(/(..)(?!$)/g, '$1:') : undefined;
  }),
  { explain: (text) => explainFingerprint(text, 'Take the SHA-256 one: pvenode cert info shows it on the host.') },
);

/** Of an SSH host key, as `ssh-keygen -l` prints it; the value begins with `SHA256:`. */
export const sshFingerprint = valueType(
  'a SHA-256 fingerprint of an SSH key: SHA256: and 43 characters, as ssh-keygen -l prints it',
  parsed((value) => {
    const [, base64] = /^(?:SHA256:)?([A-Za-z0-9+/]{43})=?$/.exec(value) ?? [];
    return base64 === undefined ? undefined : `SHA256:${base64}`;
  }),
  { explain: (text) => explainFingerprint(text, 'Take the SHA-256 one: ssh-keygen -l -E sha256 shows it.') },
);

function digitsOf(fingerprint: string): string {
  return fingerprint
    .replace(/^(SHA-?256|SHA-?1|MD5)?( ?Fingerprint)?[=:]/i, '')
    .replace(/[:\s]/g, '')
    .toUpperCase();
}

function explainFingerprint(text: string, remedy: string): string | undefined {
  if (/^SHA256:[A-Za-z0-9+/]{43}=?$/.test(text))
    return `That is the fingerprint of an SSH key, not of a certificate. ${remedy}`;
  const digits = digitsOf(text);
  if (!/^[0-9A-F]+$/.test(digits)) return undefined;
  if (digits.length === 32) return `That is an MD5 fingerprint. ${remedy}`;
  if (digits.length === 40) return `That is a SHA-1 fingerprint. ${remedy}`;
  if (digits.length === 64) return `That is the fingerprint of a certificate, not of an SSH key. ${remedy}`;
  return `It has ${digits.length} hexadecimal digits. ${remedy}`;
}

/** The value is the zone's one spelling that Temporal knows. */
export const timeZone = valueType('an IANA time zone, e.g. Europe/Berlin', parsed(canonicalTimeZone), {
  explain(text) {
    const nearest = nearestTimeZone(text);
    return nearest === undefined ? undefined : `Did you mean ${nearest}?`;
  },
});

/** Proxmox's `prune-backups`. The value is the text. */
export const keep = valueType(
  "rules as Proxmox's: keep-last=3,keep-weekly=4 (keep-last, keep-hourly, keep-daily, keep-weekly, keep-monthly, keep-yearly, each once), or keep-all=1",
  z.string().refine((value) => parseKeep(value) !== undefined),
  {
    explain: (text) =>
      /^(\d+|[a-z]+=\d+)$/.test(text) && !text.startsWith('keep-')
        ? `Did you mean keep-${/^\d+$/.test(text) ? `last=${text}` : text}?`
        : /^(keep-[a-z]+=0,?)+$/.test(text)
          ? 'Proxmox would keep all of them: write keep-all=1 if you mean that.'
          : undefined,
  },
);

/** `none`, because an empty value means that nothing was set. */
function orNone<Value>(of: ValueType<Value>, nothing: Value): ValueType<Value> {
  return valueType(
    `${of.expected}; or none`,
    parsed((value) => (value === 'none' ? nothing : of.schema.safeParse(value).data)),
    of.list && { list: true },
  );
}

function split(value: string): string[] {
  return value.split(/[\s,]+/).filter((item) => item !== '');
}

function listOf(
  expected: string,
  accepts: (item: string) => boolean,
  explain?: (text: string) => string | undefined,
): ValueType<readonly string[]> {
  return valueType(
    `${expected}, separated by commas`,
    parsed((value) => {
      const items = split(value);
      return items.length > 0 && items.every(accepts) ? items : undefined;
    }),
    { list: true, ...(explain && { explain }) },
  );
}

const name = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
export const namesOrNone = orNone(
  listOf('names of letters, digits and . _ -', (item) => name.test(item)),
  [],
);
export const hostNames = listOf('names of hosts', (item) => hostName.schema.safeParse(item).success);
export const addresses = listOf('host names or IP addresses without ports', isHostAddress);

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. */
export const networks = listOf('IP addresses and networks (10.0.0.0/24)', isNetwork, (text) =>
  split(text).some((item) => /\/0+$/.test(item))
    ? 'A network of all addresses would let every client say which address it has. Name the proxies.'
    : undefined,
);

function isNetwork(item: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(item) ?? [];
  const version = isIP(address);
  if (version === 0) return false;
  // Its bits are counted as IPv6, where the address itself is taken for IPv4.
  if (prefix !== undefined && /^::ffff:/i.test(address)) return false;
  return prefix === undefined || (Number(prefix) >= 1 && Number(prefix) <= (version === 4 ? 32 : 128));
}

export const ipAddress = valueType(
  'an IP address',
  z.string().refine((value) => isIP(value) !== 0 && isHostAddress(value)),
  { explain: explainAddress },
);

export const domainName = valueType(
  'the name of a domain, e.g. mcp.example.org',
  z
    .string()
    .refine((value) => value.includes('.') && isIP(value) === 0 && isHostAddress(value) && !value.endsWith('.')),
  {
    explain: (text) =>
      isIP(text) === 0
        ? explainAddress(text)
        : 'No CA signs a certificate for a private address. Leave MCP_DOMAIN out, and write MCP_PUBLIC_URL=https://… with the address.',
  },
);

/** `172.20`; of what never is an address of the internet. */
export const networkPrefix = valueType(
  'two numbers that private networks begin with: 10.0 to 10.255, 172.16 to 172.31, or 192.168',
  z.string().regex(/^(10\.(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])|172\.(1[6-9]|2\d|3[01])|192\.168)$/),
  {
    explain: (text) =>
      /^\d+\.\d+\.\d+/.test(text)
        ? `Write only the first two numbers: ${text.split('.').slice(0, 2).join('.')}`
        : undefined,
  },
);

const mailAddress = /^[^\s@<>,;:"()[\]\\]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;
export const mailTo = listOf('mail addresses', (item) => mailAddress.test(item));
export const mailAddressOnly = valueType('a mail address', z.string().regex(mailAddress));
export const mailFrom = valueType(
  'a mail address, or NAME <ADDRESS>',
  z.string().refine((value) => mailAddress.test(/^[^<>\r\n]*<([^<>]+)>$/.exec(value)?.[1] ?? value)),
);

export const imageTag = valueType(
  'a tag of at most 128 letters, digits and _ . -',
  z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/),
);

/** `caddy:2.11.7`, `registry.example.org:5000/team/caddy@sha256:…`. */
export const imageName = valueType(
  'the name of a container image, with a tag or digest',
  z.string().regex(/^[a-z0-9][a-z0-9._-]*(:\d+)?(\/[a-z0-9._-]+)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$/),
);
export const cpus = valueType('a number of processors, e.g. 1.5', z.string().regex(/^\d{1,3}(\.\d{1,2})?$/));
export const memory = valueType('an amount of memory, e.g. 512M or 2G', z.string().regex(/^[1-9]\d{0,5}[MG]$/));

/** Values that stand in examples; one of them in the configuration means that somebody forgot to fill it in. */
const placeholder = /^(x+|\*+|change[-_ ]?me|your[-_ ].*|<.*>|secret|placeholder|todo)$/i;

function secretOf(expected: string, accepts: (value: string) => boolean, exact?: 'exact'): ValueType<Secret> {
  return valueType(
    expected,
    parsed((value) =>
      oneLine.test(value) && !placeholder.test(value) && accepts(value) ? new Secret(value) : undefined,
    ),
    exact && { exact: true },
  );
}

export const password = secretOf('a password of one line, not the placeholder of an example', () => true, 'exact');
/** What stands after `Bearer` in a header. */
export const bearer = secretOf('a key of one line without blanks, not the placeholder of an example', (value) =>
  /^[\x21-\x7e]{16,4000}$/.test(value),
);
export const apiTokenValue = secretOf(
  "the API token's secret (a UUID, as Proxmox showed it once), not the placeholder of an example",
  (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value),
);
export const webhook = secretOf(
  'an https:// URL',
  (value) => URL.canParse(value) && /^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost)[:/])/.test(value),
);
export const headers = secretOf(
  'HTTP headers as name=value, separated by commas, values percent-encoded',
  (value) => readHeaders(value) !== undefined,
);

/** The headers in a list as OpenTelemetry writes it; undefined where it isn't one. */
export function readHeaders(list: string): readonly (readonly [name: string, value: string])[] | undefined {
  const items = list.split(',').filter((item) => item.trim() !== '');
  const read = items.map((item) => {
    const [, name = '', encoded = ''] = /^\s*([A-Za-z0-9!#$&'*+.^_`|~-]+)\s*=\s*(.*?)\s*$/.exec(item) ?? [];
    try {
      return [name.toLowerCase(), decodeURIComponent(encoded)] as const;
    } catch {
      return ['', ''] as const;
    }
  });
  return read.every(([name, value]) => name !== '' && /^[\x20-\x7e]+$/.test(value)) ? read : undefined;
}
