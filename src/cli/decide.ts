import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import type { Plan } from '../operations/plan.ts';
import type { Question } from '../operations/run.ts';
import type { Person } from '../people/person.ts';
import { readableTime } from '../reports/units.ts';
import type { RunDetails } from '../runs/runs.ts';
import type { CliContext } from './context.ts';
import { provePerson } from './prove.ts';
import { planText } from './show-run.ts';
import { signText } from './sign.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, ownTimeZone, print, printJson } from './terminal.ts';

/** How long a one-time code counts. Milliseconds: until the Temporal UI is open. */
const codeMs = 10 * 60_000;

/** `runs decide` and `runs code`: what a paused run asks is answered by a person. */
export function decideCommands(runs: Command, context: CliContext): void {
  runs
    .command('decide <run> <choice>')
    .description('Answer what a paused run asks; an approval shows its plan first and asks you to sign in')
    .option('--reason <text>', 'Why, for the record')
    .option('--sign <keyfile>', 'Sign the plan with this SSH key, where the policy wants that; the host verifies it')
    .option('--json', 'Print the run as JSON')
    .action(async (id: string, choice: string, { reason, sign, json }: DecideOptions) => {
      const run = await withTemporal(context, async (service) => {
        const asking = await service.runs.get(id);
        const said = { choice, ...(reason === undefined ? {} : { reason }) };
        const approval = approvalOf(asking);
        if (approval === undefined) return service.runs.decide(id, said, requester());
        const { question, plan } = approval;
        const person = await prove(context, asking, { choice, question, plan });
        const signatures = choice === 'approve' ? await signAll(asking, question, sign) : [];
        const answer = {
          ...said,
          question: question.id,
          digest: plan.digest,
          via: 'cli',
          ...(signatures.length > 0 && { signatures }),
        };
        return service.runs.decide(asking.id, answer, { kind: 'person', name: person.name });
      });
      if (json) printJson(run);
      else note(`Answered "${choice}". See how it goes on with: npx proxmox-mcp runs wait ${run.id}`);
    });

  runs
    .command('code <run> <choice>')
    .description('Make a one-time code for answering an approval in the Temporal UI; asks you to sign in')
    .action(async (id: string, choice: string) => {
      await withTemporal(context, async ({ runs: all, ledger }) => {
        const asking = await all.get(id);
        const approval = approvalOf(asking);
        if (approval === undefined) throw asksNone(asking);
        const { question, plan } = approval;
        const person = await prove(context, asking, { choice, question, plan });
        const [codeId, secret] = [base32(4).slice(0, 6), base32(13).slice(0, 20)];
        const until = new Date(Date.now() + codeMs).toISOString();
        await ledger.record([
          {
            key: `code/${asking.id}/${codeId}`,
            kind: 'code',
            run: asking.id,
            operation: asking.operation,
            target: asking.target,
            by: `person:${person.name}`,
            text: `${person.name} made a one-time code: ${choice}`,
            data: {
              hash: createHash('sha256').update(secret).digest('hex'),
              choice,
              digest: plan.digest,
              for: person.name,
              until,
            },
          },
        ]);
        note(
          `In the Temporal UI, send this run the signal "decide" with the input below. It counts once, for this plan and choice, until ${readableTime(until, ownTimeZone())}; shown wrongly, it is dead.\n${asking.url}`,
        );
        print(JSON.stringify(`${choice} ${codeId}-${secret}`));
      });
    });
}

interface DecideOptions {
  readonly reason?: string;
  readonly sign?: string;
  readonly json?: boolean;
}

/** Signs what each host is to execute; nothing where nothing has to be signed. */
async function signAll({ id }: RunDetails, { approval }: Question, keyFile: string | undefined) {
  const toSign = approval?.toSign ?? [];
  if (toSign.length === 0) return [];
  if (keyFile === undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `The policy wants this approval signed, so that ${toSign.map(({ host }) => host).join(', ')} can verify it`,
      remedy: `Add the file of your SSH key: npx proxmox-mcp runs decide ${id} approve --sign ~/.ssh/id_ed25519`,
    });
  }
  const signatures: { host: string; signature: string }[] = [];
  for (const { host, text } of toSign) {
    note(`\nTo be signed for ${host}:\n${text}`);
    signatures.push({ host, signature: await signText(text, keyFile) });
  }
  return signatures;
}

/** Undefined where it asks for no approval. */
function approvalOf(run: RunDetails): { readonly question: Question; readonly plan: Plan } | undefined {
  const question = run.progress?.question ?? run.question;
  if (question?.kind !== 'approval') return undefined;
  const plan = run.progress?.plan;
  if (plan !== undefined) return { question, plan };
  throw new ServiceError({
    code: 'unavailable',
    message: `No worker answers for ${run.id}, so its plan can't be shown, and it can't be decided about`,
    remedy: 'Start the service with `npm start`, then do it again.',
    retryable: true,
  });
}

/** Shows the plan, and asks who decides about it. */
async function prove(
  context: CliContext,
  run: RunDetails,
  { choice, question, plan }: { readonly choice: string; readonly question: Question; readonly plan: Plan },
): Promise<Person> {
  if (!question.choices.some(({ name }) => name === choice)) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `${JSON.stringify(choice)} is none of the choices of ${run.id}`,
      remedy: `Choose one of: ${question.choices.map(({ name }) => name).join(', ')}.`,
    });
  }
  note(`${planText(run, plan, question)}\n${question.text}\n`);
  return provePerson(context, {
    doing: `${choice} this plan (${plan.digest.slice(0, 12)}) of ${run.id}`,
    role: 'operator',
    whom: question.approval?.approvers.join(' or '),
  });
}

function asksNone({ id }: RunDetails): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${id} waits for no approval now, so no code was made`,
    remedy: `Look at it: npx proxmox-mcp runs get ${id}`,
  });
}

/** Letters and digits that are told apart on paper: RFC 4648. */
function base32(bytes: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...randomBytes(bytes)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((group) => letters[Number.parseInt(group, 2)]).join('');
}
