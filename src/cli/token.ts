import { type Command, Option } from 'commander';
import { ServiceError } from '../errors.ts';
import { isAdministrator } from '../people/person.ts';
import type { People } from '../people/store.ts';
import { textTable } from '../reports/table.ts';
import { createTokenStore, type TokenStore, tokensFile } from '../tokens/store.ts';
import { type Scope, scopes } from '../tokens/token.ts';
import type { CliContext } from './context.ts';
import { byDefault } from './parse.ts';
import { openPeople } from './prove.ts';
import { requester } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';
import { writeDown } from './write-down.ts';

/** `token create|list|revoke`. */
export function tokenCommands(program: Command, context: CliContext): void {
  const token = program.command('token').description('Make and revoke the bearer tokens of MCP clients');
  const store = async (): Promise<TokenStore> => createTokenStore(tokensFile((await context.config()).accessDir));

  token
    .command('create <name>')
    .description('Make a token and print it, once; only its hash is kept')
    .addOption(
      new Option('--scope <scope>', 'read looks; operate also starts changes; admin also starts what is dangerous')
        .choices(scopes)
        .default('read'),
    )
    .option(
      '--owner <name>',
      'The person whose agent uses it, as approvals see it (default: the only administrator, where there is just one)',
    )
    .option('--expires <date>', 'Last day it works, e.g. 2027-12-31, or a time in ISO 8601', expiry)
    .option('--json', 'Print it as JSON')
    .action(async (name: string, options: { scope: Scope; owner?: string; expires?: Date; json?: boolean }) => {
      const { scope, expires } = options;
      const owner = ownerFrom(await openPeople(context), options.owner);
      const made = await (await store()).create({
        name,
        scope,
        ...(owner !== undefined && { owner }),
        ...(expires && { expiresAt: expires }),
      });
      const of = owner === undefined ? '' : `, of ${owner}`;
      await writeDown(context, { kind: 'token', by: requester(), text: `Token ${name} (${scope}${of}) is made` });
      if (options.json) return printJson(made);
      note(`Token ${name} (${made.scope}${of}). It is shown only now; keep it where the client finds it.`);
      print(made.token);
      const config = await context.config();
      const { claudeLine, trustLines } = await import('../service/summary.ts');
      note(`Claude Code: ${claudeLine(config, 'TOKEN')}`);
      const [copy, ...rest] = trustLines(config);
      if (copy !== undefined) note([`The certificate is signed by Caddy's own CA: ${copy}`, ...rest].join('\n'));
    });

  byDefault(token.command('list', { isDefault: true }))
    .description('List the tokens: name, scope, owner, expiry')
    .option('--json', 'Print them as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const all = (await store()).list();
      if (json) return printJson(all);
      if (all.length === 0)
        return note('There are no tokens. Make one: npx proxmox-mcp token create NAME --scope operate');
      const rows = all.map((one) => [one.name, one.scope, one.owner ?? '-', one.createdAt, one.expiresAt ?? 'never']);
      print(textTable(['NAME', 'SCOPE', 'OWNER', 'MADE', 'EXPIRES'], rows));
    });

  token
    .command('revoke <name>')
    .description('Make a token useless at once, in the running server too')
    .action(async (name: string) => {
      await (await store()).revoke(name);
      note(`Token ${name} is revoked.`);
      await writeDown(context, { kind: 'token', by: requester(), text: `Token ${name} is revoked` });
    });
}

/** The person of that name; where none is named, who is the only administrator. */
function ownerFrom(people: People, wanted: string | undefined): string | undefined {
  if (wanted !== undefined) return people.get(wanted).name;
  const [only, ...others] = people.list().filter(isAdministrator);
  return others.length === 0 ? only?.name : undefined;
}

/** A day counts to its end. */
function expiry(text: string): Date {
  const day = /^\d{4}-\d{2}-\d{2}/.exec(text)?.[0];
  const date = new Date(text === day ? `${text}T23:59:59.999Z` : text);
  if (day !== undefined && !Number.isNaN(date.getTime()) && isDay(day)) return date;
  throw new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(text)} is not a date`,
    remedy: 'Write e.g. --expires 2027-12-31.',
  });
}

/** Whether the calendar has it: `Date` itself takes the 30th of February for the 2nd of March. */
function isDay(day: string): boolean {
  const date = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}
