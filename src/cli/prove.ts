import { explain, isServiceError, ServiceError } from '../errors.ts';
import { includesRole, type Person, type Role } from '../people/person.ts';
import { createPeople, type People, peopleFile } from '../people/store.ts';
import { cleanLine } from '../reports/clean.ts';
import type { CliContext } from './context.ts';
import { requester } from './temporal.ts';
import { ask, askSecret, isAtTerminal, note } from './terminal.ts';
import { writeDown } from './write-down.ts';

/** What a person proves to be themselves for. */
export interface Proof {
  /** `approve the plan 3f2a… of restore/pve1/x`: what follows "To". Shown before anything is asked. */
  readonly doing: string;
  /** Who may: a person of at least this role. */
  readonly role: Role;
  /** Or the person of this name, whatever their role. */
  readonly orSelf?: string;
  /** Who is asked for, where it is known better than by the role. */
  readonly whom?: string | undefined;
}

/** The people of the configured data folder. */
export async function openPeople(context: CliContext): Promise<People> {
  return createPeople(peopleFile((await context.config()).accessDir));
}

/** How often a password or code may be mistyped before the command ends. */
const tries = 3;

/**
 * Asks a person on the terminal to sign in, and returns who they are. What they type comes from nowhere else: no option,
 * variable, file or pipe, because whatever drives the command line could put it there. Throws `unauthenticated` where
 * nobody can be asked or who answers isn't known, `forbidden` for a role that isn't enough, `configuration` when there
 * is nobody yet.
 */
export async function provePerson(context: CliContext, { doing, role, orSelf, whom: named }: Proof): Promise<Person> {
  const people = await openPeople(context);
  const to = `To ${cleanLine(doing, 600)}`;
  const may = people
    .list()
    .filter((one) => !one.disabled && (one.name === orSelf || includesRole(one.role, role)))
    .map(({ name }) => name);
  if (people.list().length === 0) throw nobody(to);
  if (!isAtTerminal()) throw noTerminal(to, 'sign in');
  const whom = named ?? (orSelf === undefined ? article(role) : `${orSelf} or ${article(role)}`);
  note(`${to}, ${whom} has to sign in.`);
  const only = may.length === 1 ? may[0] : undefined;
  const name = await answer(only === undefined ? 'Name: ' : `Name [${only}]: `, only);
  const person = await signIn(people, name).catch(async (error: unknown) => {
    // What was typed as a name may be a password.
    const whose = people.find(name) === undefined ? 'a name that nobody has' : name;
    const text = `${to}, somebody tried to sign in as ${whose}, in vain`;
    if (isServiceError(error, 'unauthenticated')) await writeDown(context, { kind: 'sign-in', by: requester(), text });
    throw error;
  });
  if (person.name === orSelf || includesRole(person.role, role)) return person;
  throw new ServiceError({
    code: 'forbidden',
    message: `${person.name} is ${article(person.role)}. ${to}, ${article(role)} is needed`,
    remedy: may.length === 0 ? 'Ask an administrator.' : `Ask one of them: ${may.join(', ')}.`,
  });
}

async function signIn(people: People, name: string): Promise<Person> {
  for (let left = tries - 1; ; left -= 1) {
    const password = (await askSecret('Password: ')).reveal();
    // Who isn't known is asked for a code as well.
    const code = people.find(name)?.totp === false ? undefined : await answer('Code of the authenticator app: ');
    try {
      return await people.signIn({ name, password, code });
    } catch (error) {
      if (left === 0 || !isServiceError(error, 'unauthenticated')) throw error;
      note(explain(error));
    }
  }
}

/** Throws `cancelled` on Ctrl-C and Ctrl-D. */
async function answer(question: string, instead?: string): Promise<string> {
  const text = (await ask(question)) || instead;
  if (text) return text;
  throw new ServiceError({
    code: 'cancelled',
    message: 'Nothing was answered',
    remedy: 'Run it again when you are ready.',
  });
}

function article(role: Role): string {
  return `an ${role}`;
}

function nobody(to: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `${to}, a person has to sign in, and there is nobody yet who could`,
    remedy: 'Add yourself as the first administrator, in a terminal: npx proxmox-mcp people add NAME',
  });
}

/** `to`: "To …"; `what` a person has to do. */
export function noTerminal(to: string, what: string): ServiceError {
  return new ServiceError({
    code: 'unauthenticated',
    message: `${to}, a person has to ${what}, and there is no terminal here to ask one`,
    remedy:
      'Run the same command yourself in a terminal (over ssh: ssh -t); a password from an option, a variable, a file or a pipe is never taken.',
  });
}
