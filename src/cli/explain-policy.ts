import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { momentOf } from '../moment.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import { type OperationDefinition, riskOf, riskText } from '../operations/definition.ts';
import type { JudgedRequest, Judgement } from '../operations/judgement.ts';
import type { Requester } from '../operations/run.ts';
import { kindFor, labelFor, targetIn } from '../operations/target.ts';
import { createPeople, peopleFile } from '../people/store.ts';
import { zoneOf } from '../policy/create-judge.ts';
import { type JudgeContext, judge, stricter } from '../policy/judge.ts';
import { policyError } from '../policy/read-policy.ts';
import { defaultPolicy } from '../policy/schema.ts';
import { inWords } from '../policy/who.ts';
import { readableDuration, readableTime } from '../reports/units.ts';
import { inspectFile, readApproved, tokensOf } from './approved-policy.ts';

export interface ExplainOptions {
  readonly input: Readonly<Record<string, unknown>>;
  readonly at?: string;
  readonly tag?: readonly string[];
  readonly pool?: string;
  readonly json?: boolean;
}

export interface Explanation {
  /** `the token claude: control-guest (dangerous) on pve1/100, 2026-11-26 12:00:00 CET`. */
  readonly question: string;
  readonly judgement: Judgement;
  /** What isn't known, and what would be otherwise once the file is approved. */
  readonly notes: readonly string[];
}

/** For the API of a host that may be away. */
const askMs = 8_000;

/** What the policy would say to a request. Makes none. */
export async function explainRequest(
  loaded: LoadedConfig,
  asked: { readonly who: string; readonly operation: string; readonly target: string },
  options: ExplainOptions,
): Promise<Explanation> {
  const { config } = loaded;
  const file = inspectFile(loaded);
  if (file.read === undefined) throw policyError(file.problems);
  const definition = operationOf(asked.operation);
  const input = { ...targetOf(definition, asked.target), ...options.input };
  const requestedBy = requesterOf(asked.who, config);
  const risk = checkedRisk(definition, input);
  const { guest, notes } = await guestOf(config, definition, input, options);
  const request: JudgedRequest = { operation: definition.name, risk, input, requestedBy, ...(guest && { guest }) };
  const timeZone = zoneOf(config.hosts, targetIn(input).host);
  const now = options.at === undefined ? Date.now() : Date.parse(momentOf(options.at, '--at', timeZone));
  const scopes = new Map(tokensOf(config).map(({ name, scope }) => [name, scope]));
  const context: JudgeContext = {
    people: createPeople(peopleFile(config.accessDir)).list(),
    hosts: config.hosts.map(({ name }) => name),
    now,
    timeZoneOf: (host) => zoneOf(config.hosts, host),
    scopeOf: (token) => scopes.get(token),
  };
  const approved = await readApproved(config);
  const byFile = judge(file.read.policy, request, context);
  const label = labelFor(definition, input);
  const question = `${inWords(requestedBy)}: ${definition.name} (${risk}) on ${label}, ${readableTime(new Date(now).toISOString(), timeZone)}`;
  if (!approved.isKnown) {
    const unknown = `What was approved isn't known, and may be stricter: ${approved.why}.`;
    return { question, judgement: byFile, notes: [...notes, unknown] };
  }
  const byApproved = judge(approved.policy ?? defaultPolicy, request, context);
  const judgement = stricter(byApproved, byFile, request);
  const waits =
    byFile.verdict !== judgement.verdict
      ? [`By policy.yaml alone it is ${words[byFile.verdict]}; that waits for an approval.`]
      : [];
  return { question, judgement, notes: [...notes, ...waits] };
}

const words = { allowed: 'allowed', ask: 'done after an approval', refused: 'refused' } as const;

/** For a person: the answer first, then why. */
export function explanationText({ question, judgement, notes }: Explanation): string {
  const grounds = (judgement.grounds ?? []).map(({ says, why, from }) => `  ${words[says]}: ${why} [${from}]`);
  return [
    question,
    answerOf(judgement),
    ...(grounds.length === 0 ? [] : ['', 'What is said to it, the strictest first', ...new Set(grounds)]),
    ...(notes.length === 0 ? [] : ['', ...notes]),
  ].join('\n');
}

function answerOf(judgement: Judgement): string {
  if (judgement.verdict === 'allowed') return 'Yes.';
  if (judgement.verdict === 'refused') return `No. ${judgement.why} ${judgement.remedy}`;
  const { count, approvers, answerWithinMs, executeWithinMs, signed } = judgement.terms;
  const who = count === 1 ? `one of ${approvers.join(', ')}` : `${count} of ${approvers.join(', ')}`;
  const how = approvers.length === 1 ? approvers[0] : who;
  return `After an approval. ${judgement.why} ${how} has to say yes${signed ? ', signed,' : ''} within ${readableDuration(answerWithinMs)}; it is carried out within ${readableDuration(executeWithinMs)} after that.`;
}

function operationOf(name: string): OperationDefinition {
  if (Object.hasOwn(catalogue, name)) return catalogue[name as keyof typeof catalogue];
  throw invalid(`There is no operation ${JSON.stringify(name)}`, `Use one of: ${Object.keys(catalogue).join(', ')}.`);
}

/** `pve1`, `pve1/100`, `pve1,pve2`; nothing: all hosts, or the service. */
function targetOf({ name, target: kind }: OperationDefinition, text: string): Record<string, unknown> {
  const [, host, vmid] = /^([a-z0-9-]+)(?:\/(\d{3,9}))?$/.exec(text) ?? [];
  if (kind === 'guest' && host !== undefined && vmid !== undefined) return { host, vmid: Number(vmid) };
  if (kind === 'guests' && host !== undefined && vmid === undefined) return { host };
  if (kind === 'host' && host !== undefined && vmid === undefined) return { host };
  if (kind === 'fleet' && /^[a-z0-9,-]*$/.test(text)) return text === '' ? {} : { hosts: text.split(',') };
  if (kind === 'service' && text === '') return {};
  const wanted = {
    guest: 'a guest, e.g. pve1/100',
    guests: 'a host of their cluster, e.g. pve1',
    host: 'a host, e.g. pve1',
    fleet: 'hosts, e.g. pve1,pve2',
    service: 'no target',
  };
  throw invalid(`${name} takes ${wanted[kind]}, not ${JSON.stringify(text)}`, 'Name it after the operation.');
}

function requesterOf(text: string, config: Config): Requester {
  const [, kind, name = ''] = /^(person|token|cli|schedule):(.{1,200})$/.exec(text) ?? [];
  if (kind === 'token') {
    const token = tokensOf(config).find((one) => one.name === name);
    if (token === undefined)
      throw invalid(`There is no token named ${JSON.stringify(name)}`, 'See: npx proxmox-mcp token list');
    return { kind: 'mcp', name, ...(token.owner !== undefined && { for: token.owner }) };
  }
  if (kind === 'person' || kind === 'cli' || kind === 'schedule') return { kind, name };
  throw invalid(
    `${JSON.stringify(text)} is nobody`,
    'Write token:NAME, person:NAME, schedule:ID, or cli:LOGIN for who is logged in and has not signed in.',
  );
}

/** A field that isn't there would count as the worst, which is no answer to what was asked. */
function checkedRisk(definition: OperationDefinition, input: Readonly<Record<string, unknown>>) {
  const { risk, name } = definition;
  if (typeof risk !== 'string' && !Object.hasOwn(risk.of, String(input[risk.by]))) {
    const choices = Object.keys(risk.of).join(', ');
    throw invalid(
      `The risk of ${name} is ${riskText(definition)}, so that it has to be said which`,
      `Add --input ${risk.by}=…, one of: ${choices}.`,
    );
  }
  return riskOf(definition, input);
}

async function guestOf(
  config: Config,
  definition: OperationDefinition,
  input: Readonly<Record<string, unknown>>,
  { tag, pool }: ExplainOptions,
): Promise<{ readonly guest?: JudgedRequest['guest']; readonly notes: readonly string[] }> {
  const { host, vmid } = targetIn(input);
  if (kindFor(definition, input) !== 'guest' || host === undefined || vmid === undefined) return { notes: [] };
  if (tag !== undefined || pool !== undefined) {
    return { guest: { vmid, tags: [...(tag ?? [])], ...(pool !== undefined && { pool }) }, notes: [] };
  }
  const [{ createProxmoxApis }, { locateGuest }, { createLogger }] = await Promise.all([
    import('../proxmox/connect.ts'),
    import('../proxmox/locate.ts'),
    import('../logger.ts'),
  ]);
  const apis = createProxmoxApis(config, createLogger({ level: 'error', name: 'policy' }));
  try {
    const place = await locateGuest(apis, { host, vmid }, { signal: AbortSignal.timeout(askMs) });
    const { tags = [], pool: of, host: on } = place;
    const guest = {
      vmid,
      tags: [...tags],
      ...(of !== undefined && { pool: of }),
      ...(on !== undefined && { host: on }),
    };
    return { guest, notes: [] };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      notes: [
        `Its tags and pool aren't known, so that every restriction by them counts (${why}). Say them: --tag, --pool.`,
      ],
    };
  } finally {
    await apis.close();
  }
}

function invalid(message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message, remedy });
}
