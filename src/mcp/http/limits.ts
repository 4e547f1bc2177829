import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { FindOrigin } from './forwarded.ts';

/** Requests per minute, each counted over a minute from its first. */
export interface RateLimits {
  /** Of one token. Default 60,000: far above any agent's need, below what would starve the others. */
  readonly perToken: number;
  /** Of one address without a token that counts. Default 120,000. */
  readonly perAddress: number;
  /** Of one address, with no token or a wrong one. Default 60. */
  readonly failedPerAddress: number;
}

export const defaultLimits: RateLimits = { perToken: 60_000, perAddress: 120_000, failedPerAddress: 60 };

/**
 * Counts requests. Each method answers the seconds to wait where there were too many, else undefined. Whoever has a
 * token that counts is never kept waiting for what others send from the same address: many clients share one (loopback,
 * a proxy's), any page in a browser there can send requests, and no token can be guessed at any rate.
 */
export interface Limiter {
  address(request: IncomingMessage): Promise<number | undefined>;
  token(name: string): Promise<number | undefined>;
  /** No token, or one that doesn't count. */
  failed(request: IncomingMessage): Promise<number | undefined>;
}

/**
 * Counts in this process's memory: one process serves MCP. What was counted stays when the proxies that are believed become
 * others.
 */
export function createLimiter(limits: RateLimits): (originOf: FindOrigin) => Limiter {
  const make = (points: number) => new RateLimiterMemory({ points, duration: 60 });
  const addresses = make(limits.perAddress);
  const tokens = make(limits.perToken);
  const failures = make(limits.failedPerAddress);
  return (originOf) => ({
    address: (request) => consume(addresses, counted(originOf(request).address)),
    token: (name) => consume(tokens, name),
    failed: (request) => consume(failures, counted(originOf(request).address)),
  });
}

async function consume(limiter: RateLimiterMemory, key: string): Promise<number | undefined> {
  try {
    await limiter.consume(key);
    return undefined;
  } catch (error) {
    if (error instanceof RateLimiterRes) return seconds(error);
    throw error;
  }
}

function seconds(state: RateLimiterRes): number {
  return Math.max(1, Math.ceil(state.msBeforeNext / 1_000));
}

/** An IPv6 client has a whole /64. */
function counted(address: string): string {
  return isIPv6(address) ? `${groupsOf(address).slice(0, 4).join(':')}::/64` : address;
}

/** The eight groups of an IPv6 address, whichever of them its short form leaves out. */
function groupsOf(address: string): readonly string[] {
  const [before = '', after] = address.split('::');
  const [head, tail] = [before, after ?? ''].map((part) => part.split(':').filter((group) => group !== ''));
  const missing = 8 - (head?.length ?? 0) - (tail?.length ?? 0);
  return [...(head ?? []), ...Array<string>(after === undefined ? 0 : missing).fill('0'), ...(tail ?? [])];
}
