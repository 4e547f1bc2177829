import { isIP, isIPv6 } from 'node:net';
import { domainToUnicode } from 'node:url';

/** An address as it stands in a URL: `pve1`, `192.0.2.1`, `[2001:db8::1]`. */
export function urlHost(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}

/**
 * Whether every client of this service can be given the address: sockets, and URLs too. Those know no zone
 * (`fe80::1%eth0`), and read `0x7f.1` or `pve.1` as IPv4 addresses.
 */
export function isHostAddress(text: string): boolean {
  if (isIP(text) === 0 && !isName(text)) return false;
  // From Node.js 24 on, URLs let what only looks like an encoded name pass.
  const encoded = text.split('.').filter((label) => /^xn--/i.test(label));
  if (encoded.some((label) => /^[ -~]*$/.test(domainToUnicode(label)))) return false;
  const url = `https://${urlHost(text)}/`;
  if (!URL.canParse(url)) return false;
  return isIPv6(text) || new URL(url).hostname === text.toLowerCase();
}

function isName(text: string): boolean {
  return (
    text.length <= 253 && /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*\.?$/i.test(text)
  );
}

/**
 * One spelling of an address, for comparing: lower case, no final dot, IPv6 in its short form, IPv4 as such where it is written
 * within IPv6 (`::ffff:192.0.2.1`), `127.0.0.1` for this machine.
 */
export function canonicalAddress(address: string): string {
  const name = isIPv6(address) ? plainAddress(address) : address.toLowerCase().replace(/\.$/, '');
  return isLoopback(name) ? '127.0.0.1' : name;
}

/** One spelling of an IP address without a zone: IPv6 in its short form, IPv4 as such where it is written within IPv6. */
export function plainAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [, high = '', low = ''] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === '') return short;
  const numbers = [high, low].map((part) => Number.parseInt(part, 16));
  return numbers.flatMap((number) => [number >> 8, number & 255]).join('.');
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** `us-east-1.aws.api.temporal.io:7233`, or a namespace's own `NAME.ACCOUNT.tmprl.cloud:7233`. */
const cloudAddress = /(?:^|\.)(?:tmprl\.cloud|api\.temporal\.io)(?::\d+)?$/i;

/** Whether that is an address of Temporal Cloud, whose namespaces are made elsewhere. */
export function isTemporalCloud(address: string | undefined): boolean {
  return address !== undefined && cloudAddress.test(address);
}

/** `[::1]:7233` → `::1` and 7233. */
export function splitAddress(address: string): readonly [host: string, port: number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon).replace(/^\[|\]$/g, ''), Number(address.slice(colon + 1))];
}

/** How this machine reaches what listens on an address. */
export function localAddress(listening: string): string {
  return listening === '0.0.0.0' ? '127.0.0.1' : listening === '::' ? '::1' : listening;
}
