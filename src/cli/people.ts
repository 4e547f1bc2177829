import { readFileSync } from 'node:fs';
import { Argument, type Command, Option } from 'commander';
import { explain, ServiceError } from '../errors.ts';
import { checkPassword } from '../people/password.ts';
import { checkMail, checkNew, type Person, type Role, roles } from '../people/person.ts';
import { parsePublicKey } from '../people/ssh-key.ts';
import type { People } from '../people/store.ts';
import { textTable } from '../reports/table.ts';
import { readableTime } from '../reports/units.ts';
import { fingerprintOf } from '../ssh-wire.ts';
import type { CliContext } from './context.ts';
import { byDefault } from './parse.ts';
import { noTerminal, openPeople, provePerson } from './prove.ts';
import { setUpTotp } from './second-factor.ts';
import { requester } from './temporal.ts';
import { ask, askSecret, isAtTerminal, note, ownTimeZone, print, printJson } from './terminal.ts';
import { writeDown } from './write-down.ts';

/** `people list|add|remove|role|password|totp|key|mail|disable|enable`. */
export function peopleCommands(program: Command, context: CliContext): void {
  const group = program
    .command('people')
    .description('The people who approve and decide: their roles, passwords, second factors and keys to sign with');
  const administrator = (doing: string, orSelf?: string) =>
    provePerson(context, { doing, role: 'administrator', ...(orSelf !== undefined && { orSelf }) });
  /** Says it here, and writes it down with who has done it. */
  const done = async (by: Person, text: string, next = '') => {
    note(`${text}${next}`);
    await writeDown(context, { kind: 'person', by: { kind: 'person', name: by.name }, text });
  };

  byDefault(group.command('list', { isDefault: true }))
    .description('List the people: name, role, second factor, keys, mail')
    .option('--json', 'Print them as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const people = await openPeople(context);
      const all = people.list();
      if (json) return printJson(all);
      if (all.length === 0) return note(`There is nobody yet. ${addFirst}`);
      const rows = all.map((one) => [
        one.name,
        one.role,
        one.totp ? 'yes' : 'no',
        String(one.keys.length),
        one.mail.join(', ') || '-',
        stateOf(one, people.lockedUntil(one.name)),
      ]);
      print(textTable(['NAME', 'ROLE', 'SECOND FACTOR', 'KEYS', 'MAIL', 'SIGN-IN'], rows));
    });

  group
    .command('add <name>')
    .summary('Add a person; the first one is an administrator')
    .description(
      'Add a person. The first one is an administrator, whom nobody has to admit; for every other an administrator signs in first. The password is typed on the terminal, at least 12 characters.',
    )
    .addOption(
      new Option(
        '--role <role>',
        'observer looks; operator also decides what paused runs ask; administrator also approves and changes people (default: administrator for the first one, else observer)',
      ).choices(roles),
    )
    .option('--mail <address>', 'Where what waits for them is mailed; repeatable', collect)
    .action(async (name: string, { role, mail = [] }: { role?: Role; mail?: readonly string[] }) => {
      const people = await openPeople(context);
      const first = people.list().length === 0;
      checkNew(people.list(), { name, role: role ?? 'observer', mail });
      if (first) {
        await addFirstOf(people, name, role ?? 'administrator', mail);
        await writeDown(context, { kind: 'person', by: requester(), text: `${name} is the first administrator` });
      } else {
        const by = await administrator(`add ${name} as ${role ?? 'observer'}`);
        const password = await newPassword(name, `Password of ${name}`);
        await people.add({ name, role: role ?? 'observer', mail, password, first });
        await done(
          by,
          `${name} is added as ${role ?? 'observer'}.`,
          ` They set another password with: npx proxmox-mcp people password ${name}; and a second factor with: npx proxmox-mcp people totp ${name}`,
        );
      }
    });

  group
    .command('remove <name>')
    .description('Remove a person; their sessions end at once')
    .action(async (name: string) => {
      const people = await openPeople(context);
      people.get(name);
      const by = await administrator(`remove ${name}`);
      await people.remove(name);
      await done(
        by,
        `${name} is removed.`,
        ' Tokens of their agents stay until they are revoked: npx proxmox-mcp token list',
      );
    });

  group
    .command('role <name>')
    .addArgument(new Argument('<role>').choices(roles))
    .description('Give a person another role')
    .action(async (name: string, role: Role) => {
      const people = await openPeople(context);
      const { role: before } = people.get(name);
      const by = await administrator(`make ${name}, now ${before}, ${role}`);
      await people.setRole(name, role);
      await done(by, `${name}, until now ${before}, is ${role}.`);
    });

  for (const [word, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const) {
    group
      .command(`${word} <name>`)
      .description(disabled ? 'Keep a person from signing in and approving' : 'Let a disabled person in again')
      .action(async (name: string) => {
        const people = await openPeople(context);
        people.get(name);
        const by = await administrator(`${word} ${name}`);
        await people.setDisabled(name, disabled);
        await done(by, `${name} is ${word}d.`);
      });
  }

  group
    .command('mail <name> [addresses...]')
    .description('Set the mail addresses of a person; none: they have none')
    .action(async (name: string, addresses: readonly string[]) => {
      const people = await openPeople(context);
      people.get(name);
      checkMail(addresses);
      const by = await administrator(`set the mail addresses of ${name} to ${addresses.join(', ') || 'none'}`, name);
      await people.setMail(name, addresses);
      await done(by, `The mail addresses of ${name} are ${addresses.join(', ') || 'none'}.`);
    });

  group
    .command('password <name>')
    .description('Set a new password: as that person, or as an administrator for who has forgotten theirs')
    .action(async (name: string) => {
      const people = await openPeople(context);
      people.get(name);
      const by = await administrator(`set a new password of ${name}`, name);
      await people.setPassword(name, await newPassword(name, `New password of ${name}`));
      await done(by, `${name} has a new password.`);
    });

  group
    .command('totp <name>')
    .description('Set up a second factor, a code of an authenticator app (TOTP); another replaces it')
    .option('--off', 'Take it away, as for who has lost the phone')
    .action(async (name: string, { off = false }: { off?: boolean }) => {
      const people = await openPeople(context);
      people.get(name);
      const by = await administrator(
        off ? `take away the second factor of ${name}` : `set up a second factor of ${name}`,
        name,
      );
      if (off) await people.setTotp(name, undefined);
      else await setUpTotp(people, name);
      await done(by, off ? `${name} has no second factor any more.` : `${name} has a new second factor.`);
    });

  group
    .command('key <name> [file]')
    .summary('List, add or remove the SSH keys that a person signs with')
    .description(
      'Without a file, list the public SSH keys that a person signs approvals with. With the file of a public key (.pub), add it; one of a hardware token too (ssh-keygen -t ed25519-sk).',
    )
    .option('--remove <SHA256:…>', 'Remove the key with this fingerprint')
    .action(async (name: string, file: string | undefined, { remove }: { remove?: string }) => {
      const people = await openPeople(context);
      const { keys } = people.get(name);
      if (remove !== undefined) {
        const by = await administrator(`remove the key ${remove} of ${name}`, name);
        await people.removeKey(name, remove);
        return done(by, `${remove} is no key of ${name} any more.`);
      }
      if (file === undefined) {
        if (keys.length === 0) return note(`${name} has no key. Add one: npx proxmox-mcp people key ${name} FILE.pub`);
        return print(keys.map((key) => `${fingerprintOf(key)}  ${key}`).join('\n'));
      }
      const line = parsePublicKey(readFileSync(file, 'utf8'));
      const by = await administrator(`let ${name} sign with the key ${fingerprintOf(line)}`, name);
      await people.addKey(name, line);
      await done(by, `${name} signs with ${fingerprintOf(line)}.`);
    });
}

const addFirst = 'Add yourself as the first administrator: npx proxmox-mcp people add NAME';

async function addFirstOf(people: People, name: string, role: Role, mail: readonly string[]): Promise<void> {
  if (!isAtTerminal()) throw noTerminal(`To add ${name} as the first administrator`, 'type the password');
  note(
    `There is nobody yet, so nobody has to agree: ${name} becomes the first administrator. From then on, whoever changes people has to sign in as one.`,
  );
  const password = await newPassword(name, `Password of ${name}`);
  await people.add({ name, role, mail, password, first: true });
  note(`${name} is an administrator.`);
  const wanted = await ask('Set up a second factor now, a code of an authenticator app? [Y/n] ');
  if (/^n/i.test(wanted ?? 'n')) return note(`Later: npx proxmox-mcp people totp ${name}`);
  try {
    await setUpTotp(people, name);
    note(`${name} signs in with a code of the app from now on.`);
  } catch (error) {
    // The person is there all the same.
    if (!(error instanceof ServiceError)) throw error;
    note(explain(error));
  }
}

/** Typed twice, because nobody sees it. */
async function newPassword(name: string, question: string): Promise<string> {
  const password = (await askSecret(`${question}: `)).reveal();
  checkPassword(password, name);
  if ((await askSecret('Once more: ')).reveal() === password) return password;
  throw new ServiceError({
    code: 'invalid-input',
    message: 'The two passwords differ, so nothing was changed',
    remedy: 'Run it again.',
  });
}

function stateOf({ disabled }: Person, lockedUntil: number | undefined): string {
  if (disabled) return 'disabled';
  if (lockedUntil === undefined) return 'yes';
  return `locked until ${readableTime(new Date(lockedUntil).toISOString(), ownTimeZone())}`;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
