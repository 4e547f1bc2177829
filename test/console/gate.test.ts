import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGate, ownPath } from '../../src/console/gate.ts';
import { createSessions, idleMs } from '../../src/console/sessions.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { memoryConfig } from '../mcp/lib/memory-service.ts';
import { password, peopleOf } from '../people/people.ts';
import { sampleService, signIn, signInAs } from './lib/sample-service.ts';

let serving: HttpServing | undefined;
let base: string;
afterEach(async () => {
  await serving?.close();
  serving = undefined;
});

async function serve(trustedProxies: readonly string[] = ['127.0.0.1'], publicUrl = 'http://127.0.0.1:8080') {
  const { people } = peopleOf();
  await people.add({ name: 'anna', role: 'administrator', password, first: true });
  await people.add({ name: 'olga', role: 'operator', password, first: false });
  const config = memoryConfig();
  const mcp = { ...config.mcp, publicUrl, trustedProxies };
  serving = await serveHttp(sampleService([], [], { people, config: { ...config, mcp } }), { version: '1.2.3' });
  base = `http://127.0.0.1:${serving.port}`;
}
beforeEach(() => serve());

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** As Caddy asks: what the browser sent, and what of the request it was about. */
function ask(headers: OutgoingHttpHeaders, path = '/auth/administrator'): Promise<Answer> {
  const all = {
    host: '127.0.0.1:8233',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': '127.0.0.1:8233',
    'x-forwarded-method': 'GET',
    'x-forwarded-uri': '/namespaces/default/workflows?query=a%20b',
    ...headers,
  };
  return new Promise((resolve, reject) => {
    request(`${base}${path}`, { headers: all }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    })
      .on('error', reject)
      .end();
  });
}

const page = { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
const script = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };
const cookieOf = async (name: string) => (await signInAs(base, { name, password })).cookie;

describe('the gate before the Temporal UI', () => {
  it('lets an administrator through, and sends who loads a page to the sign-in, with the way back', async () => {
    const cookie = await cookieOf('anna');
    expect(await ask({ ...page, cookie })).toMatchObject({ status: 204, text: '' });
    expect(await ask({ ...script, cookie })).toMatchObject({ status: 204 });
    const away = await ask(page);
    expect(away.status).toBe(303);
    expect(away.headers.location).toBe(
      '/sign-in?administrator&to=%2Fnamespaces%2Fdefault%2Fworkflows%3Fquery%3Da%2520b',
    );
  });

  it('answers what is no page load with 401, so that no script takes the sign-in for an answer', async () => {
    expect(await ask(script)).toMatchObject({ status: 401 });
    expect(
      await ask({ ...script, 'sec-fetch-mode': 'websocket', upgrade: 'websocket', connection: 'Upgrade' }),
    ).toMatchObject({ status: 401 });
    expect(await ask({ ...page, 'sec-fetch-dest': 'iframe' })).toMatchObject({ status: 401 });
    expect(await ask({ ...page, 'x-forwarded-method': 'POST' })).toMatchObject({ status: 401 });
    // Of a browser that doesn't say what for.
    expect(await ask({ accept: 'application/json' })).toMatchObject({ status: 401 });
    expect(await ask({ accept: 'text/html,application/xhtml+xml' })).toMatchObject({ status: 303 });
  });

  it('is no way for a token or for another role, who are told so', async () => {
    const token = (await signIn(base, 'admin-token')).cookie;
    expect(token).not.toBe('');
    expect(await ask({ ...script, cookie: token })).toMatchObject({ status: 403 });
    expect(await ask({ ...page, cookie: token })).toMatchObject({ status: 303 });
    expect(await ask({ ...script, authorization: 'Bearer admin-token' })).toMatchObject({ status: 401 });
    const cookie = await cookieOf('olga');
    expect(await ask({ ...script, cookie })).toMatchObject({ status: 403, text: 'olga is no administrator.\n' });
    const { headers } = await ask({ ...page, cookie });
    const form = await ask({ ...page, cookie }, headers.location);
    expect(form.text).toContain('olga has signed in, and is no administrator.');
    expect(form.text).not.toContain('name="token"');
  });

  it.each([
    ['a page of another port', { 'sec-fetch-site': 'same-site' }, 403],
    ['a page of another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['the UI’s own page', { 'sec-fetch-site': 'same-origin' }, 204],
    ['nobody says who', {}, 403],
    ['an old browser, from another port', { origin: 'http://127.0.0.1:3000' }, 403],
    ['an old browser, by another scheme', { origin: 'https://127.0.0.1:8233' }, 403],
    ['an old browser, from the UI', { origin: 'http://127.0.0.1:8233' }, 204],
  ])('a change that %s sends', async (_, headers, status) => {
    const cookie = await cookieOf('anna');
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      expect(await ask({ ...headers, cookie, 'x-forwarded-method': method })).toMatchObject({ status });
    }
  });

  it('refuses what a page of another port asks without changing anything, and follows a link from there', async () => {
    const cookie = await cookieOf('anna');
    expect(await ask({ ...script, 'sec-fetch-site': 'same-site', cookie })).toMatchObject({ status: 403 });
    expect(await ask({ ...page, 'sec-fetch-site': 'same-site', cookie })).toMatchObject({ status: 204 });
  });

  it('believes nobody but a proxy that is named, and needs to hear the method', async () => {
    expect(await ask({ ...page, cookie: await cookieOf('anna'), 'x-forwarded-method': '' })).toMatchObject({
      status: 403,
    });
    await serving?.close();
    await serve([]);
    const answer = await ask({ ...page, cookie: await cookieOf('anna') });
    expect(answer).toMatchObject({ status: 403 });
    expect(answer.text).toContain('TRUSTED_PROXIES');
  });

  it('leads back to where somebody was going', async () => {
    const { headers } = await ask(page);
    const form = await ask(page, headers.location);
    expect(form.text).toContain('name="to" value="/namespaces/default/workflows?query=a%20b"');
    // None of the console's other pages is at this address.
    expect(form.text).not.toMatch(/href="\/(tools|health|metrics|)"/);
    const to = '/namespaces/default/workflows?query=a%20b';
    const origin = 'http://127.0.0.1:8233';
    const proxied = { origin, 'x-forwarded-host': '127.0.0.1:8233', 'x-forwarded-proto': 'http' };
    const { response, cookie } = await signInAs(base, { name: 'anna', password, to }, proxied);
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe(to);
    // Who comes again has signed in already.
    const again = await ask({ ...page, cookie }, headers.location);
    expect(again).toMatchObject({ status: 303, headers: { location: to } });
  });

  it.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    '/\tevil',
    '/%0d%0aSet-Cookie:a=b\r\n',
    '',
    'javascript:alert(1)',
    '/a?b="><script>',
    '/too-long',
    '/#//evil',
  ])('leads nowhere else: %j', (to) => {
    expect(ownPath(to === '/too-long' ? `/${'a'.repeat(3_000)}` : to)).toBe('/');
  });
  it.each(['/', '/a/b', '/a?b=c&d=%20e', '/a?to=https://evil.example', '/runs/back-up/pve1/1'])('leads to %s', (to) => {
    expect(ownPath(to)).toBe(to);
  });

  it('has a cookie of its own by plain http where the console is reached by https', async () => {
    await serving?.close();
    await serve(['127.0.0.1'], 'https://mcp.example');
    const forwarded = {
      origin: 'http://127.0.0.1:8233',
      'x-forwarded-host': '127.0.0.1:8233',
      'x-forwarded-proto': 'http',
    };
    const { response, cookie } = await signInAs(base, { name: 'anna', password }, forwarded);
    expect(response.headers.get('set-cookie')).toMatch(/^proxmox-mcp=/);
    expect(response.headers.get('set-cookie')).not.toContain('Secure');
    expect(await ask({ ...page, cookie })).toMatchObject({ status: 204 });
    // Over https only a cookie counts that nobody could have planted by http.
    expect(await ask({ ...page, cookie, 'x-forwarded-proto': 'https' })).toMatchObject({ status: 303 });
    const secure = await signInAs(
      base,
      { name: 'anna', password },
      {
        origin: 'https://mcp.example',
        'x-forwarded-host': 'mcp.example',
        'x-forwarded-proto': 'https',
      },
    );
    expect(secure.response.headers.get('set-cookie')).toMatch(/^__Host-proxmox-mcp=.*; Secure$/);
  });
});

describe('a session that the UI uses', () => {
  it('lasts as long as somebody does something there, and no longer for a page that only asks for news', async () => {
    const { people } = peopleOf();
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    const clock = { now: 0 };
    const sessions = createSessions({ verify: () => undefined }, people, () => clock.now);
    const admit = createGate(sessions, () => clock.now);
    const begin = async () => `proxmox-mcp=${await sessions.beginAsPerson({ name: 'anna', password, code: '' })}`;
    const of = (cookie: string, uri: string) => ({
      cookie,
      uri,
      isSecure: false,
      byProxy: true,
      method: 'GET',
      isPage: false,
      isOwn: true,
      count: async () => undefined,
    });
    const used = await begin();
    for (let click = 0; click < 5; click += 1) {
      clock.now += idleMs - 1;
      expect(await admit(of(used, `/api/v1/click/${click}`))).toMatchObject({ status: 204 });
    }
    const left = await begin();
    const until = clock.now + idleMs;
    for (; clock.now < until; clock.now += 10_000) {
      expect(await admit(of(left, '/api/v1/news'))).toMatchObject({ status: 204 });
    }
    clock.now += 10_000;
    expect(await admit(of(left, '/api/v1/news'))).toMatchObject({ status: 401 });
  });
});
