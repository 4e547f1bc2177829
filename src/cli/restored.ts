import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { principalText } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableTime, relativeTime } from '../reports/units.ts';
import type { RestoredDecision } from '../restored-mark.ts';
import type { OpenThen } from '../runs/go-on.ts';
import type { CliContext } from './context.ts';
import { anchorsOf } from './ledger.ts';
import { openPeople, provePerson } from './prove.ts';
import { requester, withClient } from './temporal.ts';
import { ask, askSecret, isYes, note, ownTimeZone, print, printJson } from './terminal.ts';

interface Options {
  readonly goOn?: boolean;
  readonly anchors?: string;
  readonly hosts: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** A number beyond this is no record's: somebody has written a line of their own into a journal. */
const mostRecords = 999_999_999_999;

/** `restored`. */
export function restoredCommand(program: Command, context: CliContext): void {
  program
    .command('restored')
    .summary('After an older state of the service was restored: what was open, and how it goes on')
    .description(
      'After an older state of the service was restored (Temporal, the ledger, or the whole data folder): list the runs that were open in it, the approvals that are void, and the schedules that fire. Nothing is executed until --go-on, which asks an administrator to sign in, ends those runs, writes it into the ledger and lets the service go on with changes stopped, until `changes allow`.',
    )
    .option('--go-on', 'End what was open, and let the service go on with changes stopped')
    .option(
      '--anchors <file>',
      'Heads of the ledger that you saved: lines that end with NUMBER HASH, as in the morning mail',
    )
    .option('--no-hosts', "Don't look for heads of the ledger in the hosts' journals")
    .option('--yes', "Don't ask, where there are no people who could sign in")
    .option('--json', 'Print it as JSON')
    .action(async ({ goOn = false, anchors, hosts, yes = false, json }: Options) => {
      const { readRestored } = await import('../runs/restored.ts');
      const { goOnAfterRestore, readOpenThen } = await import('../runs/go-on.ts');
      await withClient(context, async (client, config) => {
        const restored = await readRestored(config, () => client);
        if (restored === undefined) {
          if (json) printJson({ restored: false });
          else print('Nothing was restored, as far as this service knows: it works.');
          return;
        }
        const open = await readOpenThen(client, config);
        if (json && !goOn) return printJson({ restored: true, why: restored.why, ...open });
        (json ? note : print)(openText(restored.why, open));
        if (!goOn) return note('To end them and go on, with changes stopped: npx proxmox-mcp restored --go-on');
        const anchor = await newestAnchor(context, config, anchors, hosts);
        note(
          anchor === undefined
            ? 'No head of the ledger is known from elsewhere: how much it has lost can not be said.'
            : `The newest head of the ledger that is known from elsewhere is record ${anchor.seq} (${anchor.from}).`,
        );
        const by = await whoDecides(context, yes);
        const { ended } = await goOnAfterRestore({ client, config, by, anchor, say: note });
        if (json) printJson({ restored: false, ended, by });
        else
          print(
            'The service goes on. Changes are stopped until an administrator allows them: npx proxmox-mcp changes allow',
          );
      });
    });
}

/** `restore-service`. */
export function restoreServiceCommand(program: Command, context: CliContext): void {
  program
    .command('restore-service <file>')
    .summary('Put the whole service back from its archive, while it is stopped')
    .description(
      'Put the whole service back from an archive of back-up-service, while it is stopped: runs, schedules, ledger, tokens, people. The archive is looked at first, file by file; what is there moves aside. Configuration and keys that are here stay; those that are missing are brought. When it is started again it executes nothing until `restored --go-on`.',
    )
    .option('--identity <file>', 'Identity of age, for an archive that is encrypted')
    .option('--elsewhere', 'Bring files, too, that the configuration which is here does not name, wherever they belong')
    .option('--json', 'Print it as JSON')
    .action(async (file: string, options: { identity?: string; elsewhere?: boolean; json?: boolean }) => {
      const { identity, elsewhere = false, json } = options;
      const { folder: configFolder } = context.load();
      const { restoreService } = await import('../move/restore-service.ts');
      const done = await restoreService({
        file: resolve(file),
        identity: identity && resolve(identity),
        askPassphrase: () => askSecret('Passphrase of the identity: '),
        config: await context.config(),
        configFolder,
        by: principalText(requester()),
        agree: (paths) => wantsElsewhere(paths, elsewhere),
        say: note,
      });
      if (json) return printJson(done);
      print(
        [
          'The service is as it was in the archive.',
          ...(done.asides.length === 0
            ? []
            : [`What was here before is in ${done.asides.join(', ')}; remove it when all is well.`]),
          ...(done.brought.length === 0 ? [] : [`Brought, because it was missing: ${done.brought.join(', ')}`]),
          ...(done.kept.length === 0 ? [] : [`Kept as it is here: ${done.kept.join(', ')}`]),
          ...(done.left.length === 0 ? [] : [`Left in the archive: ${done.left.join(', ')}`]),
          'Start it, then look what was open: npx proxmox-mcp restored',
        ].join('\n'),
      );
    });
}

/** Without a terminal only what was asked for by name. */
async function wantsElsewhere(paths: readonly string[], isGiven: boolean): Promise<boolean> {
  note(
    `The archive brings files that the configuration which is here does not name:\n${paths.map((path) => `  ${cleanLine(path, 300)}`).join('\n')}`,
  );
  return isGiven || isYes(await ask('Bring them? Nothing proves who has packed them. Type yes: '));
}

/** As the ledger writes them. Where there are people, one of them who is an administrator. */
async function whoDecides(context: CliContext, yes: boolean): Promise<string> {
  const people = await openPeople(context);
  if (people.list().length > 0) {
    const doing = 'let the service go on from what was restored';
    const { name } = await provePerson(context, { doing, role: 'administrator' });
    return principalText({ kind: 'person', name });
  }
  if (!yes && (await ask('End what was open, and go on? Type yes: ')) !== 'yes') {
    throw new ServiceError({
      code: 'cancelled',
      message: 'Nothing was changed',
      remedy: 'Run it again in a terminal when you are ready, or give --yes.',
    });
  }
  return principalText(requester());
}

/** The newest of those that were given and of those in the hosts' journals, each of which may be away. */
async function newestAnchor(
  context: CliContext,
  config: Config,
  file: string | undefined,
  asksHosts: boolean,
): Promise<RestoredDecision['anchor']> {
  const { anchorsIn } = await import('../runs/anchors.ts');
  const found =
    file === undefined ? [] : anchorsIn(readFileSync(file, 'utf8'), file).map((one) => ({ ...one, from: file }));
  const asked = asksHosts ? config.hosts.filter(({ ssh, local }) => (ssh ?? local) !== undefined) : [];
  for (const { name } of asked) {
    try {
      const from = `the journal of ${name}`;
      found.push(...(await anchorsOf(context, name)).map((one) => ({ ...one, from })));
    } catch (error) {
      note(`${name}: ${error instanceof ServiceError ? explain(error) : String(error)}`);
    }
  }
  return found.filter(({ seq }) => seq <= mostRecords).sort((a, b) => b.seq - a.seq)[0];
}

function openText(why: string, { runs, schedules }: OpenThen): string {
  const zone = ownTimeZone();
  const waiting = runs.filter(({ question }) => question !== undefined);
  const lines = [
    `${why}. Nothing is executed.`,
    '',
    runs.length === 0
      ? 'No run was open in it.'
      : `Runs that were open in it (${runs.length}); none resumes by itself:`,
    ...runs.flatMap(({ id, operation, target, startedAt, question, last }) => [
      `  ${id}: ${operation} on ${target}, started ${readableTime(startedAt, zone)}, ${relativeTime(startedAt)}`,
      ...(last === undefined ? [] : [`    last: ${cleanLine(last, 300)}`]),
      ...(question === undefined ? [] : [`    asked: ${cleanLine(question.text, 300)}`]),
    ]),
    ...(waiting.length === 0
      ? []
      : ['', `Approvals and answers that are void: those of ${waiting.map(({ id }) => id).join(', ')}.`]),
    '',
    schedules.length === 0
      ? 'No schedule fires.'
      : `Schedules that fire (${schedules.length}); what they start waits, too:`,
    ...schedules.map(
      ({ id, nextRuns }) => `  ${id}${nextRuns[0] === undefined ? '' : `, next ${readableTime(nextRuns[0], zone)}`}`,
    ),
  ];
  return lines.join('\n');
}
