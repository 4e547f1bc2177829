import { randomBytes } from 'node:crypto';

export interface SimulatedUser {
  enabled: boolean;
  /** Unix seconds; 0 is never. */
  expire: number;
  comment?: string;
  email?: string;
  firstname?: string;
  lastname?: string;
  /** Without one nobody signs in as this user. */
  password?: string;
  /** The base32 secret of a one-time password, asked for after the password. */
  totp?: string;
}

export interface SimulatedGroup {
  comment?: string;
  readonly members: Set<string>;
}

/** What tickets are signed with and how long they are good for. */
export interface SignInState {
  readonly key: Uint8Array;
  ticketSeconds: number;
}

export function createSignIn(): SignInState {
  return { key: randomBytes(32), ticketSeconds: 7200 };
}
