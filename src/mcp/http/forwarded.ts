import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { plainAddress } from '../../address.ts';

/** Who sends a request, and what they asked for, as far as it can be believed. */
export interface Origin {
  /** The client's own address: IPv4 as such, IPv6 in its short form; `unknown` of a connection that is gone. */
  readonly address: string;
  /** The connection comes from a proxy that the configuration names. */
  readonly byProxy: boolean;
  /** How the client reached that proxy; undefined: no such proxy says so. */
  readonly scheme: 'http' | 'https' | undefined;
  /** What the client sent as `Host`, by the word of such a proxy; else what arrived here. */
  readonly host: string | undefined;
}

/** Says of each request who sends it. */
export type FindOrigin = (request: Pick<IncomingMessage, 'headers' | 'socket'>) => Origin;

/**
 * What `X-Forwarded-For`, `-Proto` and `-Host` or `Forwarded` (RFC 7239) say is believed of a connection from a proxy that is named,
 * and of nobody else: any client can write such headers. Hops are read from the right, where the nearest proxy has written,
 * up to the first one that isn't named: that is the client. What is no address ends the reading, too, so that the last
 * hop that could be read counts.
 *
 * `Forwarded` counts only where there is no `X-Forwarded-For`: most proxies write that one and pass the other on as it came.
 *
 * @param trusted - addresses and networks (CIDR)
 */
export function createFindOrigin(trusted: readonly string[] = []): FindOrigin {
  const proxies = listOf(trusted);
  const isProxy = (address: string) => proxies.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  return ({ headers, socket }) => {
    const peer = addressIn(socket.remoteAddress ?? '');
    const { host } = headers;
    if (peer === undefined || !isProxy(peer)) {
      return { address: peer ?? 'unknown', byProxy: false, scheme: undefined, host };
    }
    const forwarded = textOf(headers['x-forwarded-for']);
    const elements = forwarded === undefined ? elementsOf(textOf(headers.forwarded) ?? '') : undefined;
    const hops = forwarded?.split(',') ?? elements?.map((element) => element.get('for') ?? '') ?? [];
    let address = peer;
    for (const hop of hops.reverse()) {
      const before = addressIn(hop);
      if (before === undefined) break;
      address = before;
      if (!isProxy(before)) break;
    }
    // What the nearest proxy has written is at the end.
    const last = elements?.at(-1);
    const scheme = lastOf(textOf(headers['x-forwarded-proto']) ?? last?.get('proto'))?.toLowerCase();
    return {
      address,
      byProxy: true,
      scheme: scheme === 'http' || scheme === 'https' ? scheme : undefined,
      host: lastOf(textOf(headers['x-forwarded-host']) ?? last?.get('host')) ?? host,
    };
  };
}

function listOf(trusted: readonly string[]): BlockList {
  const list = new BlockList();
  for (const one of trusted) {
    const [network = '', prefix] = one.split('/');
    const address = prefix === undefined ? (addressIn(network) ?? network) : network;
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** The address of a hop, which may have a port, brackets, quotation marks or a zone; undefined: it is none (`unknown`, `_hidden`). */
function addressIn(hop: string): string | undefined {
  const text = hop.trim().replace(/^"(.*)"$/, '$1');
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d[\d.]*):\d{1,5}$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/%[\w.-]{1,32}$/, '');
  if (isIP(address) === 0) return undefined;
  return plainAddress(address);
}

/** The elements of a `Forwarded` header, each by its names in lower case. A part that can't be read is left out. */
function elementsOf(header: string): readonly ReadonlyMap<string, string>[] {
  if (header === '') return [];
  return splitOutside(header, ',').map(
    (element) =>
      new Map(
        splitOutside(element, ';').flatMap((pair): [string, string][] => {
          const [, name, quoted, bare] = /^\s*([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*$/.exec(pair) ?? [];
          return name === undefined ? [] : [[name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '']];
        }),
      ),
  );
}

/** Splits where the sign stands outside of quotation marks. */
function splitOutside(text: string, sign: string): readonly string[] {
  const parts: string[] = [''];
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at] ?? '';
    if (isQuoted && letter === '\\') {
      parts[parts.length - 1] += letter + (text[at + 1] ?? '');
      at += 1;
      continue;
    }
    if (letter === '"') isQuoted = !isQuoted;
    if (letter === sign && !isQuoted) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

function lastOf(header: string | undefined): string | undefined {
  const last = header?.split(',').at(-1)?.trim();
  return last === '' ? undefined : last;
}

function textOf(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.join(',');
}
