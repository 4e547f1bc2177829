import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SimulatorState } from './state.ts';
import { unixTime } from './state.ts';

/** `PVE:user@realm:<8 hex>::<signature>`, good for two hours. */
export function makeTicket(state: SimulatorState, user: string): string {
  return sign(state, `PVE:${user}`, '');
}

/** Whom a ticket was made for, if it is one of ours and still good. */
export function ticketUser(state: SimulatorState, ticket: string): string | undefined {
  const user = verified(state, ticket, '');
  return user?.startsWith('!tfa!') ? undefined : user;
}

/** A ticket that is good for nothing but the second factor of this user. */
export function makeChallenge(state: SimulatorState, user: string): string {
  return sign(state, `PVE:!tfa!${encodeURIComponent(JSON.stringify({ totp: true }))}`, user);
}

export function isChallenge(state: SimulatorState, ticket: string, user: string): boolean {
  return verified(state, ticket, user)?.startsWith('!tfa!') === true;
}

/** `<8 hex>:<signature>`: proves that a writing request was made by who holds the ticket. */
export function makeCsrfToken(state: SimulatorState, user: string): string {
  const time = hexNow();
  return `${time}:${signature(state, `csrf:${time}:${user}`)}`;
}

export function isCsrfToken(state: SimulatorState, token: string, user: string): boolean {
  const [time = '', given = ''] = token.split(/:(.*)/s, 2);
  return isFresh(state, time) && equal(given, signature(state, `csrf:${time}:${user}`));
}

function sign(state: SimulatorState, what: string, aad: string): string {
  const plain = `${what}:${hexNow()}`;
  return `${plain}::${signature(state, `${plain}:${aad}`)}`;
}

function verified(state: SimulatorState, ticket: string, aad: string): string | undefined {
  const [, plain = '', user, time = '', given = ''] = /^(PVE:([^:]+):([0-9A-F]{8}))::(.+)$/.exec(ticket) ?? [];
  if (!isFresh(state, time) || !equal(given, signature(state, `${plain}:${aad}`))) return undefined;
  return user;
}

function signature(state: SimulatorState, text: string): string {
  return createHmac('sha256', state.signIn.key).update(text).digest('base64').replace(/=+$/, '');
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function isFresh(state: SimulatorState, time: string): boolean {
  const age = unixTime() - Number.parseInt(time || '0', 16);
  return age < state.signIn.ticketSeconds && age > -300;
}

function hexNow(): string {
  return unixTime().toString(16).toUpperCase().padStart(8, '0');
}
