import { z } from 'zod';
import { ServiceError } from '../errors.ts';
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

/** Whether this is one who may approve everything, now. */
export function isAdministrator({ role, disabled }: Pick<Person, 'role' | 'disabled'>): boolean {
  return role === 'administrator' && !disabled;
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

/** Throws `invalid-input` or `already-exists` when this can't be another person beside these. */
export function checkNew(
  people: readonly { readonly name: string }[],
  { name, role, mail }: { readonly name: string; readonly role: string; readonly mail: readonly string[] },
): void {
  if (!principalName.safeParse(name).success) {
    throw invalidPerson(
      "The person's name isn't valid",
      'Use 1 to 64 letters, digits and . _ -, starting with a letter or digit, e.g. anna.',
    );
  }
  checkRole(role);
  checkMail(mail);
  if (!people.some((one) => one.name.toLowerCase() === name.toLowerCase())) return;
  throw new ServiceError({
    code: 'already-exists',
    message: `There is a person named ${name} already (upper and lower case count as the same)`,
    remedy: 'Choose another name, or see who there is: npx proxmox-mcp people list',
  });
}

export function checkRole(role: string): void {
  if (roles.some((one) => one === role)) return;
  throw invalidPerson(`The role ${JSON.stringify(role)} isn't known`, `Use one of ${roles.join(', ')}.`);
}

export function checkMail(mail: readonly string[]): void {
  const wrong = mail.find((one) => !z.email().max(254).safeParse(one).success);
  if (wrong === undefined && mail.length <= 10) return;
  throw invalidPerson(
    wrong === undefined ? 'A person has at most ten mail addresses' : `${JSON.stringify(wrong)} is no mail address`,
    'Give addresses like anna@example.com.',
  );
}

export function invalidPerson(message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message, remedy });
}

export function unknownPerson(name: string, people: readonly { readonly name: string }[]): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no person named ${JSON.stringify(name)}`,
    remedy:
      people.length === 0
        ? 'There is nobody yet. Add yourself as the first administrator, in a terminal: npx proxmox-mcp people add NAME'
        : `There are: ${people.map((one) => one.name).join(', ')}.`,
  });
}
