import { z } from 'zod';
import { principalName } from '../principal-name.ts';

export const roles = ['observer', 'operator', 'administrator'] as const;
/**
 * What a person may decide; each role includes those before it. An observer looks, an operator decides what paused runs
 * ask, an administrator approves what is dangerous and changes people and policy.
 */
export type Role = (typeof roles)[number];

/** Whether `held` includes `needed`: observer < operator < administrator. */
export function includesRole(held: Role, needed: Role): boolean {
  return roles.indexOf(held) >= roles.indexOf(needed);
}

/** A person as everybody may know them: nothing here is secret. */
export interface Person {
  readonly name: string;
  readonly role: Role;
  readonly mail: readonly string[];
  /** Whether they have a second factor: a code that changes every 30 s. */
  readonly totp: boolean;
  /** Public keys that they sign with, each a line as in `authorized_keys`. */
  readonly keys: readonly string[];
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** A disabled person can't sign in and approves nothing. */
  readonly disabled: boolean;
}

/** A person as the file has them. */
export const storedPerson = z.object({
  name: principalName,
  role: z.enum(roles),
  mail: z.array(z.string()),
  /** Argon2id, in the PHC format that names its parameters. */
  hash: z.string().startsWith('$argon2id$'),
  totp: z
    .object({
      /** Base32. */
      secret: z.string().regex(/^[A-Z2-7]{32,}$/),
      /** The 30 seconds, counted from 1970, of the last code that counted: none of them or before them counts again. */
      last: z.int(),
    })
    .optional(),
  keys: z.array(z.string()),
  createdAt: z.iso.datetime(),
  disabled: z.boolean(),
});
export type StoredPerson = z.infer<typeof storedPerson>;

/** What of a stored person isn't secret. */
export function personOf({ name, role, mail, totp, keys, createdAt, disabled }: StoredPerson): Person {
  return { name, role, mail, totp: totp !== undefined, keys, createdAt, disabled };
}
