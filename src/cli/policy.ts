import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { inLineOrder } from '../config/problems.ts';
import { policyWarnings } from '../policy/check.ts';
import { differences, loosenings } from '../policy/differences.ts';
import { type InspectedPolicy, policyError, policyFile } from '../policy/read-policy.ts';
import { defaultPolicy, type Policy } from '../policy/schema.ts';
import { policyLines } from '../policy/words.ts';
import type { RunDetails, Runs } from '../runs/runs.ts';
import { type Approved, inspectFile, policyWorld, readApproved } from './approved-policy.ts';
import { type CliContext, noteWarnings } from './context.ts';
import { type ExplainOptions, explainRequest, explanationText } from './explain-policy.ts';
import { byDefault } from './parse.ts';
import { followRun, showRun } from './show-run.ts';
import { requester, withTemporal } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

/** `policy show|check|explain|apply`. */
export function policyCommands(program: Command, context: CliContext): void {
  const policy = program
    .command('policy')
    .description(
      'Who may do what to what and when, who approves it, who is told: policy.yaml, and what was approved of it',
    );

  byDefault(policy.command('show', { isDefault: true }))
    .summary('Show what holds, in words, and where each line comes from')
    .description(
      'Show the policy in words, with where each line comes from. What counts is the stricter of what was approved and of what stands in policy.yaml: what waits for an approval is listed.',
    )
    .option('--json', 'Print it as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const { config, ...loaded } = context.load();
      const file = inspectFile({ config, ...loaded });
      if (file.read === undefined) throw policyError(file.problems);
      noteWarnings(file.warnings);
      const approved = await readApproved(config);
      if (json) {
        const found = approved.isKnown ? differences(approved.policy ?? defaultPolicy, file.read.policy) : undefined;
        return printJson({ file: file.exists, approved, policy: file.read.policy, differences: found });
      }
      print(policyText(file, file.read.policy, approved));
    });

  policy
    .command('check [file]')
    .summary('Check policy.yaml, or another file, and list every problem at once')
    .description(
      'Read policy.yaml beside .env, or another file that is to become it, and list every problem with its line; then what it names that there is not: hosts, people, tokens, operations.',
    )
    .action((path: string | undefined) => {
      const loaded = context.load();
      const { exists, read, problems, warnings } = inspectFile(loaded, path);
      if (read === undefined) throw policyError(problems);
      noteWarnings(inLineOrder([...warnings, ...policyWarnings(read.policy, policyWorld(loaded.config))]));
      print(
        exists
          ? `${path ?? policyFile} is valid.`
          : `There is no ${policyFile} in ${loaded.folder}: the default holds. See it with: npx proxmox-mcp policy show`,
      );
    });

  policy
    .command('apply')
    .summary('Ask an administrator to let all of policy.yaml count')
    .description(
      'Ask for the approval of what stands in policy.yaml: a loosening counts only then, a tightening at once. Shows in words what would be looser. An administrator approves it on the page, or with: npx proxmox-mcp runs decide',
    )
    .option('--dry-run', 'Only show what would be approved')
    .option('--json', 'Print the run as JSON')
    .action(async ({ dryRun = false, json = false }: { dryRun?: boolean; json?: boolean }) => {
      await withTemporal(context, async ({ runs }) => {
        const run = await runs.start('change-policy', { dryRun }, requester());
        note(`Started run ${run.id}\n${run.url}`);
        if (dryRun) return followRun(context, runs, run, { timeoutMs: 60_000, json });
        const asking = await untilItAsks(runs, run.id);
        showRun(context, asking, json);
      });
    });

  policy
    .command('explain <who> <operation> [target]')
    .summary('Say whether somebody may do something now, and which rule decides')
    .description(
      'Say what the policy says to a request, without making it: npx proxmox-mcp policy explain token:claude control-guest pve1/100 --input action=stop. Of a guest the tags and the pool are asked for through the Proxmox API.',
    )
    .option('--input <field=value>', 'A field of the request that its risk depends on; repeatable', assignment, {})
    .option('--at <time>', 'When it is to be done: a date with a time, in the time zone of the host (default: now)')
    .option('--tag <tag>', 'A tag of the guest, instead of asking the Proxmox API; repeatable', collect)
    .option('--pool <pool>', 'The pool of the guest, likewise')
    .option('--json', 'Print it as JSON')
    .action(async (who: string, operation: string, target: string | undefined, options: ExplainOptions) => {
      const explanation = await explainRequest(context.load(), { who, operation, target: target ?? '' }, options);
      if (options.json) printJson(explanation);
      else print(explanationText(explanation));
    });
}

/** The run when it asks, or has ended. */
async function untilItAsks(runs: Runs, id: string): Promise<RunDetails> {
  for (let tries = 0; ; tries += 1) {
    const run = await runs.get(id);
    if (run.closedAt !== undefined || run.progress?.question !== undefined || tries >= 60) return run;
    await sleep(500);
  }
}

/** @internal For a person. */
export function policyText({ exists }: Pick<InspectedPolicy, 'exists'>, policy: Policy, approved: Approved): string {
  const parts = policyLines(policy).flatMap(({ title, lines }) => [
    title,
    ...lines.map(({ text, at }) => `  ${text}${/[.!?]$/.test(text) ? '' : '.'} [${at}]`),
    '',
  ]);
  const head = exists ? [] : [`There is no ${policyFile}: the default holds.`, ''];
  return [...head, ...parts, ...approvalText(policy, approved)].join('\n').trimEnd();
}

/** What of it counts already, and what waits. */
function approvalText(policy: Policy, approved: Approved): readonly string[] {
  if (!approved.isKnown) return [`What was approved of it isn't known: ${approved.why}.`];
  const found = differences(approved.policy ?? defaultPolicy, policy);
  const waiting = loosenings(found);
  const since = approved.at === undefined ? 'the default' : `what was approved on ${approved.at}`;
  if (found.length === 0) return [`All of it counts: it is ${since}.`];
  const counting = found.filter(({ effect }) => effect === 'tighter');
  return [
    ...(counting.length === 0 ? [] : [`Stricter than ${since}, and counts already`, ...counting.map(line), '']),
    ...(waiting.length === 0
      ? []
      : [
          `Waits for an approval, and has no effect before: until then ${since} counts, too`,
          ...waiting.map(line),
          'Have it approved: npx proxmox-mcp policy apply',
        ]),
  ];
}

function line({ text }: { readonly text: string }): string {
  return `  ${text}`;
}

function assignment(text: string, before: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const [, key = '', value = ''] = /^([A-Za-z0-9_]+)=(.*)$/s.exec(text) ?? [];
  if (key === '') throw new InvalidArgumentError('Write it as field=value, e.g. action=stop.');
  return { ...before, [key]: /^\d{1,9}$/.test(value) ? Number(value) : value };
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
