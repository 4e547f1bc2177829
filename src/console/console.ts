import { randomBytes } from 'node:crypto';
import type { Config } from '../config.ts';
import { explain, isServiceError, ServiceError } from '../errors.ts';
import type { Finding } from '../operations/finding.ts';
import type { SwitchState } from '../operations/switch.ts';
import { shellUser } from '../people/machine-users.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import { toldLines } from '../reports/switch.ts';
import { runPagePath } from '../run-url.ts';
import type { RunSummary } from '../runs/runs.ts';
import { type ActionDependencies, createActions, maySteer } from './actions.ts';
import { type ConsoleAnswer, ofAsset, page, plain, redirect, statusOf, tooMany } from './answers.ts';
import { archiveView } from './archive-page.ts';
import { backupsView, createBackupsReader } from './backups-page.ts';
import { sessionCookie } from './cookie.ts';
import { whyMayNotAnswer } from './deciding.ts';
import type { Documentation } from './documentation.ts';
import { createGate, type GateRequest, mayPass, ownPath, signInPath } from './gate.ts';
import { keptByKey, within } from './kept.ts';
import { ledgerView, plansOf } from './ledger-page.ts';
import { type Asset, type PageOptions, script, styles } from './render.ts';
import { runPageView } from './run-view.ts';
import { maySchedule, schedulingPath, schedulingView } from './scheduling.ts';
import { type PeopleOfSessions, requesterOf, type Session, type Sessions, type Viewer } from './sessions.ts';
import { createStateReader, freshMs, type StateDependencies } from './state.ts';
import { scheduleView, viewOf } from './state-view.ts';
import { momentsAt } from './words.ts';

/** A request for one of the console's pages, as far as they need it. */
export interface ConsoleRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The header `Cookie`. */
  readonly cookie: string | undefined;
  /** Whether the browser comes by https. */
  readonly isSecure: boolean;
  /** The client's. */
  readonly address: string;
  /** Whether a page of this very server sends it: nothing else may change anything. */
  readonly fromOwnPage: boolean;
  /** The fields of a form; undefined where it is none, or has more bytes. */
  readForm(largest: number): Promise<URLSearchParams | undefined>;
  /** Counts a request, and one whose token or password is wrong; seconds to wait where there were too many. */
  readonly count: {
    request(viewer: Viewer | undefined): Promise<number | undefined>;
    failure(): Promise<number | undefined>;
  };
}

/** The administrators' page, behind no protocol: whoever serves HTTP hands requests to it. */
export interface Console {
  /** Which of its pages a path is, without what names one thing of many; undefined: none. */
  routeOf(path: string): string | undefined;
  /** All that it can be, but for files that never fail. */
  readonly routes: readonly string[];
  answer(request: ConsoleRequest): Promise<ConsoleAnswer>;
  /** Whether a request to another program, behind the same sign-in, is let through: 204, or what is answered instead. */
  admit(request: GateRequest): Promise<ConsoleAnswer>;
}

export interface ConsoleDependencies extends StateDependencies, Omit<ActionDependencies, 'people'> {
  readonly config: Config;
  readonly people: PeopleOfSessions;
  /** What keeps the service from working now; shown to everybody, so that no host may be named in it. */
  readonly health: () => Promise<{ readonly findings: readonly Finding[] }>;
  readonly documentation: Documentation;
  readonly version: string;
  readonly sessions: Sessions;
}

/** How often pages are loaded anew. Seconds. */
const refresh = { state: 60, going: 10, run: 5, paused: 30 } as const;

/** Of any field but a password. An id of a run has the most characters, and a reason. */
const longestField = 500;
const longestPassword = 1_024;
const longestSignature = 20_000;

/** How long the kill switch may take to be read. Milliseconds. */
const switchMs = 2_000;

/** Of a whole form, in bytes: anybody's, which has a token or a password, and that of who has signed in, with signatures. */
const largestForm = { ofAnybody: 8 * 1024, ofViewer: 64 * 1024 } as const;

/** In the address of a page that loads itself anew, which is no sign of life. */
const byItself = 'again';

/** What there is one of for each id. */
const folders = ['/runs/', '/schedules/'] as const;

/** A look at a page by somebody who has signed in; with what could not be done, said on it. */
interface Look {
  readonly session: Session;
  readonly query: URLSearchParams;
  readonly problem?: string;
  readonly status?: number;
}

export function createConsole(dependencies: ConsoleDependencies): Console {
  const { config, ledger, changeSwitch, health, documentation, version, decisions, sessions, log } = dependencies;
  const admit = createGate(sessions);
  const state = createStateReader(dependencies);
  const actions = createActions(dependencies);
  const readBackups = createBackupsReader(dependencies.runs);
  const readSwitch = keptByKey(freshMs, () => within(switchMs, changeSwitch.get()));
  const assets: ReadonlyMap<string, Asset> = new Map([styles, script].map((one) => [one.path, one]));

  /** Those that need a sign-in. */
  const pages: Readonly<Record<string, (look: Look, id: string) => Promise<ConsoleAnswer>>> = {
    '/': statePage,
    '/ledger': ledgerPage,
    '/backups': backupsPage,
    '/switch': switchPage,
    '/runs/': runPage,
    '/schedules/': schedulePage,
    [schedulingPath]: schedulingPage,
  };
  /** What is only sent to. */
  const forms = new Set(['/sign-in', '/sign-out', ...Object.keys(actions)]);

  async function shown(
    body: Parameters<typeof page>[0],
    data: object,
    { session, problem, status }: Look,
    options: Pick<PageOptions, 'title' | 'refresh'>,
  ): Promise<ConsoleAnswer> {
    const { viewer, formToken } = session;
    const stopped = await stopState();
    const said = session.said();
    return page(
      body,
      { problem, said, viewer, formToken, stopped, ...data },
      { ...options, viewer, formToken, stopped, version },
      status,
    );
  }

  /** What is to be said of the kill switch on every page. */
  async function stopState() {
    const timeZone = config.hosts[0]?.timeZone ?? 'UTC';
    try {
      const found: SwitchState = await readSwitch('');
      const { on, number, since, by, why } = found;
      return {
        on,
        number,
        by: cleanLine(by === undefined ? 'somebody' : by.name, 100),
        why: cleanLine(why ?? '', longestField),
        hosts: toldLines(found, timeZone),
        ...(since === undefined ? {} : { since: momentsAt(Date.now())(since, timeZone) }),
      };
    } catch (error) {
      const problem = error instanceof ServiceError ? cleanLine(explain(error), longestField) : 'It could not be read.';
      return { on: false, number: 0, by: '', why: '', hosts: [], problem };
    }
  }

  async function statePage(look: Look): Promise<ConsoleAnswer> {
    const { viewer } = look.session;
    const wanted = look.query.get('host');
    const host = config.hosts.find(({ name }) => name === wanted)?.name;
    const [found, { findings }] = await Promise.all([state.read(host), health()]);
    const mayDecide = (run: RunSummary) => whyMayNotAnswer(viewer, run, decisions) === undefined;
    const view = viewOf(found, { hosts: config.hosts, mayDecide, host });
    // Not under the hands of who writes down why.
    const isTyping = 'value' in view.waiting && view.waiting.value.some((run) => run.mayDecide && !run.isApproval);
    const isGoing = 'value' in view.running && view.running.value.length > 0;
    const at = host === undefined ? '/' : `/?host=${encodeURIComponent(host)}`;
    return shown('state', { view, host, health: { findings }, maySchedule: maySchedule(viewer) }, look, {
      title: host ?? 'State',
      ...(isTyping ? {} : { refresh: refreshAt(at, isGoing ? refresh.going : refresh.state) }),
    });
  }

  async function runPage(look: Look, id: string): Promise<ConsoleAnswer> {
    const { viewer } = look.session;
    const run = await dependencies.runs.get(id);
    // A part of an id is enough, and the page is at the whole one.
    if (run.id !== id) return redirect(runPagePath(run.id));
    const question = run.progress?.question ?? run.question;
    const isAsking = run.closedAt === undefined && question?.kind === 'approval';
    const isKept = run.closedAt !== undefined || isAsking;
    const known = isKept ? await plansOf(ledger, run.id, isAsking ? question.id : undefined) : {};
    const mayNot = whyMayNotAnswer(viewer, question === undefined ? run : { ...run, question }, decisions);
    const view = runPageView(run, { plans: known, mayNot });
    const every = question === undefined ? refresh.run : refresh.paused;
    const isStill = run.closedAt !== undefined || (question !== undefined && mayNot === undefined);
    return shown('run', { run: view, shellUser: shellUser() }, look, {
      title: `${view.operation} on ${view.target}`,
      ...(isStill ? {} : { refresh: refreshAt(runPagePath(run.id), every) }),
    });
  }

  async function schedulePage(look: Look, id: string): Promise<ConsoleAnswer> {
    const found = (await state.schedules()).find((one) => one.id === id);
    if (found === undefined) {
      throw new ServiceError({
        code: 'not-found',
        message: 'There is no such schedule (any more)',
        remedy: 'The page of the state names those that there are.',
      });
    }
    const moment = momentsAt(Date.now());
    const view = {
      ...scheduleView(found, moment),
      nextRuns: found.nextRuns.map((iso) => moment(iso, found.timeZone)),
      lastRuns: found.lastRuns.map(({ at, runId }) => ({ when: moment(at, found.timeZone), page: runPagePath(runId) })),
    };
    const { viewer } = look.session;
    const data = { schedule: view, may: maySteer(viewer, found, decisions), mayRemove: maySchedule(viewer) };
    return shown('schedule', data, look, { title: `Schedule ${view.operation} on ${view.target}` });
  }

  async function schedulingPage(look: Look): Promise<ConsoleAnswer> {
    const data = { form: schedulingView(config, look.query), may: maySchedule(look.session.viewer) };
    return shown('scheduling', data, look, { title: 'Schedule something' });
  }

  async function ledgerPage(look: Look): Promise<ConsoleAnswer> {
    return shown('ledger', { ledger: await ledgerView(ledger, config, look.query) }, look, { title: 'Ledger' });
  }

  async function backupsPage(look: Look): Promise<ConsoleAnswer> {
    if (look.query.has('backup')) {
      const archive = await archiveView(dependencies.runs, config, look.query, requesterOf(look.session.viewer));
      return shown('archive', { archive }, look, { title: `What ${archive.backup} holds` });
    }
    const view = await backupsView(readBackups, config, look.query, requesterOf(look.session.viewer));
    return shown('backups', { backups: view }, look, { title: `Backups of ${view.host}` });
  }

  async function switchPage(look: Look): Promise<ConsoleAnswer> {
    return shown('switch', {}, look, { title: 'Kill switch' });
  }

  /** A page of somebody who has signed in; where it can't be shown, why. */
  async function lookAt(path: string, look: Look): Promise<ConsoleAnswer> {
    const { page: name, id } = placeOf(path);
    try {
      return (await pages[name]?.(look, id)) ?? plain(404, 'There is nothing here.');
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const problem = [look.problem, cleanText(explain(error))].filter(Boolean).join(' ');
      const status = look.status ?? statusOf(error.code);
      return shown('problem', {}, { ...look, problem, status }, { title: 'Not shown' });
    }
  }

  /** A form of somebody who has signed in. What was refused is said on the page that it stands on, as that is now. */
  async function submit(path: string, session: Session, form: URLSearchParams | undefined): Promise<ConsoleAnswer> {
    const action = Object.hasOwn(actions, path) ? actions[path] : undefined;
    if (action === undefined) return plain(404, 'There is nothing here.');
    const field = (name: string) => (form?.get(name) ?? '').slice(0, longestOf(name));
    const at = action.page(field);
    try {
      const done = await action.act(field, session.viewer);
      const { text, page: next } = typeof done === 'string' ? { text: done, page: at } : done;
      session.say(cleanText(text));
      return redirect(next);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const problem = cleanText(explain(error));
      // With what was written, which nobody writes twice.
      return await lookAt(at, { session, query: form ?? new URLSearchParams(), problem, status: statusOf(error.code) });
    } finally {
      state.forget();
      readSwitch.forget();
    }
  }

  /** @param to where they wanted to go */
  async function signInPage(
    status: number,
    {
      to,
      problem,
      headers,
      onlyAdministrators = false,
    }: {
      to: string;
      problem?: string | undefined;
      headers?: Readonly<Record<string, string>>;
      /** For what stands behind the same sign-in, and at whose address none of the console's other pages are. */
      onlyAdministrators?: boolean;
    },
  ): Promise<ConsoleAnswer> {
    const { findings } = await health();
    const data = { problem, to, health: { findings }, onlyAdministrators };
    const answer = page('signIn', data, { title: 'Sign in', version, isAlone: onlyAdministrators }, status);
    return headers === undefined ? answer : { ...answer, headers: { ...answer.headers, ...headers } };
  }

  async function signIn(request: ConsoleRequest): Promise<ConsoleAnswer> {
    const form = await request.readForm(largestForm.ofAnybody);
    const field = (name: string) => (form?.get(name) ?? '').slice(0, longestPassword);
    const to = ownPath(field('to'));
    const onlyAdministrators = form?.has('administrator') === true;
    const cookie = sessionCookie(request.isSecure);
    const begun = form?.has('token')
      ? await withToken(field('token'))
      : await asPerson(
          { name: field('name').trim(), password: field('password'), code: field('code') },
          request.address,
        );
    if ('id' in begun) {
      // What this browser had before is nobody's any more.
      sessions.end(cookie.read(request.cookie));
      return redirect(to, { 'set-cookie': cookie.set(begun.id) });
    }
    // Not the name: people type their password there.
    log.warn({ address: request.address }, 'a sign-in was refused');
    const wait = await request.count.failure();
    if (wait !== undefined) return tooMany(wait);
    return signInPage(begun.status, { to, onlyAdministrators, ...begun });
  }

  type Begun =
    | { readonly id: string }
    | { readonly status: number; readonly problem: string; headers?: { 'retry-after': string } };

  async function withToken(token: string): Promise<Begun> {
    const id = await sessions.beginWithToken(token);
    return id === undefined ? { status: 401, problem: 'This token is unknown, revoked or expired.' } : { id };
  }

  async function asPerson(given: { name: string; password: string; code: string }, address: string): Promise<Begun> {
    if (given.name === '') return { status: 401, problem: 'A name and a password are needed.' };
    try {
      const id = await sessions.beginAsPerson(given);
      writeSignInDown(given.name, address);
      return { id };
    } catch (error) {
      if (isServiceError(error, 'unauthenticated')) return { status: 401, problem: explain(error) };
      if (isServiceError(error, 'rate-limited')) {
        const seconds = String(error.details.retryAfterSeconds ?? 60);
        return { status: 429, problem: explain(error), headers: { 'retry-after': seconds } };
      }
      if (!(error instanceof ServiceError)) throw error;
      // Whoever has not signed in is not told of files.
      log.error({ err: error }, 'nobody can sign in');
      return { status: 503, problem: 'Nobody can sign in now; the log of the MCP server says why.' };
    }
  }

  function writeSignInDown(name: string, address: string): void {
    const text = `${name} signed in on the page, from ${address}`;
    const record = { kind: 'sign-in', by: `person:${name}`, text } as const;
    ledger
      .record([{ key: `sign-in/${randomBytes(12).toString('hex')}`, ...record }])
      .catch((error: unknown) => log.warn({ err: error, name }, 'a sign-in is not in the ledger'));
  }

  async function answer(request: ConsoleRequest): Promise<ConsoleAnswer> {
    const { method, path, query } = request;
    const isUse = method === 'POST' || !(query.has(byItself) || assets.has(path));
    const session = await sessions.find(sessionCookie(request.isSecure).read(request.cookie), isUse);
    // A sign-in is judged by what it shows first: who may come in never waits for what others send.
    if (!(method === 'POST' && path === '/sign-in')) {
      const wait = await request.count.request(session?.viewer);
      if (wait !== undefined) return tooMany(wait);
    }
    const isForm = forms.has(path);
    if (method === 'POST' && isForm) return send(request, session);
    if (method !== 'GET' && method !== 'HEAD') {
      return plain(405, 'Not that method.', { allow: isForm ? 'GET, HEAD, POST' : 'GET, HEAD' });
    }
    const asset = assets.get(path);
    if (asset !== undefined) return ofAsset(asset);
    if (path === '/tools') {
      const { viewer, formToken } = session ?? {};
      const stopped = session && (await stopState());
      return page('tools', documentation, { title: 'Tools', viewer, formToken, stopped, version });
    }
    if (path === '/docs') return redirect('/tools');
    if (path === signInPath) return lookAtSignIn(query, session);
    if (isForm) return redirect('/');
    if (session === undefined) return signInPage(200, { to: path });
    return lookAt(path, { session, query });
  }

  /** Who comes here has been sent by the gate before another program, or knows the address. */
  async function lookAtSignIn(query: URLSearchParams, session: Session | undefined): Promise<ConsoleAnswer> {
    const to = ownPath(query.get('to') ?? '/');
    const onlyAdministrators = query.has('administrator');
    const isEnough = session !== undefined && (!onlyAdministrators || mayPass(session.viewer));
    if (isEnough) return redirect(to);
    const problem = session && `${session.viewer.name} has signed in, and is no administrator.`;
    return signInPage(200, { to, onlyAdministrators, problem });
  }

  async function send(request: ConsoleRequest, session: Session | undefined): Promise<ConsoleAnswer> {
    if (!request.fromOwnPage) return plain(403, 'This form was not sent by a page of this server.');
    if (request.path === '/sign-in') return signIn(request);
    if (session === undefined) {
      return signInPage(401, { to: '/', problem: 'The session is over; nothing was done.' });
    }
    const form = await request.readForm(largestForm.ofViewer);
    if (!session.owns(form?.get('form') ?? '')) {
      return plain(403, 'This form is of another session than the one that is signed in: load its page anew.');
    }
    if (request.path !== '/sign-out') return submit(request.path, session, form);
    const cookie = sessionCookie(request.isSecure);
    sessions.end(cookie.read(request.cookie));
    return redirect('/', { 'set-cookie': cookie.clear });
  }

  return {
    routes: ['/tools', '/docs', ...forms, ...Object.keys(pages), ...folders.map((name) => `${name}:id`)],
    routeOf(path) {
      if (path === '/tools' || path === '/docs' || assets.has(path) || forms.has(path)) return path;
      const { page: name, id } = placeOf(path);
      if (!Object.hasOwn(pages, name)) return undefined;
      return id === '' ? name : `${name}:id`;
    },
    answer,
    admit,
  };
}

/** The page that a path is, and of what; a path that can't be read is of nothing. */
function placeOf(path: string): { readonly page: string; readonly id: string } {
  const folder = folders.find((one) => path.startsWith(one) && path.length > one.length);
  if (folder === undefined) return { page: path.endsWith('/') && path !== '/' ? '' : path, id: '' };
  try {
    return { page: folder, id: path.slice(folder.length).split('/').map(decodeURIComponent).join('/') };
  } catch {
    return { page: '', id: '' };
  }
}

function longestOf(field: string): number {
  if (field === 'password') return longestPassword;
  return field.startsWith('signature-') ? longestSignature : longestField;
}

function refreshAt(path: string, seconds: number): { readonly seconds: number; readonly url: string } {
  return { seconds, url: `${path}${path.includes('?') ? '&' : '?'}${byItself}` };
}
