import { Context } from '@temporalio/activity';
import { ServiceError } from '../../errors.ts';
import { apiCallLine } from '../../operations/api-change.ts';
import { guestIn, nodeIn } from '../../operations/api-path.ts';
import { problemsOfWrite } from '../../operations/api-rules.ts';
import { differencesOf, readsAs } from '../../operations/api-state.ts';
import { guestLabel, type Place } from '../../operations/target.ts';
import { requireTokenUse } from '../../proxmox/api-schema/api-reader.ts';
import { type ApiSchemas, createApiSchemas } from '../../proxmox/api-schema/api-schemas.ts';
import {
  checkParameters,
  type GivenParameters,
  invalidCall,
  type SentParameters,
} from '../../proxmox/api-schema/check-parameters.ts';
import { maskSecrets } from '../../proxmox/api-schema/mask.ts';
import { type MatchedCall, matchCall } from '../../proxmox/api-schema/match-path.ts';
import type { ApiSchema } from '../../proxmox/api-schema/schema.ts';
import { readState, type SeenState, settingIn } from '../../proxmox/api-schema/state-call.ts';
import type { ProxmoxClient } from '../../proxmox/client.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { endTask, ownTasks, wasNotDelivered } from '../../proxmox/tasks.ts';
import type { CallOptions } from '../../proxmox/transport.ts';
import { parseUpid } from '../../proxmox/upid.ts';
import { cleanLine } from '../../reports/clean.ts';
import { followToSuccess } from '../guests/follow-task.ts';
import { apiOf } from '../guests/guests.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';

export const queue = 'host';

/** The call that a run is asked to make. */
export interface ApiCallInput {
  /** A configured host, by whose API it is made; see {@link apiOf} for guests. */
  readonly host: string;
  readonly place: Place;
  readonly method: 'POST' | 'PUT' | 'DELETE';
  /** With its values in it. */
  readonly path: string;
  readonly parameters: GivenParameters;
}

/** A setting that a call makes, as it can be read; null: not set. */
export interface ApiSetting {
  readonly name: string;
  readonly value: string | null;
}

/** What was read of the state, small enough for a run's history. */
export interface ReadState {
  readonly path: string;
  readonly digest: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly absent: boolean;
  /** It is what the call changes, and not the list that it is in. */
  readonly isOwn: boolean;
}

/** What is known before the call. */
export interface ApiCallLook {
  /** The call as it is sent: `PUT /nodes/pve1/dns search=example.org`. */
  readonly line: string;
  /** What the host's own schema says of it, in its words. */
  readonly says: string;
  /** What the API token needs for it, in the host's words. */
  readonly needs: string;
  /** Absent where nothing of it can be read. */
  readonly state?: ReadState;
  /** Of what the call sets: as it is now, where that can be read. */
  readonly settings: readonly ApiSetting[];
  /** The tasks that our API token had started there by then: what comes later is the run's own. */
  readonly tasks: readonly string[];
  /** Sending it again would do no more than sending it once: it only says how settings are to be. */
  readonly isDeclarative: boolean;
}

export interface KnownCall extends ApiCallInput {
  readonly known: Pick<ApiCallLook, 'line' | 'state' | 'settings' | 'tasks'>;
}

/** What came of a call of whose answer nothing was heard. */
export interface FoundCall {
  /** The task that it started. */
  readonly upid?: string;
  /** What it is about reads otherwise than before it. */
  readonly hasChanged: boolean;
}

/** What is there after the call. */
export interface ApiEffect {
  readonly read?: string;
  readonly differences: readonly string[];
  readonly settings: readonly {
    readonly name: string;
    readonly before: string | null;
    readonly after: string | null;
  }[];
  /** What it sets and nobody can read. */
  readonly unread: readonly string[];
  readonly back?: Readonly<Record<string, string | readonly string[]>>;
  readonly noBack?: string;
}

export type ChangeApiActivities = ReturnType<typeof createChangeApiActivities>;

/** Parameters that say how a call is made, and set nothing. */
const notSettings = new Set('delete digest force revert purge lock-token background_delay release-lock'.split(' '));
const callTimeoutMs = 120_000;
/** How often a call is tried of which nothing reached the node. */
const tries = 5;
const tryEveryMs = 2_000;
/** How long the task of a call is looked for whose answer was lost, and its effect waited for. ms */
const findMs = 10_000;
const lookEveryMs = 500;

/**
 * What change-api needs. The call itself is made once: its activity is never retried by Temporal, and what came of one
 * whose answer was lost is looked for before anything else is done.
 */
export function createChangeApiActivities({ proxmox }: { readonly proxmox: ProxmoxApis }) {
  const schemas = createApiSchemas(proxmox);

  return {
    /** Checks the call against the schema of its host, and reads what it is about. Changes nothing. */
    async lookAtCall(input: ApiCallInput): Promise<ApiCallLook> {
      const options = { signal: Context.current().cancellationSignal };
      const client = clientOf(proxmox, input);
      const { schema, call, sent } = await checked(schemas, proxmox, input, options);
      const seen = await readState(client, schema, call, options);
      if (seen?.absent === true && seen.isOwn && input.method !== 'POST') throw nothingThere(input);
      const tasks = await ownTasks(client, await searchOf(proxmox, input, options), options);
      return {
        line: lineOf(call, sent),
        says: cleanLine(call.about.description, 300),
        needs: cleanLine(call.about.permissions, 300),
        ...(seen === undefined ? {} : { state: kept(seen) }),
        settings: settingsOf(sent, seen),
        tasks: tasks.map(({ upid }) => upid),
        isDeclarative: isDeclarative(call, sent, seen),
      };
    },

    /**
     * Makes the call that was planned: once. Gives the UPID of the task that it started, or what it answered.
     *
     * @throws ServiceError `unavailable` when nothing of it reached the node, `outcome-unknown` when nobody knows; what the
     *   API refuses
     */
    async makeCall(input: KnownCall): Promise<{ readonly upid?: string; readonly answer?: string }> {
      const client = clientOf(proxmox, input);
      const { call, sent } = await checked(schemas, proxmox, input, {}).catch((error: unknown) => {
        throw error instanceof ServiceError && error.retryable ? notSent(error) : error;
      });
      const line = lineOf(call, sent);
      if (line !== input.known.line) throw anotherCall(input.known.line, line);
      const data = await withHeartbeat(() => sendOnce(client, call, sent));
      if (typeof data === 'string' && parseUpid(data) !== undefined) return { upid: data };
      if (data === null || data === undefined) return {};
      return { answer: cleanLine(JSON.stringify(maskSecrets(data, call.path)), 2_000) };
    },

    /** Looks what came of a call whose answer was lost. */
    findCall(input: KnownCall): Promise<FoundCall> {
      return withHeartbeat(async () => {
        const client = clientOf(proxmox, input);
        const until = performance.now() + findMs;
        for (;;) {
          const search = await searchOf(proxmox, input, {});
          const mine = (await ownTasks(client, search)).find(({ upid }) => !input.known.tasks.includes(upid));
          if (mine !== undefined) return { upid: mine.upid, hasChanged: true };
          const now = await stateNow(client, input);
          if (now !== undefined && now.state.digest !== input.known.state?.digest) return { hasChanged: true };
          if (performance.now() >= until) return { hasChanged: false };
          await Context.current().sleep(lookEveryMs);
        }
      });
    },

    /** Follows the call's task to its end. A cancelled run's task is ended. */
    async followCall(
      input: ApiCallInput & { readonly upid: string },
    ): Promise<{ readonly warnings: number; readonly log: readonly string[] }> {
      const { warnings, log } = await followToSuccess(clientOf(proxmox, input), input.upid);
      return { warnings, log };
    },

    /**
     * Reads again what the call is about: the settings have to be as they were asked for, and what was deleted has to be gone.
     *
     * @throws ServiceError `verification-failed`
     */
    verifyCall(input: KnownCall): Promise<ApiEffect> {
      return withHeartbeat(async () => {
        const client = clientOf(proxmox, input);
        const { call, sent } = await checked(schemas, proxmox, input, {});
        const until = performance.now() + findMs;
        for (;;) {
          const now = await stateNow(client, input);
          const lacks = now === undefined ? undefined : lackOf(input, call, sent, now);
          if (lacks === undefined) return effectOf(input, call, sent, now);
          if (performance.now() >= until) throw unverified(input, lacks);
          await Context.current().sleep(lookEveryMs);
        }
      });
    },

    /**
     * Takes back what can be: ends tasks of the call that still run, and puts former settings back. Nothing where all is as
     * before.
     *
     * @throws ServiceError `conflict` where nothing is known that takes it back
     */
    undoCall(input: KnownCall): Promise<void> {
      return withHeartbeat(() => takeBack(input));
    },

    /** What the call has left, as one comparable text. */
    async lookAtLeft(input: KnownCall): Promise<string> {
      const now = await stateNow(clientOf(proxmox, input), input);
      return now?.state.digest ?? 'can not be read';
    },
  };

  async function stateNow(
    client: ProxmoxClient,
    { host, place, method, path, known }: KnownCall,
  ): Promise<SeenState | undefined> {
    if (known.state === undefined) return undefined;
    const schema = await schemas.of(hostOf(proxmox, { host, place }));
    return await readState(client, schema, matchCall(schema, method, path), { path: known.state.path });
  }

  async function takeBack(input: KnownCall): Promise<void> {
    const client = clientOf(proxmox, input);
    const mine = await ownTasks(client, await searchOf(proxmox, input, {}));
    for (const { upid, running } of mine) {
      if (running && !input.known.tasks.includes(upid)) await endTask(client, upid);
    }
    const now = await stateNow(client, input);
    if (now !== undefined && now.state.digest === input.known.state?.digest) return;
    const { call, sent } = await checked(schemas, proxmox, input, {});
    const way = now === undefined ? { noBack: 'nothing of it can be read' } : backOf(input, call, sent, now);
    if (way.back === undefined || now === undefined) throw stays(input, now, way.noBack);
    const back = checkParameters(call, way.back);
    await sendOnce(client, call, back);
    const after = await stateNow(client, input);
    const wrong = after === undefined ? ['it'] : notAsBefore(input, after);
    if (wrong.length > 0) throw unverified(input, `${wrong.join(', ')} did not come back`);
  }
}

function hostOf(proxmox: ProxmoxApis, { host, place }: Pick<ApiCallInput, 'host' | 'place'>): string {
  return place.kind === 'guest' && place.host !== undefined && proxmox.has(place.host) ? place.host : host;
}

function clientOf(proxmox: ProxmoxApis, { host, place }: ApiCallInput): ProxmoxClient {
  return place.kind === 'guest' ? apiOf(proxmox, { host, place }) : proxmox.get(host);
}

/** The call, held to the rules of this service, to the place that is locked, and to the schema of its host. */
async function checked(
  schemas: ApiSchemas,
  proxmox: ProxmoxApis,
  input: ApiCallInput,
  options: CallOptions,
): Promise<{ readonly schema: ApiSchema; readonly call: MatchedCall; readonly sent: SentParameters }> {
  const { method, path, parameters } = input;
  const problems = problemsOfWrite(method, path, parameters);
  if (problems.length > 0) throw invalidCall(problems);
  await requirePlace(proxmox, input, options);
  const schema = await schemas.of(hostOf(proxmox, input));
  const call = matchCall(schema, method, path);
  requireTokenUse(call);
  return { schema, call, sent: checkParameters(call, parameters) };
}

/** What is changed has to be what the run has the lock of. */
async function requirePlace(
  proxmox: ProxmoxApis,
  { host, place, path }: ApiCallInput,
  options: CallOptions,
): Promise<void> {
  const node = nodeIn(path);
  if (place.kind === 'guest') {
    const guest = guestIn(path);
    if (guest?.node === place.node && guest.type === place.type) return;
    throw new ServiceError({
      code: 'guest-moved',
      message: `The ${guestLabel(place)} is on ${place.node}, and the path says otherwise; nothing was sent`,
      remedy: `Begin the path with /nodes/${place.node}/${place.type}/${place.vmid}.`,
      details: { field: 'path' },
    });
  }
  if (node === undefined || node === (await proxmox.node(host, options))) return;
  const cluster = (await memberOf(proxmox, host, options))?.cluster;
  for (const { name } of proxmox.hosts) {
    if (name === host || !proxmox.has(name) || cluster === undefined) continue;
    const member = await memberOf(proxmox, name, options);
    if (member?.cluster !== cluster || member.node !== node) continue;
    throw new ServiceError({
      code: 'invalid-input',
      message: `host: the path is about the node ${node}, which is the host ${name} and not ${host}; nothing was sent`,
      remedy: `Name the host ${name}, so that its lock is taken.`,
      details: { field: 'host' },
    });
  }
}

/** Undefined where the API token may not know it, or the host is away. */
async function memberOf(proxmox: ProxmoxApis, host: string, options: CallOptions) {
  try {
    return await proxmox.member(host, { ...options, timeoutMs: 5_000 });
  } catch (error) {
    if (error instanceof ServiceError) return undefined;
    throw error;
  }
}

async function searchOf(proxmox: ProxmoxApis, { host, place, path }: ApiCallInput, options: CallOptions) {
  if (place.kind === 'guest') return { node: place.node, vmid: place.vmid };
  return { node: nodeIn(path) ?? (await proxmox.node(host, options)) };
}

/** As it is sent: `PUT /nodes/pve1/dns search=example.org`; a list as its name once more for each. */
function lineOf({ about, template, values }: MatchedCall, sent: SentParameters): string {
  const { method } = about;
  if (method === 'GET') throw new Error('a reading call is no change');
  const single = Object.entries(sent).flatMap(([name, value]) => (typeof value === 'object' ? [] : [[name, value]]));
  const lists = Object.entries(sent).flatMap(([name, value]) =>
    typeof value === 'object' ? value.map((item) => ` ${name}=${JSON.stringify(item)}`) : [],
  );
  return `${apiCallLine({ method, template, values, parameters: Object.fromEntries(single) })}${lists.join('')}`;
}

/** Never again by itself, unless nothing of it has reached the node. */
async function sendOnce(
  client: ProxmoxClient,
  { about, template, values }: MatchedCall,
  sent: SentParameters,
): Promise<unknown> {
  for (let count = 1; ; count += 1) {
    try {
      const { data } = await client.send(about.method, template, values, sent, { timeoutMs: callTimeoutMs });
      return data;
    } catch (error) {
      if (!wasNotDelivered(error)) throw error;
      if (count >= tries) throw notSent(error);
      await Context.current().sleep(tryEveryMs);
    }
  }
}

function kept({ state: { path, digest, fields }, absent, isOwn }: SeenState): ReadState {
  return { path, digest, fields, absent, isOwn };
}

/** The names of what a call sets and unsets. */
function namesOf(sent: SentParameters): readonly string[] {
  const unset = [sent.delete ?? []].flat().flatMap((names) => String(names).split(/[,; ]+/));
  return [...new Set([...Object.keys(sent).filter((name) => !notSettings.has(name)), ...unset])].filter(Boolean);
}

function settingsOf(sent: SentParameters, seen: SeenState | undefined): readonly ApiSetting[] {
  if (seen === undefined) return [];
  return namesOf(sent).flatMap((name) => {
    const value = settingIn(seen, name);
    return value === undefined ? [] : [{ name, value }];
  });
}

/** Says only how things are to be that can be read: whoever sends it twice has done no more than once. */
function isDeclarative({ about }: MatchedCall, sent: SentParameters, seen: SeenState | undefined): boolean {
  if (seen === undefined || !seen.isOwn || seen.absent) return false;
  if (about.method === 'DELETE') return about.template.endsWith('}');
  return about.method === 'PUT' && namesOf(sent).every((name) => settingIn(seen, name) !== undefined);
}

/** What is not as it was asked for. */
function lackOf(
  { method, path, known }: KnownCall,
  { about }: MatchedCall,
  sent: SentParameters,
  now: SeenState,
): string | undefined {
  if (known.state === undefined || !now.isOwn) return undefined;
  if (method === 'DELETE') {
    const isStill = !now.absent && now.state.digest === known.state.digest && path === now.state.path;
    const isGuest = guestIn(path) !== undefined && now.state.path === `${path}/config` && !now.absent;
    return isStill || isGuest ? 'it is still there, as before' : undefined;
  }
  if (method !== 'PUT') return undefined;
  const unset = new Set(namesOf({ delete: sent.delete ?? [] }));
  const wrong = known.settings.filter(({ name, value: before }) => {
    const is = settingIn(now, name);
    if (is === undefined || is !== before) return false;
    if (unset.has(name)) return is !== null;
    const asked = [sent[name] ?? []].flat().map(String).join(',');
    // What is not set is as it is by default.
    if (is === null) return !['', '0', about.parameters.get(name)?.default].includes(asked);
    return !readsAs(asked, is);
  });
  return wrong.length === 0 ? undefined : `${wrong.map(({ name }) => name).join(', ')} reads as before`;
}

function effectOf(input: KnownCall, call: MatchedCall, sent: SentParameters, now: SeenState | undefined): ApiEffect {
  const { known } = input;
  const settings = known.settings.flatMap(({ name, value: before }) => {
    const after = now && settingIn(now, name);
    return after === undefined ? [] : [{ name, before, after }];
  });
  const seen = new Set(settings.map(({ name }) => name));
  return {
    ...(now === undefined ? {} : { read: now.state.path }),
    differences: now === undefined ? [] : differencesOf(known.state?.fields ?? {}, now.state.fields).slice(0, 60),
    settings,
    unread: input.method === 'PUT' ? namesOf(sent).filter((name) => !seen.has(name)) : [],
    ...(now === undefined ? { noBack: 'Nothing of it can be read.' } : backOf(input, call, sent, now)),
  };
}

type Way = Pick<ApiEffect, 'back' | 'noBack'>;

/** The parameters of the same call that put the former settings back. */
function backOf({ method, known }: KnownCall, { about }: MatchedCall, sent: SentParameters, now: SeenState): Way {
  if (method !== 'PUT' || known.state === undefined) {
    return { noBack: 'Nothing is known that takes back what this call has done.' };
  }
  const before = new Map(known.settings.map(({ name, value }) => [name, value]));
  const unread = namesOf(sent).filter((name) => !before.has(name) || settingIn(now, name) === undefined);
  if (unread.length > 0 || before.size === 0) {
    return { noBack: `The former value of ${unread.join(', ') || 'what it sets'} can not be read.` };
  }
  if (sent.revert !== undefined) return { noBack: 'What it has dropped was never read.' };
  const changed = [...before].filter(([name, value]) => settingIn(now, name) !== value);
  if (changed.length === 0) return { noBack: 'All was so already.' };
  const unset = changed.flatMap(([name, value]) => (value === null ? [name] : []));
  const takesDelete = about.parameters.get('delete');
  if (unset.length > 0 && takesDelete === undefined) {
    return { noBack: `${unset.join(', ')} was not set before, and this call has no way to unset it.` };
  }
  return {
    back: {
      ...Object.fromEntries(changed.flatMap(([name, value]) => (value === null ? [] : [[name, value]]))),
      ...(unset.length === 0 ? {} : { delete: takesDelete?.type === 'array' ? unset : unset.join(',') }),
    },
  };
}

function notAsBefore({ known }: KnownCall, now: SeenState): readonly string[] {
  return known.settings.filter(({ name, value }) => settingIn(now, name) !== value).map(({ name }) => name);
}

function nothingThere({ method, path }: ApiCallInput): ServiceError {
  return new ServiceError({
    code: 'proxmox-not-found',
    message: `There is nothing at ${path} that ${method} could be about, and nothing was sent`,
    remedy: 'Look what there is (read_api of the path above it), then correct the name.',
    details: { field: 'path' },
  });
}

function anotherCall(planned: string, now: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `It would be another call than the one that was planned (${planned}): ${now}`,
    remedy: 'Start it again: it is planned anew.',
  });
}

function notSent(error: ServiceError): ServiceError {
  const { message, remedy, details } = error;
  return new ServiceError({
    code: 'unavailable',
    message: `${message} Nothing was done`,
    remedy,
    details,
    cause: error,
  });
}

function unverified({ known }: KnownCall, lacks: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `Proxmox said that ${known.line} was done, but ${lacks}`,
    remedy: 'Look at it in Proxmox and at the log of its node (journalctl) for the cause, then start it again.',
  });
}

function stays(
  { known }: KnownCall,
  now: SeenState | undefined,
  why = 'nothing is known that takes it back',
): ServiceError {
  const differences = now === undefined ? [] : differencesOf(known.state?.fields ?? {}, now.state.fields).slice(0, 8);
  const said = differences.length === 0 ? '' : ` What differs: ${cleanLine(differences.join('; '), 800)}.`;
  return new ServiceError({
    code: 'conflict',
    message: `${known.line} may have changed something, and this can't take it back: ${why.replace(/\.$/, '')}.${said}`,
    remedy: 'Look at it in Proxmox, put right what is to be otherwise, then answer.',
  });
}
