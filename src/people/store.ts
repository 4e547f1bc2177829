import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { createPrivateJson } from '../private-json.ts';
import { fingerprintOf } from '../ssh-wire.ts';
import { createAttempts } from './attempts.ts';
import { checkPassword, type HashCost, hashCost, hashPassword, isPassword, nobodysHash } from './password.ts';
import {
  checkMail,
  checkNew,
  checkRole,
  invalidPerson,
  isAdministrator,
  type Person,
  personOf,
  type Role,
  type StoredPerson,
  storedPerson,
  unknownPerson,
} from './person.ts';
import { parsePublicKey } from './ssh-key.ts';
import { totpStep } from './totp.ts';
import { createTurns } from './turns.ts';

/** What a person signs in with. */
export interface SignIn {
  readonly name: string;
  readonly password: string;
  /** Of their authenticator app, where they have a second factor. */
  readonly code?: string | undefined;
}

/**
 * The people who decide. Who calls what changes them has asked an administrator to sign in: this only keeps the file.
 * Everything that changes one throws `not-found` for a name that nobody has, and all throw `configuration` or
 * `unreadable` when the file can't be trusted. Once there is an enabled administrator, there always is one: what would
 * end that throws `conflict`.
 */
export interface People {
  list(): readonly Person[];
  find(name: string): Person | undefined;
  /** Throws `not-found`. */
  get(name: string): Person;
  /** Throws `already-exists`, `invalid-input`; `conflict` when `first` isn't so any more. */
  add(person: {
    /** 1 to 64 letters, digits and `. _ -`; nobody else's, in upper or lower case. */
    readonly name: string;
    readonly role: Role;
    readonly mail?: readonly string[];
    readonly password: string;
    /** Whether they are to be the first of all, an administrator, whom nobody has to admit. */
    readonly first: boolean;
  }): Promise<Person>;
  remove(name: string): Promise<Person>;
  setRole(name: string, role: Role): Promise<Person>;
  setDisabled(name: string, disabled: boolean): Promise<Person>;
  setMail(name: string, mail: readonly string[]): Promise<Person>;
  /** Ends what wrong sign-ins have locked, too. Throws `invalid-input` for one that is easily guessed. */
  setPassword(name: string, password: string): Promise<Person>;
  /** Takes a second factor whose app shows this code now, or (undefined) takes it away. Throws `invalid-input`. */
  setTotp(name: string, totp: { readonly secret: string; readonly code: string } | undefined): Promise<Person>;
  /** A public key as one line. Throws `invalid-input`, or `already-exists` when somebody has it. */
  addKey(name: string, line: string): Promise<Person>;
  /** By its fingerprint, `SHA256:…`. */
  removeKey(name: string, fingerprint: string): Promise<Person>;
  /**
   * Who this is. Throws `unauthenticated`, the same and after about the same time whatever is wrong, and `rate-limited`
   * while too many wrong ones have locked the name: after 5 for a minute, then twice as long each time, up to an hour.
   */
  signIn(given: SignIn): Promise<Person>;
  /**
   * Changes with the password and the second factor; undefined for who is disabled or gone. A session keeps it, and is
   * over when it is another.
   */
  credentialsOf(name: string): string | undefined;
  /** Until when wrong sign-ins have locked this name, in milliseconds since 1970. */
  lockedUntil(name: string): number | undefined;
}

export interface PeopleOptions {
  /** For tests, whose passwords are nobody's. */
  readonly cost?: HashCost;
  readonly now?: () => number;
}

const content = z.object({ version: z.literal(1), people: z.array(storedPerson) });
type Content = z.infer<typeof content>;

/** Where the people are kept. */
export function peopleFile(accessDir: string): string {
  return join(accessDir, 'people.json');
}

/** People in one file, `<accessDir>/people.json`: mode 0600, shared by all processes; wrong sign-ins in another beside it. */
export function createPeople(path: string, { cost = hashCost, now = Date.now }: PeopleOptions = {}): People {
  const file = createPrivateJson<Content>({
    path,
    schema: content,
    empty: { version: 1, people: [] },
    of: 'people',
    consequence: 'nobody can sign in',
    anew: 'make new people with `npx proxmox-mcp people add`',
  });
  const attempts = createAttempts(join(dirname(path), 'sign-ins.json'), now);
  const nobody = nobodysHash(cost);
  // Whoever guesses names that nobody has must not keep those waiting who are there.
  const turns = { known: createTurns(1, 100), unknown: createTurns(1, 10) };
  const find = (name: string) => file.read().people.find((one) => one.name === name);

  /** Replaces one person, or takes them away, as long as an administrator is left. */
  function change(name: string, work: (person: StoredPerson) => StoredPerson | undefined): Promise<Person> {
    return file.change(({ people, ...rest }) => {
      const before = people.find((one) => one.name === name);
      if (before === undefined) throw unknownPerson(name, people);
      const after = work(before);
      const all = people.flatMap((one) => (one === before ? (after ?? []) : one));
      if (people.some(isAdministrator) && !all.some(isAdministrator)) throw lastAdministrator(name);
      return { content: { ...rest, people: all }, result: personOf(after ?? before) };
    });
  }

  return {
    list: () => file.read().people.map(personOf),
    find(name) {
      const person = find(name);
      return person && personOf(person);
    },
    get(name) {
      const { people } = file.read();
      const person = find(name);
      if (person === undefined) throw unknownPerson(name, people);
      return personOf(person);
    },
    async add({ name, role, mail = [], password, first }) {
      checkNew(file.read().people, { name, role, mail });
      checkPassword(password, name);
      if (first && role !== 'administrator') throw firstIsAdministrator();
      const hash = await hashPassword(password, cost);
      return file.change(({ people, ...rest }) => {
        if (first !== (people.length === 0)) throw notFirst(first);
        // Looked at again, now that nobody else changes the file.
        checkNew(people, { name, role, mail });
        const createdAt = new Date(now()).toISOString();
        const made: StoredPerson = { name, role, mail: [...mail], hash, keys: [], createdAt, disabled: false };
        return { content: { ...rest, people: [...people, made] }, result: personOf(made) };
      });
    },
    remove: (name) => change(name, () => undefined),
    async setRole(name, role) {
      checkRole(role);
      return change(name, (person) => ({ ...person, role }));
    },
    setDisabled: (name, disabled) => change(name, (person) => ({ ...person, disabled })),
    async setMail(name, mail) {
      checkMail(mail);
      return change(name, (person) => ({ ...person, mail: [...mail] }));
    },
    async setPassword(name, password) {
      checkPassword(password, name);
      const hash = await hashPassword(password, cost);
      const person = await change(name, (one) => ({ ...one, hash }));
      await attempts.succeeded(name);
      return person;
    },
    async setTotp(name, given) {
      const last = given && totpStep(given.secret, given.code, now());
      if (given !== undefined && last === undefined) throw wrongNewCode();
      return change(name, ({ totp: _former, ...person }) =>
        given === undefined || last === undefined ? person : { ...person, totp: { secret: given.secret, last } },
      );
    },
    async addKey(name, line) {
      const key = parsePublicKey(line);
      const owner = file
        .read()
        .people.find(({ keys }) => keys.some((one) => fingerprintOf(one) === fingerprintOf(key)));
      if (owner !== undefined) throw keyTaken(owner.name);
      return change(name, (person) => ({ ...person, keys: [...person.keys, key] }));
    },
    removeKey: (name, fingerprint) =>
      change(name, (person) => {
        const keys = person.keys.filter((one) => fingerprintOf(one) !== fingerprint);
        if (keys.length === person.keys.length) throw noSuchKey(person);
        return { ...person, keys };
      }),
    async signIn({ name, password, code }) {
      const { people } = file.read();
      await attempts.begin(
        name,
        people.map((one) => one.name),
      );
      const person = people.find((one) => one.name === name);
      const { right, step } = await turns[person === undefined ? 'unknown' : 'known'](async () => ({
        right: await isPassword(person?.hash ?? nobody, password),
        // Looked at whether or not the password is right, so that neither can be guessed without the other.
        step: person?.totp && totpStep(person.totp.secret, code ?? '', now()),
      }));
      if (person === undefined || !right) throw wrong();
      const signedIn = await file.change((before) => {
        const one = before.people.find((other) => other.name === name);
        const after = one && admit(one, person, step);
        if (one === undefined || after === undefined) throw wrong();
        if (after === one) return { content: before, result: personOf(one) };
        const all = before.people.map((other) => (other === one ? after : other));
        return { content: { ...before, people: all }, result: personOf(after) };
      });
      await attempts.succeeded(name);
      return signedIn;
    },
    credentialsOf(name) {
      const person = find(name);
      if (person === undefined || person.disabled) return undefined;
      return createHash('sha256').update(`${person.hash} ${person.totp?.secret}`).digest('base64url');
    },
    lockedUntil: (name) => attempts.lockedUntil(name),
  };
}

/**
 * The person with their code used up, when they may sign in; `looked` is who they were when the password was compared, so
 * that what has changed meanwhile counts. Under the file's lock: of two sign-ins with one code only the first is let in.
 */
function admit(person: StoredPerson, looked: StoredPerson, step: number | undefined): StoredPerson | undefined {
  if (person.disabled || person.hash !== looked.hash || person.totp?.secret !== looked.totp?.secret) return undefined;
  if (person.totp === undefined) return person;
  if (step === undefined || step <= person.totp.last) return undefined;
  return { ...person, totp: { ...person.totp, last: step } };
}

function wrong(): ServiceError {
  return new ServiceError({
    code: 'unauthenticated',
    message: 'The name, the password or the code is wrong, or the code was used already',
    remedy:
      'Try again with the next code of the app; who has forgotten the password asks an administrator for another.',
  });
}

function wrongNewCode(): ServiceError {
  return invalidPerson(
    'The code is wrong, so the second factor was not taken',
    'Type the six digits that the app shows now; if they are refused again, compare the clocks of the phone and this machine.',
  );
}

function firstIsAdministrator(): ServiceError {
  return invalidPerson('The first person has to be an administrator', 'Leave --role out, and add others afterwards.');
}

function notFirst(first: boolean): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: first ? 'Somebody was added meanwhile' : 'There is nobody any more who could have admitted them',
    remedy: 'Run it again.',
  });
}

function keyTaken(name: string): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `This key is ${name}'s already`,
    remedy: 'Everybody signs with a key of their own: make another one with ssh-keygen.',
  });
}

function noSuchKey({ name, keys }: StoredPerson): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `${name} has no key with this fingerprint`,
    remedy: keys.length === 0 ? 'They have none at all.' : `There are: ${keys.map(fingerprintOf).join(', ')}.`,
  });
}

function lastAdministrator(name: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${name} is the last administrator, and without one nobody could approve anything`,
    remedy: 'Make somebody else an administrator first: npx proxmox-mcp people role NAME administrator',
  });
}
