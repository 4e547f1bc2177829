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
  const name = isIPv6(address) ? plainIPv6(address) : address.toLowerCase().replace(/\.$/, '');
  return isLoopback(name) ? '127.0.0.1' : name;
}

function plainIPv6(address: string): string {
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
