import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export const scopes = ['read', 'operate', 'admin'] as const;
/** What a token may do; each scope includes those before it. */
export type Scope = (typeof scopes)[number];

/** Whether `held` includes `needed`: read < operate < admin. */
export function includesScope(held: Scope, needed: Scope): boolean {
  return scopes.indexOf(held) >= scopes.indexOf(needed);
}

const pattern = /^pmcp_([A-Za-z0-9_-]{12})_([A-Za-z0-9_-]{43})$/;

/** `pmcp_<id>_<secret>`: a public id to find it by (72 bits), then 256 random bits. */
export function newToken(): { readonly id: string; readonly token: string } {
  const id = randomBytes(9).toString('base64url');
  return { id, token: `pmcp_${id}_${randomBytes(32).toString('base64url')}` };
}

/** The public id in a token; `undefined` for anything that isn't shaped like one of ours. */
export function tokenId(token: string): string | undefined {
  return pattern.exec(token)?.[1];
}

/**
 * SHA-256 on purpose, not a password hash: a token's 256 random bits can't be guessed however fast the hash is, and a
 * slow hash would cost every request its time.
 */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Compares in constant time, so that the answer's time says nothing about how much of a guess is right. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'hex'), Buffer.from(b, 'hex')];
  return left.length === right.length && timingSafeEqual(left, right);
}
