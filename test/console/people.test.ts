import { afterEach, describe, expect, it } from 'vitest';
import { createSessions, idleMs, sessionMs } from '../../src/console/sessions.ts';
import { ServiceError } from '../../src/errors.ts';
import type { RateLimits } from '../../src/mcp/http/limits.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import type { LedgerRecord, NewRecord } from '../../src/operations/ledger.ts';
import { offerTotp } from '../../src/people/totp.ts';
import { memoryLedger } from '../mcp/lib/memory-service.ts';
import { codeAt, password, peopleOf } from '../people/people.ts';
import { formTokenOf, sampleService, send, signIn, signInAs } from './lib/sample-service.ts';

let serving: HttpServing | undefined;

afterEach(async () => {
  await serving?.close();
  serving = undefined;
});

const wrongPassword = 'five loud crows at dawn';

/** A page that anna, an administrator, bert, an operator, and olga, an observer, can sign in to. */
async function serve(limits: Partial<RateLimits> = {}) {
  const clock = { now: Date.now() };
  const { people } = peopleOf(undefined, clock);
  await people.add({ name: 'anna', role: 'administrator', password, first: true });
  await people.add({ name: 'bert', role: 'operator', password, first: false });
  await people.add({ name: 'olga', role: 'observer', password, first: false });
  const records: NewRecord[] = [];
  const ledger = { ...memoryLedger(), record: async (more: readonly NewRecord[]) => void records.push(...more) };
  const service = sampleService(undefined, undefined, { people, ledger });
  serving = await serveHttp(service, { version: '1.2.3', limits });
  return { base: `http://127.0.0.1:${serving.port}`, people, records, clock, service };
}

const look = async (base: string, cookie: string, path = '/') =>
  (await fetch(`${base}${path}`, { headers: { cookie }, redirect: 'manual' })).text();

describe('a person', () => {
  it('signs in with name and password, which is written down', async () => {
    const { base, records } = await serve();
    const { response, cookie } = await signInAs(base, { name: 'anna', password });
    expect(response.status).toBe(303);
    expect(await look(base, cookie)).toContain('<span class="soft">anna</span>');
    expect(records).toMatchObject([
      { kind: 'sign-in', by: 'person:anna', text: 'anna signed in on the page, from 127.0.0.1' },
    ]);
    expect(JSON.stringify(records)).not.toContain(password);
  });

  it('needs the code of their app where they have one, and each only once', async () => {
    const { base, people, clock } = await serve();
    const secret = offerTotp('anna').secret.reveal();
    await people.setTotp('anna', { secret, code: codeAt(secret, clock.now) });
    clock.now += 60_000;
    const code = codeAt(secret, clock.now);
    expect((await signInAs(base, { name: 'anna', password })).response.status).toBe(401);
    expect((await signInAs(base, { name: 'anna', password, code: '000000' })).response.status).toBe(401);
    expect((await signInAs(base, { name: 'anna', password, code })).response.status).toBe(303);
    expect((await signInAs(base, { name: 'anna', password, code })).response.status).toBe(401);
  });

  it('is told the same whatever is wrong', async () => {
    const { base } = await serve();
    const said = await Promise.all(
      [
        { name: 'anna', password: wrongPassword },
        { name: 'nobody', password },
        { name: '<b>', password: '' },
      ].map(async (given) => {
        const { response, cookie } = await signInAs(base, given);
        expect([response.status, cookie]).toEqual([401, '']);
        return /role="alert">([^<]+)/.exec(await response.text())?.[1];
      }),
    );
    expect(new Set(said).size).toBe(1);
    expect(said[0]).toContain('The name, the password or the code is wrong');
  });

  it('who is guessed at is locked alone, and is told for how long', async () => {
    const { base } = await serve();
    for (let at = 0; at < 5; at += 1) {
      expect((await signInAs(base, { name: 'anna', password: wrongPassword })).response.status).toBe(401);
    }
    const { response } = await signInAs(base, { name: 'anna', password });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await response.text()).toContain('locked for a minute');
    expect((await signInAs(base, { name: 'bert', password })).response.status).toBe(303);
    expect((await signIn(base, 'reader-token')).response.status).toBe(303);
  });

  it('comes in while their address has used up its wrong tries', async () => {
    const { base } = await serve({ failedPerAddress: 2 });
    for (let at = 0; at < 3; at += 1) await signInAs(base, { name: `guess${at}`, password: wrongPassword });
    expect((await signInAs(base, { name: 'guess9', password: wrongPassword })).response.status).toBe(429);
    expect((await signInAs(base, { name: 'anna', password })).response.status).toBe(303);
  });

  it.each([
    ['role', ({ people }: Served) => people.setRole('bert', 'observer')],
    ['password', ({ people }: Served) => people.setPassword('bert', wrongPassword)],
    ['second factor', ({ people, clock }: Served) => withTotp(people, clock.now)],
    ['being enabled', ({ people }: Served) => people.setDisabled('bert', true)],
    ['being there', ({ people }: Served) => people.remove('bert')],
  ] as const)('is signed out at once when their %s changes', async (_what, change) => {
    const served = await serve();
    const { base } = served;
    const bert = await signInAs(base, { name: 'bert', password });
    const anna = await signInAs(base, { name: 'anna', password });
    expect(await look(base, bert.cookie)).toContain('Sign out');
    await change(served);
    expect(await look(base, bert.cookie)).not.toContain('Sign out');
    expect(await look(base, anna.cookie)).toContain('Sign out');
  });
});

type Served = Awaited<ReturnType<typeof serve>>;

async function withTotp(people: Served['people'], now: number) {
  const secret = offerTotp('bert').secret.reveal();
  return people.setTotp('bert', { secret, code: codeAt(secret, now) });
}

describe('a session of a person', () => {
  async function sessionsAt() {
    const { people } = peopleOf();
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    const clock = { now: 0 };
    const tokens = { verify: () => ({ name: 'reader', scope: 'read' }) as const };
    const sessions = createSessions(tokens, people, () => clock.now);
    return { sessions, clock, id: await sessions.beginAsPerson({ name: 'anna', password }) };
  }

  it('ends after half an hour without a click, though the page loads itself anew', async () => {
    const { sessions, clock, id } = await sessionsAt();
    for (let minutes = 0; minutes < 29; minutes += 1) {
      clock.now += 60_000;
      expect(await sessions.find(id, false)).toBeDefined();
    }
    clock.now += 60_000;
    expect(await sessions.find(id, false)).toBeUndefined();
    expect(await sessions.find(id, true)).toBeUndefined();
  });

  it('is over when nobody can tell any more who somebody is', async () => {
    const { base, people, service } = await serve();
    const { cookie } = await signInAs(base, { name: 'anna', password });
    const unreadable = new ServiceError({ code: 'unreadable', message: 'people.json is broken', remedy: 'Look.' });
    const broken = () => {
      throw unreadable;
    };
    Object.assign(people, { credentialsOf: broken, signIn: () => Promise.reject(unreadable) });
    expect(await look(base, cookie)).not.toContain('Sign out');
    Object.assign(service.log, { error: () => undefined });
    const { response } = await signInAs(base, { name: 'anna', password });
    expect(response.status).toBe(503);
    expect(await response.text()).not.toContain('people.json');
  });

  it('goes on with every click, and ends after twelve hours all the same', async () => {
    const { sessions, clock, id } = await sessionsAt();
    while (clock.now + idleMs - 1 < sessionMs) {
      clock.now += idleMs - 1;
      expect((await sessions.find(id, true))?.viewer).toEqual({ kind: 'person', name: 'anna', role: 'administrator' });
    }
    clock.now = sessionMs;
    expect(await sessions.find(id, true)).toBeUndefined();
  });

  it('of a token has no such rest, because a token only looks', async () => {
    const { sessions, clock } = await sessionsAt();
    const id = (await sessions.beginWithToken('some-token')) ?? '';
    clock.now += idleMs * 3;
    expect((await sessions.find(id, false))?.viewer).toEqual({ kind: 'token', name: 'reader', scope: 'read' });
  });

  it('is another one with every sign-in, and the one before in that browser is over', async () => {
    const { base } = await serve();
    const first = await signInAs(base, { name: 'anna', password });
    const second = await signInAs(base, { name: 'anna', password }, { cookie: first.cookie });
    expect(second.cookie).not.toBe(first.cookie);
    expect(await look(base, first.cookie)).not.toContain('Sign out');
  });
});

describe('a sign-in leads', () => {
  it('to the page that was asked for, whose address holds nothing secret', async () => {
    const { base } = await serve();
    const html = await look(base, '', '/runs/back-up/pve1/1');
    expect(html).toContain('<input type="hidden" name="to" value="/runs/back-up/pve1/1">');
    expect(html).not.toContain('46.1 MiB');
    const { response } = await signInAs(base, { name: 'anna', password, to: '/runs/back-up/pve1/1' });
    expect(response.headers.get('location')).toBe('/runs/back-up/pve1/1');
  });

  it.each([
    '//evil.example/x',
    'https://evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
    '/ok\r\nset-cookie: a=b',
    `/${'a'.repeat(900)}!`,
  ])('nowhere else: %j', async (to) => {
    const { base } = await serve();
    const { response } = await signInAs(base, { name: 'anna', password, to });
    expect(response.headers.get('location')).toBe('/');
  });
});

describe('a form', () => {
  it.each([
    ['without its token', () => ''],
    ['with one that is made up', () => 'x'.repeat(43)],
    ['of another session', (other: string) => other],
  ])('%s does nothing', async (_how, made) => {
    const { base, service } = await serve();
    const { cookie } = await signInAs(base, { name: 'anna', password });
    const other = await signInAs(base, { name: 'anna', password });
    const form = made(await formTokenOf(base, other.cookie));
    for (const path of ['/decide', '/schedules/pause', '/switch/stop', '/switch/allow', '/sign-out']) {
      const sent = await send(base, path, cookie, { form, reason: 'because', id: 'back-up/daily/pve1' });
      expect(sent.status).toBe(403);
    }
    expect(await service.changeSwitch.get()).toMatchObject({ on: false });
    expect(service.schedules.changes).toEqual([]);
    expect(await look(base, cookie)).toContain('Sign out');
  });

  it('of another site does nothing, though it has the right token', async () => {
    const { base, service } = await serve();
    const { cookie } = await signInAs(base, { name: 'anna', password });
    const sent = await send(base, '/switch/stop', cookie, { reason: 'because' }, { origin: 'https://evil.example' });
    expect(sent.status).toBe(403);
    expect(await service.changeSwitch.get()).toMatchObject({ on: false });
  });

  it('of a session that is over says so', async () => {
    const { base } = await serve();
    const sent = await send(base, '/switch/stop', '', { reason: 'because' });
    expect(sent.status).toBe(401);
    expect(sent.html).toContain('The session is over; nothing was done.');
  });
});

describe('the kill switch', () => {
  it.each([
    ['an observer', (base: string) => signInAs(base, { name: 'olga', password }), 'person:olga'],
    ['a token that reads', (base: string) => signIn(base, 'reader-token'), 'mcp:reader'],
  ])('is pulled by anybody who has signed in: %s', async (_who, enter, by) => {
    const { base, service, records } = await serve();
    const { cookie } = await enter(base);
    expect((await send(base, '/switch/stop', cookie, { reason: ' ' })).status).toBe(400);
    const sent = await send(base, '/switch/stop', cookie, { reason: 'disks are <failing>' });
    expect(sent).toMatchObject({ status: 303, location: '/switch' });
    expect(await service.changeSwitch.get()).toMatchObject({ on: true, why: 'disks are <failing>' });
    const html = await look(base, cookie);
    expect(html).toContain('stopped all changes');
    expect(html).toContain('disks are &lt;failing&gt;');
    expect(await look(base, cookie, '/switch')).not.toContain('action="/switch/allow"');
    expect(records.at(-1)).toMatchObject({ kind: 'switch', by, text: 'Stopped all changes: disks are <failing>' });
  });

  it('is lifted by an administrator, who says who they are once more', async () => {
    const { base, service, people, clock, records } = await serve();
    const secret = offerTotp('anna').secret.reveal();
    await people.setTotp('anna', { secret, code: codeAt(secret, clock.now) });
    clock.now += 60_000;
    const { cookie } = await signInAs(base, { name: 'anna', password, code: codeAt(secret, clock.now) });
    await send(base, '/switch/stop', cookie, { reason: 'look' });
    const allow = (fields: Record<string, string>) =>
      send(base, '/switch/allow', cookie, { number: '1', reason: 'it was nothing', ...fields });
    // The same code once more, none, and the right one with a wrong password.
    expect((await allow({ password, code: codeAt(secret, clock.now) })).status).toBe(403);
    expect((await allow({ password })).status).toBe(403);
    clock.now += 60_000;
    const code = codeAt(secret, clock.now);
    expect((await allow({ password: wrongPassword, code })).status).toBe(403);
    expect((await allow({ password, code, reason: '' })).status).toBe(400);
    expect(await service.changeSwitch.get()).toMatchObject({ on: true });
    expect((await allow({ password, code })).status).toBe(303);
    expect(await service.changeSwitch.get()).toMatchObject({ on: false, by: { kind: 'person', name: 'anna' } });
    expect(records.at(-1)).toMatchObject({ by: 'person:anna', text: 'Allowed changes again: it was nothing' });
  });

  it('is lifted by nobody else, and not another one than was looked at', async () => {
    const { base, service } = await serve();
    const bert = await signInAs(base, { name: 'bert', password });
    const admin = await signIn(base, 'admin-token');
    const anna = await signInAs(base, { name: 'anna', password });
    await send(base, '/switch/stop', bert.cookie, { reason: 'look' });
    for (const { cookie } of [bert, admin]) {
      const sent = await send(base, '/switch/allow', cookie, { number: '1', reason: 'go on', password });
      expect(sent.status).toBe(403);
      expect(sent.html).toContain('only one of them allows changes again');
    }
    expect((await send(base, '/switch/allow', anna.cookie, { number: '7', reason: 'go', password })).status).toBe(409);
    expect(await service.changeSwitch.get()).toMatchObject({ on: true });
  });

  it('that can’t be read is said on the page, and the page comes', async () => {
    const { base, service } = await serve();
    Object.assign(service.changeSwitch, { get: () => Promise.reject(new Error('no')) });
    const { cookie } = await signInAs(base, { name: 'anna', password });
    const html = await look(base, cookie);
    expect(html).toContain('It could not be read.');
    expect(html).toContain('46.1 MiB');
  });
});

describe('schedules', () => {
  const id = 'back-up/daily/pve1';

  it('are paused, resumed and fired by an operator, which is written down', async () => {
    const { base, service, records } = await serve();
    const { cookie } = await signInAs(base, { name: 'bert', password });
    expect((await send(base, '/schedules/pause', cookie, { id })).status).toBe(400);
    for (const [path, reason] of [
      ['pause', 'new disks'],
      ['run', ''],
      ['resume', 'they are in'],
    ] as const) {
      const sent = await send(base, `/schedules/${path}`, cookie, { id, reason });
      expect(sent).toMatchObject({ status: 303, location: `/schedules/${id}` });
    }
    expect(service.schedules.changes).toEqual(['pause person:bert', 'trigger person:bert', 'resume person:bert']);
    expect(records.slice(1).map(({ kind, by, text }) => `${kind} ${by} ${text}`)).toEqual([
      `schedule person:bert ${id}: Paused: new disks`,
      `schedule person:bert ${id}: Run now`,
      `schedule person:bert ${id}: Resumed: they are in`,
    ]);
    const html = await look(base, cookie, `/schedules/${id}`);
    expect(html).toContain('Resumed: they are in.');
    // Said once.
    expect(await look(base, cookie, `/schedules/${id}`)).not.toContain('Resumed: they are in.');
  });

  it('are only looked at by observers and by tokens that read', async () => {
    const { base, service } = await serve();
    for (const { cookie } of [await signInAs(base, { name: 'olga', password }), await signIn(base, 'reader-token')]) {
      const html = await look(base, cookie, `/schedules/${id}`);
      expect(html).toContain('You may only look');
      expect(html).not.toContain('action="/schedules/');
      expect((await send(base, '/schedules/run', cookie, { id })).status).toBe(403);
    }
    expect(service.schedules.changes).toEqual([]);
  });

  it('are made in a form of the operation’s own fields, and removed', async () => {
    const { base, service } = await serve();
    const { cookie } = await signInAs(base, { name: 'bert', password });
    expect(await look(base, cookie)).toContain('<a href="/schedules">');
    expect(await look(base, cookie, '/schedules')).toContain('<option value="control-guest">Control guest</option>');
    expect(await look(base, cookie, '/schedules?operation=control-guest')).toContain('No configured host is reached');
    for (const host of service.config.hosts) Object.assign(host, { api: {} });
    const form = await look(base, cookie, '/schedules?operation=control-guest&input-host=pve2');
    for (const part of [
      /<option selected>pve2<\/option>/,
      /<input id="input-guest" name="input-guest" .*required>/,
      /<select id="input-action" name="input-action" required><option>start<\/option>/,
      /placeholder="180"/,
    ]) {
      expect(form).toMatch(part);
    }
    expect(form).not.toContain('dryRun');
    expect(form).not.toContain('vmid');
    const fields = {
      operation: 'control-guest',
      'input-host': 'pve1',
      'input-guest': 'files',
      'input-action': 'reboot',
    };
    const made = await send(base, '/schedules/add', cookie, { ...fields, at: 'sun 23:00', if: 'healthy', name: '' });
    expect(made).toMatchObject({ status: 303, location: '/schedules/control-guest/own-sunday/pve1' });
    const removed = await send(base, '/schedules/remove', cookie, { id: 'control-guest/own-sunday/pve1' });
    expect(removed).toMatchObject({ status: 303, location: '/' });
    expect(await look(base, cookie)).toContain('Removed control-guest/own-sunday/pve1.');
    expect(service.schedules.changes).toEqual([
      'add control-guest/own-sunday/pve1 person:bert',
      'remove control-guest/own-sunday/pve1 person:bert',
    ]);
  });

  it.each([
    [{ if: 'perhaps' }, 'if: expected healthy or not-failing'],
    [{ operation: 'format-disks' }, 'There is no operation'],
  ])('are not made of %j, and what was written stays in the form', async (wrong, said) => {
    const { base, service } = await serve();
    const { cookie } = await signInAs(base, { name: 'bert', password });
    const fields = { operation: 'control-guest', 'input-host': 'pve1', 'input-guest': '<7>', every: 'sun 23:00' };
    const { status, html } = await send(base, '/schedules/add', cookie, { ...fields, ...wrong });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(html).toContain(said);
    if (!('operation' in wrong)) expect(html).toContain('name="input-guest" value="&lt;7&gt;"');
    expect(service.schedules.changes).toEqual([]);
  });

  it('are made and removed here by nobody else: not by observers, nor by tokens', async () => {
    const { base, service } = await serve();
    for (const { cookie } of [await signInAs(base, { name: 'olga', password }), await signIn(base, 'admin-token')]) {
      expect(await look(base, cookie)).not.toContain('<a href="/schedules">');
      expect(await look(base, cookie, '/schedules?operation=control-guest')).not.toContain('<form class="card');
      const fields = { operation: 'check-health', 'input-host': 'pve1', every: 'hourly' };
      expect((await send(base, '/schedules/add', cookie, fields)).status).toBe(403);
      expect((await send(base, '/schedules/remove', cookie, { id })).status).toBe(403);
    }
    expect(service.schedules.changes).toEqual([]);
  });

  it('of somebody’s are fired only by a token that may start what they do', async () => {
    const { base, service } = await serve();
    const [first] = await service.schedules.list();
    const own = { madeBy: 'person:anna', madeAt: '2026-11-26T12:00:00.000Z', input: {} };
    const { cookie } = await signIn(base, 'operator-token');
    for (const [risk, status] of [
      ['change', 303],
      ['dangerous', 403],
    ] as const) {
      Object.assign(service.schedules, { list: async () => [{ ...first, id, own: { ...own, risk } }] });
      expect((await send(base, '/schedules/run', cookie, { id })).status).toBe(status);
    }
    expect(service.schedules.changes).toEqual(['trigger mcp:operator']);
  });

  it('are changed though the ledger is away, and the page says that it is not written down', async () => {
    const { base, service } = await serve();
    const { cookie } = await signInAs(base, { name: 'bert', password });
    Object.assign(service.ledger, { record: () => Promise.reject(new Error('away')) });
    Object.assign(service.log, { error: () => undefined });
    await send(base, '/schedules/pause', cookie, { id, reason: 'new disks' });
    expect(service.schedules.changes).toEqual(['pause person:bert']);
    expect(await look(base, cookie, `/schedules/${id}`)).toContain('The ledger does not have this');
  });

  it('that somebody made say by whom, on what condition and who has to approve them', async () => {
    const { base, service } = await serve();
    const [first] = await service.schedules.list();
    const own = {
      madeBy: 'mcp:<claude>',
      madeAt: '2026-11-26T08:00:00.000Z',
      risk: 'dangerous',
      input: { host: 'pve1' },
      at: '2026-11-29T22:00:00.000Z',
      condition: 'healthy',
      approval: { count: 1, approvers: ['anna'], why: 'It is dangerous.' },
    } as const;
    Object.assign(service.schedules, { list: async () => [{ ...first, own }] });
    const { cookie } = await signInAs(base, { name: 'olga', password });
    const html = await look(base, cookie, `/schedules/${first?.id}`);
    for (const part of ['mcp:&lt;claude&gt;', 'once', 'its host is healthy right before', '1 of these: anna']) {
      expect(html).toContain(part);
    }
  });

  it('that there is none of are said not to be there', async () => {
    const { base } = await serve();
    const { cookie } = await signInAs(base, { name: 'bert', password });
    const response = await fetch(`${base}/schedules/a/b/c`, { headers: { cookie } });
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('no such schedule');
  });
});

describe('the ledger', () => {
  const record = (seq: number, more: Partial<LedgerRecord> = {}): LedgerRecord => ({
    seq,
    at: '2026-11-26T08:00:00.000Z',
    previous: '0'.repeat(64),
    hash: '1'.repeat(64),
    key: `k${seq}`,
    kind: 'decision',
    run: 'back-up/pve1/0f3c',
    operation: 'back-up',
    target: 'pve1',
    by: 'person:anna',
    text: 'approve: <b>fine</b>',
    ...more,
  });

  it('is searched, page by page, and each record leads to its run and to Temporal', async () => {
    const { base, service } = await serve();
    const asked: unknown[] = [];
    Object.assign(service.ledger, {
      search: async (filter: unknown) => {
        asked.push(filter);
        return { records: [record(7), record(6, { run: undefined })], missing: [2], cursor: '6' };
      },
    });
    const { cookie } = await signIn(base, 'reader-token');
    const html = await look(base, cookie, '/ledger?text=fine&kind=decision&run=back-up%2Fpve1%2F0f3c&cursor=9');
    expect(asked).toEqual([{ limit: 50, text: 'fine', run: 'back-up/pve1/0f3c', kind: 'decision', cursor: '9' }]);
    expect(html).toContain('href="/runs/back-up/pve1/0f3c"');
    expect(html).toContain('/namespaces/default/workflows/back-up%2Fpve1%2F0f3c');
    expect(html).toContain('approve: &lt;b&gt;fine&lt;/b&gt;');
    expect(html).toContain('/ledger?text=fine&amp;run=back-up%2Fpve1%2F0f3c&amp;kind=decision&amp;cursor=6');
    expect(html).toContain('Segments 2 of it are away');
    await look(base, cookie, '/ledger?kind=nonsense');
    expect(asked[1]).toEqual({ limit: 50 });
  });

  it('that is away is said', async () => {
    const { base, service } = await serve();
    const { cookie } = await signIn(base, 'reader-token');
    const error = new ServiceError({ code: 'unavailable', message: 'No worker answers', remedy: 'Start it.' });
    Object.assign(service.ledger, { search: () => Promise.reject(error) });
    expect(await look(base, cookie, '/ledger')).toContain('No worker answers. Start it.');
  });

  it('is nothing for who has not signed in', async () => {
    const { base } = await serve();
    expect(await look(base, '', '/ledger')).toContain('action="/sign-in"');
  });
});
