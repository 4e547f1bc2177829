import { isIPv4, isIPv6 } from 'node:net';

type Format = (value: string) => string | undefined;

const contents = ['backup', 'images', 'import', 'iso', 'none', 'rootdir', 'snippets', 'vztmpl'];
/** Weekdays, dates and times with `*`, `/`, ranges and lists; or a word for all of it. */
const calendarEvent =
  /^(?:(?:minute|hour|dai|week|month|quarter|semiannual|annual|year)ly|(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*(?:\.\.|,)?)*[\s\d*:/.,-]*)$/i;
const dnsLabel = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)';

function like(pattern: RegExp, problem: string | ((value: string) => string)): Format {
  return (value) => (pattern.test(value) ? undefined : typeof problem === 'string' ? problem : problem(value));
}

const address: Format = (value) =>
  isIPv4(value) || isIPv6(value) ? undefined : 'value does not look like a valid IP address';

function isNetwork(value: string): boolean {
  const [ip = '', bits = '', ...rest] = value.split('/');
  if (rest.length > 0 || !/^\d+$/.test(bits)) return false;
  return isIPv4(ip) ? Number(bits) <= 32 : isIPv6(ip) && Number(bits) <= 128;
}

/** The named formats whose values are looked at, with Proxmox's texts. A name that isn't here takes everything. */
const formats: Readonly<Record<string, Format>> = {
  'pve-vmid': like(/^[1-9][0-9]{2,8}$/, 'value does not look like a valid VM ID'),
  'pve-configid': like(/^[a-z][a-z0-9_-]+$/i, (value) => `invalid configuration ID '${value}'`),
  'pve-storage-id': like(
    /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i,
    (value) => `storage ID '${value}' contains illegal characters`,
  ),
  'pve-node': like(/^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/, 'value does not look like a valid node name'),
  'pve-poolid': like(
    /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+){0,2}$/,
    (value) => `pool name '${value}' contains invalid characters`,
  ),
  'pve-groupid': like(/^[A-Za-z0-9._-]+$/, (value) => `group name '${value}' contains invalid characters`),
  'pve-roleid': like(/^[A-Za-z0-9._-]+$/, (value) => `role name '${value}' contains invalid characters`),
  'pve-userid': like(/^[^\s:/]+@[A-Za-z][\w.-]+$/, (value) => `value '${value}' does not look like a valid user name`),
  'pve-tokenid': like(
    /^[^\s:/]+@[A-Za-z][\w.-]+![A-Za-z][\w.-]+$/,
    (value) => `value '${value}' does not look like a valid token ID`,
  ),
  'pve-realm': like(/^[A-Za-z][\w.-]+$/, 'value does not look like a valid realm'),
  'pve-calendar-event': like(
    calendarEvent,
    (value) => `invalid calendar event '${value}' - unable to parse calendar event "${value}"\n`,
  ),
  'pve-tag': like(/^[a-z0-9_][a-z0-9_\-+.]*$/i, 'invalid characters in tag'),
  'pve-storage-content': (value) => (contents.includes(value) ? undefined : `invalid content type '${value}'`),
  'pve-volume-id': like(/^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i, (value) => `unable to parse volume ID '${value}'`),
  'pve-bridge-id': like(/^[-_.\w]+$/, (value) => `invalid bridge ID '${value}'`),
  'pve-iface': like(/^[a-z][a-z0-9_]{1,20}([:.]\d+)?$/i, (value) => `invalid network interface name '${value}'`),
  'pve-ha-resource-id': like(/^[a-z]+:\S+$/, 'value does not look like a valid ha resource id'),
  'pve-ha-resource-or-vm-id': like(/^([a-z]+:\S+|[1-9][0-9]{2,8})$/, 'value does not look like a valid ha resource id'),
  'pve-replication-job-id': like(/^[1-9][0-9]{2,8}-\d{1,9}$/, 'invalid replication job id'),
  'pve-task-status-type': like(/^(ok|error|warning|unknown)$/i, (value) => `invalid status '${value}'`),
  'mac-addr': like(/^[a-f0-9][02468ace](?::[a-f0-9]{2}){5}$/i, 'value does not look like a valid unicast MAC address'),
  'dns-name': like(new RegExp(`^(${dnsLabel}\\.)*${dnsLabel}$`), 'value does not look like a valid DNS name'),
  'disk-size': like(/^\d+(\.\d+)?[KMGT]?$/, (value) => `value does not look like a valid disk size: ${value}`),
  email: like(/^[\w.+-]+@[\w.-]+$/, 'value does not look like a valid email address'),
  ip: address,
  ipv4: (value) => (isIPv4(value) ? undefined : 'value does not look like a valid IPv4 address'),
  ipv6: (value) => (isIPv6(value) ? undefined : 'value does not look like a valid IPv6 address'),
  CIDR: (value) => (isNetwork(value) ? undefined : 'value does not look like a valid CIDR network'),
  'pve-ipv4-config': (value) => {
    const isGood = /^(dhcp|manual)$/.test(value) || (isNetwork(value) && isIPv4(value.split('/')[0] ?? ''));
    return isGood ? undefined : 'value does not look like a valid ipv4 network configuration';
  },
  'pve-ipv6-config': (value) => {
    const isGood = /^(auto|dhcp|manual)$/.test(value) || (isNetwork(value) && isIPv6(value.split('/')[0] ?? ''));
    return isGood ? undefined : 'value does not look like a valid ipv6 network configuration';
  },
};

/** What is wrong with a value of a named format; `-list` takes several, `-opt` none. */
export function formatProblem(name: string, value: string): string | undefined {
  if (name.endsWith('-opt')) return value === '' ? undefined : formats[name.slice(0, -4)]?.(value);
  if (!name.endsWith('-list')) return formats[name]?.(value);
  const one = formats[name.slice(0, -5)];
  return listOf(value)
    .map((part) => one?.(part))
    .find((problem) => problem !== undefined);
}

/** The items of a list as Proxmox splits it: by commas, semicolons, spaces, or as a key that came several times. */
export function listOf(value: string | number | undefined): string[] {
  return String(value ?? '')
    .split(/[\0,;\s]+/)
    .filter((part) => part !== '');
}
