import { catalogue } from '../operations/catalogue.generated.ts';
import { needsDangerousCommands, type OperationDefinition, riskOf } from '../operations/definition.ts';
import type { ApprovalTerms, Ground, JudgedRequest, Judgement } from '../operations/judgement.ts';
import { whoMayApprove } from '../people/approvers.ts';
import { includesRole } from '../people/person.ts';
import { readableTime } from '../reports/units.ts';
import { type About, type ApprovingRole, approvingRoles, defaultPolicy, type Policy, type Rule } from './schema.ts';
import { coversAll, partsOf, type Touched, touchedBy, touchesAny } from './targets.ts';
import { askerOf, inWords, isWho, type KnownPerson } from './who.ts';
import { openingOf } from './windows.ts';

const hourMs = 60 * 60_000;

/** What a judgement needs to know of the world. */
export interface JudgeContext {
  readonly people: readonly KnownPerson[];
  /** Names of the configured hosts. */
  readonly hosts: readonly string[];
  /** ms. Of what is to be done at another time than now: that time. */
  readonly now: number;
  /** IANA name of a host's time zone; of what has no host: that of all. */
  readonly timeZoneOf: (host: string | undefined) => string;
  /** Of a token by its name; undefined where there is none of that name, as over stdio. */
  readonly scopeOf?: (token: string) => 'read' | 'operate' | 'admin' | undefined;
  /** When a token was made; undefined where there is none of that name now. Asked about what tokens have scheduled. */
  readonly tokenMadeAt?: (token: string) => string | undefined;
  /** Default: the catalogue. */
  readonly operations?: Readonly<Record<string, OperationDefinition>>;
}

interface Finding extends Ground {
  readonly remedy?: string;
  readonly opensAt?: number;
}

/** The last word of a change by hand: it needs an approval. */
const applyIt = 'then run: npx proxmox-mcp policy apply, which asks an administrator';

/**
 * What one policy says to a request: the strictest of all that matches; where nothing does, the default. A bulk form is
 * judged as itself and as the same request for each of its guests, so that it is no way around what holds for one of them.
 */
export function judge(policy: Policy, request: JudgedRequest, context: JudgeContext): Judgement {
  const { each, ...itself } = request;
  if (each === undefined) return judgeOne(policy, request, context);
  const { operation, input, guests } = each;
  const definition = definitionOf({ ...itself, operation }, context);
  const risk = definition === undefined ? 'dangerous' : riskOf(definition, input);
  return guests
    .map((guest) => {
      const own = { ...input, host: request.input.host, vmid: guest.vmid, dryRun: request.input.dryRun };
      return judgeOne(policy, { ...itself, operation, risk, input: own, guest }, context);
    })
    .reduce((one, other) => stricter(one, other, request), judgeOne(policy, itself, context));
}

function judgeOne(policy: Policy, request: JudgedRequest, context: JudgeContext): Judgement {
  // A plan changes nothing, and looking is free to whoever has got in.
  if (request.risk === 'read') return { verdict: 'allowed' };
  const first = snapshotFirst(policy, request, context);
  if (request.input.dryRun === true) return { verdict: 'allowed', ...first };
  return { ...verdictOf(policy, request, context), ...first };
}

/** Only a refusal does without. */
function snapshotFirst(
  policy: Policy,
  request: JudgedRequest,
  context: JudgeContext,
): { readonly snapshotFirst?: string } {
  const touched = touchedBy(request, definitionOf(request, context), context.hosts);
  const wanted = policy.snapshotFirst.find(
    (entry) => isAbout(entry, request, ['change', 'dangerous']) && touchesAny(entry.on, touched),
  );
  if (wanted === undefined) return {};
  return { snapshotFirst: because(`${wanted.at} wants a snapshot first`, wanted.why) };
}

function verdictOf(policy: Policy, request: JudgedRequest, context: JudgeContext): Judgement {
  const found = [...findingsOf(policy, request, context)].sort((a, b) => strictness[b.says] - strictness[a.says]);
  const grounds = found.slice(0, mostGrounds).map(({ says, why, from }) => ({ says, why: sentence(why), from }));
  const [first] = found;
  if (first === undefined || first.says === 'allowed') return { verdict: 'allowed', grounds };
  if (first.says === 'ask') {
    const terms = termsOf(policy, request, context);
    return unlessNobodyCan({ verdict: 'ask', terms, why: sentence(first.why), grounds }, request);
  }
  const { remedy = 'Ask an administrator.', opensAt } = first;
  const why = sentence(first.why);
  const opens = opensAt === undefined ? {} : { opensAt: new Date(opensAt).toISOString() };
  return { verdict: 'refused', why, remedy, ...opens, grounds };
}

/** They go with the run's history. */
const mostGrounds = 12;

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

const strictness = { allowed: 0, ask: 1, refused: 2 } as const;

/**
 * What counts: the stricter of what was approved and of what stands in the file. So a loosening by hand has no effect until
 * it is approved, and a tightening counts at once. Nothing approved, and no file: the default.
 */
export function judgeBoth(
  approved: Policy | undefined,
  file: Policy | undefined,
  request: JudgedRequest,
  context: JudgeContext,
): Judgement {
  const one = judge(approved ?? defaultPolicy, request, context);
  return approved === file ? one : stricter(one, judge(file ?? defaultPolicy, request, context), request);
}

/** The stricter of two judgements of the same request; of two approvals what is strict in either. */
export function stricter(one: Judgement, other: Judgement, request: JudgedRequest): Judgement {
  const wanted =
    one.verdict === 'refused' || other.verdict === 'refused' ? undefined : (one.snapshotFirst ?? other.snapshotFirst);
  const first = wanted === undefined ? {} : { snapshotFirst: wanted };
  if (one.verdict !== 'ask' || other.verdict !== 'ask') {
    return { ...(strictness[other.verdict] > strictness[one.verdict] ? other : one), ...first };
  }
  const [a, b] = [one.terms, other.terms];
  const terms: ApprovalTerms = {
    count: Math.max(a.count, b.count),
    approvers: a.approvers.filter((name) => b.approvers.includes(name)),
    answerWithinMs: Math.min(a.answerWithinMs, b.answerWithinMs),
    executeWithinMs: Math.min(a.executeWithinMs, b.executeWithinMs),
    remindEveryMs: Math.min(a.remindEveryMs, b.remindEveryMs),
    role: a.role === 'administrator' || b.role === 'administrator' ? 'administrator' : 'operator',
    signed: a.signed || b.signed,
  };
  const grounds = [...(one.grounds ?? []), ...(other.grounds ?? [])];
  return unlessNobodyCan({ ...one, ...first, terms, grounds }, request);
}

/** An approval that nobody could give would only be waited for. */
function unlessNobodyCan(asked: Extract<Judgement, { verdict: 'ask' }>, request: JudgedRequest): Judgement {
  const { count, approvers, role = 'administrator' } = asked.terms;
  if (approvers.length >= count) return asked;
  const there = approvers.length === 0 ? 'there is nobody who may' : `only ${approvers.length} may`;
  const wanted = count === 1 ? `an ${role}` : `${count} people (${role} or higher)`;
  const requestedBy = askerOf(request);
  const own = requestedBy.kind === 'person' || requestedBy.for !== undefined ? '; who asked is not counted' : '';
  const why = `${asked.why} It needs the approval of ${wanted}, and ${there}${own}.`;
  const remedy = `Make one: npx proxmox-mcp people add NAME --role ${role}`;
  return { verdict: 'refused', why, remedy, ...(asked.grounds && { grounds: asked.grounds }) };
}

function* findingsOf(policy: Policy, request: JudgedRequest, context: JudgeContext): Generator<Finding> {
  const { risk } = request;
  const definition = definitionOf(request, context);
  const touched = touchedBy(request, definition, context.hosts);
  if (definition !== undefined && needsDangerousCommands(definition, request.input) && !policy.dangerousCommands) {
    yield {
      says: 'refused',
      why: 'ENABLE_DANGEROUS_COMMANDS is false: such a request is refused, approved or not',
      from: '.env',
      remedy: `Set ENABLE_DANGEROUS_COMMANDS=true in .env, ${applyIt}; it still needs an approval.`,
    };
  }
  yield* standingOf(request, context);
  yield* protectionOf(policy, request, touched);
  const matching = policy.rules.filter((rule) => matchesRule(rule, request, touched, context));
  for (const rule of matching) yield saidBy(rule, request, touched);
  yield* windowsOf(policy, request, touched, context);
  const approvals = policy.approvals.filter((one) => isAboutApproval(one, request, touched));
  for (const { why, at } of approvals) yield { says: 'ask', why: because('It needs an approval.', why), from: at };
  if (definition?.alwaysAsks)
    yield { says: 'ask', why: 'It is never done without an approval.', from: 'the catalogue' };
  // What is written replaces the default, but only a rule that names the risk frees what is dangerous.
  if (matching.length === 0) {
    if (risk === 'dangerous') yield { says: 'ask', why: 'It can lose data, access or service.', from: 'the default' };
    else yield { says: 'allowed', why: 'It can be undone.', from: 'the default' };
  }
}

function definitionOf({ operation }: JudgedRequest, { operations = catalogue }: JudgeContext) {
  return Object.hasOwn(operations, operation) ? operations[operation as keyof typeof operations] : undefined;
}

/** Whether who asks may ask at all: an agent within its scope and its owner's role, a person within their own. */
function* standingOf(request: JudgedRequest, { people, scopeOf, tokenMadeAt }: JudgeContext): Generator<Finding> {
  const by = askerOf(request);
  if (by.token !== undefined && tokenMadeAt !== undefined && tokenMadeAt(by.name) !== by.token) {
    yield {
      says: 'refused',
      why: `${inWords(by)}, which asked for it, was revoked or has expired since`,
      from: 'the tokens',
      remedy: 'Schedule it anew where it is still wanted, and remove this schedule: npx proxmox-mcp schedules',
    };
  }
  const needed = request.risk === 'dangerous' ? 'admin' : 'operate';
  const scope = by.kind === 'mcp' ? scopeOf?.(by.name) : undefined;
  if (scope === 'read' || (scope === 'operate' && needed === 'admin')) {
    yield {
      says: 'refused',
      why: `${inWords(by)} has the scope ${scope}, and what is ${request.risk} needs ${needed}`,
      from: 'the scope of the token',
      remedy: `An administrator can make a token that may: npx proxmox-mcp token create NAME --scope ${needed}`,
    };
  }
  const person = by.kind === 'person' ? by.name : by.for;
  if (person === undefined) return;
  const known = people.find(({ name }) => name === person);
  const whose = by.kind === 'person' ? person : `${person}, whose agent ${inWords(by)} is,`;
  const from = 'the people';
  if (known === undefined || known.disabled) {
    const remedy = 'Look at: npx proxmox-mcp people list';
    yield { says: 'refused', why: `${whose} ${known ? 'is disabled' : 'is not there any more'}`, from, remedy };
  } else if (!includesRole(known.role, 'operator')) {
    const remedy = `An administrator can give another role: npx proxmox-mcp people role ${person} operator`;
    yield { says: 'refused', why: `${whose} is an observer, who only looks`, from, remedy };
  }
}

function* protectionOf(policy: Policy, { risk }: JudgedRequest, touched: Touched): Generator<Finding> {
  const { at: from, ...on } = policy.protected;
  if (Object.keys(on).length === 0 || !touchesAny(on, touched)) return;
  if (risk === 'change') {
    yield { says: 'ask', why: `${touched.label} is protected: changes of it need an approval.`, from };
    return;
  }
  const remedy = `Take it from protected in policy.yaml, ${applyIt}.`;
  const why = `${touched.label} is protected: nothing dangerous is done to it, whoever asks`;
  yield { says: 'refused', why, from, remedy };
}

function matchesRule(rule: Rule, request: JudgedRequest, touched: Touched, { people }: JudgeContext): boolean {
  const restricts = rule.may !== 'yes';
  const { operations, risks, on } = rule;
  // What a rule takes from schedules it takes from each, whoever made it; what it gives to one is not its maker's.
  const whose = restricts && request.requestedBy.kind === 'schedule' ? [request.requestedBy] : [];
  const principals = [askerOf(request), ...whose];
  if (!rule.who.some((who) => principals.some((by) => isWho(who, by, people, restricts)))) return false;
  if (operations !== undefined && !operations.includes(request.operation)) return false;
  if (restricts) return isOfRisk(request, risks ?? ['change', 'dangerous']) && touchesAny(on, touched);
  return isOfRisk(request, risks ?? ['change']) && coversAll(on, touched);
}

function isOfRisk({ risk }: JudgedRequest, risks: readonly string[]): boolean {
  return risks.includes(risk);
}

function saidBy(rule: Rule, request: JudgedRequest, touched: Touched): Finding {
  const { at: from, why } = rule;
  const asker = inWords(askerOf(request));
  const what = `${request.operation} (${request.risk}) on ${touched.label}`;
  if (rule.may === 'yes') return { says: 'allowed', why: because(`${asker} may do ${what}.`, why), from };
  if (rule.may === 'ask') return { says: 'ask', why: because(`${asker} has to ask for ${what}.`, why), from };
  const remedy = `A person who may can do it; or change the rule in policy.yaml, ${applyIt}.`;
  return { says: 'refused', why: because(`${asker} may not do ${what}`, why), from, remedy };
}

function because(text: string, why: string | undefined): string {
  if (why === undefined) return text;
  return `${text.replace(/\.$/, '')}: ${why}`;
}

/** Outside of every window that covers it. Each host of several has windows of its own. */
function* windowsOf(
  policy: Policy,
  request: JudgedRequest,
  touched: Touched,
  context: JudgeContext,
): Generator<Finding> {
  const windows = policy.windows.filter((window) => isAbout(window, request, ['change', 'dangerous']));
  const groups = partsOf(touched)
    .map((part) =>
      windows
        .filter(({ on }) => touchesAny(on, part))
        .map((window) => ({ window, timeZone: window.timeZone ?? context.timeZoneOf(part.hosts[0]) })),
    )
    .filter((group) => group.length > 0);
  if (groups.length === 0) return;
  const { isOpen, opensAt } = openingOf(groups, context.now);
  if (isOpen) return;
  const [{ window, timeZone } = {}] = groups.flat();
  const opens = opensAt === undefined ? undefined : readableTime(new Date(opensAt).toISOString(), timeZone);
  const why = `${touched.label} has change windows, and none is open ${opens === undefined ? 'within two weeks' : `before ${opens}`}`;
  yield {
    says: 'refused',
    why: because(why, window?.why),
    from: window?.at ?? 'the windows',
    remedy: `${opens === undefined ? 'Correct the windows' : 'Ask again then, or schedule it for that time; or change the windows'} in policy.yaml, ${applyIt}.`,
    ...(opensAt !== undefined && { opensAt }),
  };
}

function isAbout({ operations, risks }: About, request: JudgedRequest, defaultRisks: readonly string[]): boolean {
  if (operations !== undefined && !operations.includes(request.operation)) return false;
  return isOfRisk(request, risks ?? defaultRisks);
}

/** An entry that names neither is about all that is dangerous; one that names operations is about all that they change. */
function isAboutApproval(entry: About, request: JudgedRequest, touched: Touched): boolean {
  const risks = entry.operations === undefined ? ['dangerous'] : ['change', 'dangerous'];
  return isAbout(entry, request, risks) && touchesAny(entry.on, touched);
}

/** The strictest of all entries that are about the request; what none says is the default. */
function termsOf(policy: Policy, request: JudgedRequest, context: JudgeContext): ApprovalTerms {
  const touched = touchedBy(request, definitionOf(request, context), context.hosts);
  const entries = policy.approvals.filter((entry) => isAboutApproval(entry, request, touched));
  const least = (key: 'answerWithin' | 'executeWithin' | 'remindEvery', otherwise: number) => {
    const given = entries.map((entry) => entry[key]).filter((ms) => ms !== undefined);
    return given.length === 0 ? otherwise : Math.min(...given);
  };
  const count = Math.max(1, ...entries.map((entry) => entry.count ?? 1));
  // Who decides what is dangerous is an administrator, whatever an entry says.
  const ranks = [request.risk === 'dangerous' ? 'administrator' : 'operator', ...entries.map(({ role }) => role)];
  const role =
    approvingRoles[Math.max(...ranks.map((rank) => approvingRoles.indexOf(rank as ApprovingRole)))] ?? 'administrator';
  return {
    count,
    approvers: [...whoMayApprove(context.people, { role, count, requestedBy: askerOf(request) })],
    answerWithinMs: least('answerWithin', 24 * hourMs),
    executeWithinMs: least('executeWithin', hourMs),
    remindEveryMs: least('remindEvery', 4 * hourMs),
    role,
    signed: entries.some(({ signed }) => signed === true),
  };
}
