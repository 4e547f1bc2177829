import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { HostConfig } from '../../src/config.ts';
import { ServiceError } from '../../src/errors.ts';
import type { RateLimits } from '../../src/mcp/http/limits.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import type { Notices } from '../../src/operations/notice.ts';
import type { Question, Requester } from '../../src/operations/run.ts';
import { requireWhoMayAnswer } from '../../src/runs/who-answers.ts';
import { memoryConfig, tokens } from '../mcp/lib/memory-service.ts';
import { ago, ended, formTokenOf, paused, sampleRuns, sampleService, send, signIn } from './lib/sample-service.ts';

let serving: HttpServing | undefined;

afterEach(async () => {
  await serving?.close();
  serving = undefined;
});

async function serve(service = sampleService(), limits: Partial<RateLimits> = {}): Promise<string> {
  serving = await serveHttp(service, { version: '1.2.3', limits });
  return `http://127.0.0.1:${serving.port}`;
}

const get = (url: string, cookie = '') => fetch(url, { headers: { cookie }, redirect: 'manual' });

/** What whoever has signed in sees at `/`. */
async function stateOf(service = sampleService()): Promise<string> {
  const base = await serve(service);
  const { cookie } = await signIn(base, 'reader-token');
  const response = await get(base, cookie);
  expect(response.status).toBe(200);
  return response.text();
}

describe('without a token', () => {
  it('the page shows the sign-in, whether the service is well and how to make a token; no host', async () => {
    const base = await serve();
    const response = await get(base);
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(html).toContain('action="/sign-in"');
    expect(html).toContain('healthy');
    expect(html).toContain('npx proxmox-mcp token create NAME --scope read');
    expect(html).not.toMatch(/pve1|pve2|back-up|192\.0\.2\.1/);
  });

  it('it says what keeps the service from working', async () => {
    const finding = {
      check: 'Worker',
      verdict: 'failed',
      summary: 'No worker takes work.',
      remedy: 'Start it.',
    } as const;
    const html = await (await get(await serve(sampleService([], [], { findProblems: async () => [finding] })))).text();
    expect(html).toContain('No worker takes work. <span class="soft">Start it.</span>');
    expect(html).not.toContain('healthy');
  });

  it.each(['not-a-token', '', 'a b', 'x'.repeat(5_000), '<script>'])('%j does not sign in', async (token) => {
    const { response, cookie } = await signIn(await serve(), token);
    expect(response.status).toBe(401);
    expect(cookie).toBe('');
    const html = await response.text();
    expect(html).toContain('unknown, revoked or expired');
    if (token !== '') expect(html).not.toContain(token);
  });

  it('guesses are limited, and nobody with a good token waits for them', async () => {
    const base = await serve(sampleService(), { failedPerAddress: 3 });
    for (let i = 0; i < 3; i += 1) expect((await signIn(base, 'wrong')).response.status).toBe(401);
    const { response } = await signIn(base, 'wrong');
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await signIn(base, 'reader-token')).response.status).toBe(303);
  });

  it('a made up or an old session is none', async () => {
    const base = await serve();
    for (const cookie of [
      'proxmox-mcp=made-up',
      'proxmox-mcp=',
      'proxmox-mcp',
      `proxmox-mcp=${'x'.repeat(4_000)}`,
      ';;=',
    ]) {
      expect(await (await get(base, cookie)).text()).toContain('action="/sign-in"');
    }
  });

  it('a token in the address or in a header of the page is nothing', async () => {
    const base = await serve();
    expect(await (await get(`${base}/?token=reader-token`)).text()).toContain('action="/sign-in"');
    expect((await get(`${base}/sign-in?token=reader-token`)).headers.get('set-cookie')).toBeNull();
  });
});

describe('a session', () => {
  it('is a cookie that scripts and other sites can’t use, without the token, and ends when it is told to', async () => {
    const base = await serve();
    const { response, cookie } = await signIn(base, ' Bearer reader-token\n');
    expect(response.status).toBe(303);
    expect(response.headers.get('location')).toBe('/');
    const set = response.headers.get('set-cookie') ?? '';
    expect(set).toMatch(/^proxmox-mcp=[A-Za-z0-9_-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(set).not.toContain('reader-token');
    expect(await (await get(base, cookie)).text()).toContain('pve1');
    const out = await fetch(`${base}/sign-out`, {
      method: 'POST',
      headers: { origin: base, cookie },
      redirect: 'manual',
      body: new URLSearchParams({ form: await formTokenOf(base, cookie) }),
    });
    expect(out.headers.get('set-cookie')).toMatch(/^proxmox-mcp=; Max-Age=0;/);
    expect(await (await get(base, cookie)).text()).toContain('action="/sign-in"');
  });

  it('goes over https alone where browsers come by https', async () => {
    const config = memoryConfig();
    const publicUrl = 'https://mcp.example';
    const base = await serve(sampleService([], [], { config: { ...config, mcp: { ...config.mcp, publicUrl } } }));
    const { response } = await signIn(base, 'reader-token', { origin: publicUrl });
    expect(response.headers.get('set-cookie')).toMatch(/^__Host-proxmox-mcp=.*; Secure$/);
  });

  it('ends with its token', async () => {
    const good = new Set(['reader-token']);
    const verify = (token: string) => (good.has(token) ? tokens[token] : undefined);
    const base = await serve(sampleService([], [], { tokens: { verify } }));
    const { cookie } = await signIn(base, 'reader-token');
    expect(await (await get(base, cookie)).text()).toContain('Sign out');
    good.clear();
    expect(await (await get(base, cookie)).text()).not.toContain('Sign out');
  });

  it('is limited as its token is', async () => {
    const base = await serve(sampleService(), { perToken: 3 });
    const { cookie } = await signIn(base, 'reader-token');
    for (let i = 0; i < 3; i += 1) expect((await get(base, cookie)).status).toBe(200);
    expect((await get(base, cookie)).status).toBe(429);
  });
});

describe('who may send a form', () => {
  it.each([
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['another site', { origin: 'http://evil.example' }],
    ['nobody who says it', { origin: '' }],
    ['a page without an origin', { origin: 'null' }],
    ['what the browser calls the same site', { 'sec-fetch-site': 'same-site' }],
  ])('not %s', async (_who, headers) => {
    const base = await serve();
    const { response, cookie } = await signIn(base, 'reader-token', headers);
    expect(response.status).toBe(403);
    expect(cookie).toBe('');
    const mine = await signIn(base, 'reader-token');
    await send(base, '/sign-out', mine.cookie, {}, headers);
    expect(await (await get(base, mine.cookie)).text()).toContain('Sign out');
  });

  it('not a name that is rebound to this machine', async () => {
    const base = await serve();
    const status = await new Promise((resolve) => {
      request(base, { headers: { host: 'evil.example' } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).end();
    });
    expect(status).toBe(403);
  });

  it('only by POST, as a form, of the size of a token', async () => {
    const base = await serve();
    expect((await get(`${base}/sign-out`)).status).toBe(303);
    const send = (body: string, type: string) =>
      fetch(`${base}/sign-in`, { method: 'POST', headers: { origin: base, 'content-type': type }, body });
    expect((await send('{"token":"reader-token"}', 'application/json')).status).toBe(401);
    expect((await send(`a=${'x'.repeat(10_000)}&token=reader-token`, 'application/x-www-form-urlencoded')).status).toBe(
      401,
    );
    expect((await fetch(`${base}/tools`, { method: 'POST', headers: { origin: base } })).status).toBe(405);
    expect((await fetch(base, { method: 'DELETE' })).status).toBe(405);
  });
});

describe('the pages', () => {
  it('load nothing from elsewhere and hold no script or style of their own', async () => {
    const base = await serve();
    const { cookie } = await signIn(base, 'reader-token');
    for (const path of ['/', '/tools']) {
      const response = await get(`${base}${path}`, cookie);
      const html = await response.text();
      expect(response.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'self'; script-src 'self';.*form-action 'self'.*frame-ancestors 'none'$/,
      );
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(html).not.toMatch(/<style|style=|<script>|onclick|src="http|undefined|\[object/);
      const assets = [...html.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, asset]) => asset);
      expect(assets).toHaveLength(2);
      for (const asset of assets)
        expect((await get(`${base}${asset}`)).headers.get('cache-control')).toContain('immutable');
    }
  });

  it('document every tool and operation at /tools, and /docs leads there', async () => {
    const base = await serve();
    const html = await (await get(`${base}/tools`)).text();
    for (const name of ['back_up', 'check_health', 'change_schedule', 'wait_for_run', 'claude mcp add']) {
      expect(html).toContain(name);
    }
    expect((await get(`${base}/docs`)).headers.get('location')).toBe('/tools');
  });
});

describe('the state', () => {
  it('is what somebody wants to know: hosts, backups, what waits, what comes, what ran', async () => {
    const html = await stateOf();
    const text = html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');
    expect(text).toMatch(/Host Health Checked Reached by pve1 ok 24 min \d+ s ago .* CET SSH pve2 failed 30 min/);
    expect(text).toMatch(/broken not checked yet/);
    expect(text).toMatch(/pve1 6 h 6 min ago .* 46\.1 MiB verified/);
    expect(text).toMatch(/pve2 30 h 0 min ago .* 9\.1 KiB holds less than the one before/);
    expect(text).toMatch(/broken never – no backup yet the last try: failed/);
    expect(text).toMatch(
      /paused back-up on pve2 asked 1 h 0 min ago .* The undo of Pack failed: No space left on device/,
    );
    expect(text).toMatch(/retry : undo again npx proxmox-mcp runs decide back-up\/pve2\/\d+ retry/);
    expect(text).toMatch(/back-up pve2 paused The disk is being replaced \(ada\)/);
    expect(text).toMatch(/back-up broken not as configured There is no time zone/);
    expect(text).toMatch(/back-up pve1 in (4 h 59|5 h 0) min 2\S+ \S+ (CET|CEST)/);
    expect(text).toMatch(/check-health pve2 done failed 30 min/);
    expect(text).toMatch(/control-guest pve1\/100 undone – 3 h/);
    // The dry run of two hours ago.
    expect(text).not.toContain('planned');
    expect(html).toContain('<meta http-equiv="refresh" content="60; url=/?again">');
  });

  it('takes a check that goes on for no check', async () => {
    const { closedAt: _, ...running } = ended({ operation: 'check-health', target: 'pve1', hours: 0.1 });
    const html = await stateOf(sampleService([{ ...running, state: 'running' }, ...sampleRuns]));
    expect(html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ')).toMatch(/Reached by pve1 ok 24 min/);
  });

  it('finds the last check and backup of a host that stand behind a hundred other runs', async () => {
    const others = Array.from({ length: 150 }, () =>
      ended({ operation: 'control-guest', target: 'pve2/100', hours: 0.1 }),
    );
    const service = sampleService([...others, ...sampleRuns]);
    const html = await stateOf(service);
    expect(html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ')).toMatch(
      /pve1 ok 24 min .* pve1 6 h 6 min ago .* verified/,
    );
    expect(Math.max(...service.asked.map(({ limit }) => limit))).toBeLessThanOrEqual(100);
  });

  it('asks for a result once, and for all of it once a second', async () => {
    const service = sampleService();
    const base = await serve(service);
    const { cookie } = await signIn(base, 'reader-token');
    await Promise.all(Array.from({ length: 20 }, () => get(base, cookie)));
    const { length } = service.asked;
    expect(length).toBeLessThan(10);
    await sleep(1_100);
    await get(base, cookie);
    const backups = service.got.filter((id) => id.startsWith('back-up/pve1'));
    expect(backups).toHaveLength(1);
    expect(service.asked.length).toBeGreaterThan(length);
  });

  it('says what can’t be read, and shows the rest', async () => {
    const service = sampleService();
    const error = new ServiceError({ code: 'unavailable', message: 'Temporal is <away>', remedy: 'Wait.' });
    Object.assign(service.schedules, { list: () => Promise.reject(error) });
    const html = await stateOf(service);
    expect(html).toContain('Not known: Temporal is &lt;away&gt;');
    expect(html).toContain('46.1 MiB');
    expect(html).not.toContain('Nothing is scheduled');
  });

  it('comes in time when something hangs', async () => {
    const service = sampleService();
    const { list } = service.runs;
    Object.assign(service.runs, {
      list: (filter: { state?: string }) => (filter.state === 'paused' ? new Promise(() => {}) : list(filter as never)),
    });
    const begun = performance.now();
    expect(await stateOf(service)).toContain('Not known: It could not be read within 2.5 s');
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it('shows a paused run of before runs told their question to lists', async () => {
    const { question: _, ...run } = paused();
    const html = await stateOf(sampleService([run, ...sampleRuns.slice(1)]));
    expect(html).toContain(`What it asks: npx proxmox-mcp runs get ${run.id}`);
  });

  it('says what could not be mailed', async () => {
    const notices: Notices = {
      pending: [
        {
          key: 'a',
          kind: 'failed',
          target: 'pve2',
          headline: 'Back up failed',
          cause: 'the backup folder is <full>',
          summary: 'It failed.',
          remedy: 'Make room.',
          at: ago(2),
          timeZone: 'Europe/Berlin',
          run: { id: 'back-up/pve2/1', look: 'Look at it.' },
        },
      ],
      dropped: 0,
      unsent: { since: ago(1), why: 'The mail server does not answer.', nextTryAt: ago(-0.1), tries: 3 },
      mailed: 4,
    };
    const service = sampleService(sampleRuns, [], { notices: async () => notices });
    const html = await stateOf(service);
    expect(html).toContain('pve2: Back up failed: the backup folder is &lt;full&gt;');
    expect(html).toContain('The mail server does not answer.');
  });

  it.each([
    ['works', { pending: [], dropped: 0, mailed: 4 }, false],
    ['is not known of, because no worker answers', 'silent', false],
    ['is watched by nobody', 'absent', true],
  ] as const)('has no such part when mail %s', async (_what, notices, isShown) => {
    const html = await stateOf(sampleService([], [], { notices: async () => notices as Notices }));
    expect(html.includes('Not mailed')).toBe(isShown);
  });

  it('is short for whoever has nothing yet', async () => {
    const config = { ...memoryConfig(), hosts: [] as HostConfig[] };
    const html = await stateOf(sampleService([], [], { config }));
    expect(html).toContain('npx proxmox-mcp host add');
    expect(html).toContain('Nothing has run yet');
    expect(html).not.toContain('Waits for you');
  });
});

describe('what a paused run asks', () => {
  const waiting = paused();
  const approval = paused({ question: { ...(waiting.question as Question), kind: 'approval' } });

  async function answering(token: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
    const service = sampleService([waiting, approval]);
    const decided: unknown[] = [];
    Object.assign(service.runs, {
      async decide(...args: unknown[]) {
        const [run, , by] = args as [string, unknown, Requester];
        requireWhoMayAnswer(run, run === approval.id ? { kind: 'approval' } : { kind: 'decision' }, by);
        decided.push(args);
        const { choice } = args[1] as { choice: string };
        if (choice === 'retry') return waiting;
        throw new ServiceError({ code: 'conflict', message: 'It is none of the <choices>', remedy: 'Look.' });
      },
    });
    const base = await serve(service);
    const { cookie } = await signIn(base, token);
    const about = { run: waiting.id, question: 'q1', choice: 'retry', ...fields };
    return {
      decided,
      ...(await send(base, '/decide', cookie, about, headers)),
      page: await (await get(base, cookie)).text(),
    };
  }

  it('is answered by who may steer such runs, in the name of their token', async () => {
    const { decided, status, page } = await answering('operator-token', { reason: ' there is room again ' });
    expect(status).toBe(303);
    const answer = { question: 'q1', choice: 'retry', reason: 'there is room again', via: 'page' };
    expect(decided).toEqual([[waiting.id, answer, { kind: 'mcp', name: 'operator' }]]);
    expect(page).toContain('<button name="choice" value="retry">');
    // One of the two is an approval, which no token gives.
    expect(page.match(/action="\/decide"/g)).toHaveLength(1);
    expect(page).not.toContain('http-equiv="refresh"');
  });

  it('is answered by nobody else, and not twice', async () => {
    const reader = await answering('reader-token', {});
    expect(reader).toMatchObject({ status: 403, decided: [] });
    expect(reader.html).toContain('needs the scope &quot;operate&quot;');
    expect(reader.page).not.toContain('action="/decide"');
    expect(await answering('wrong', {})).toMatchObject({ status: 401, decided: [] });
    expect(await answering('operator-token', {}, { origin: 'https://evil.example' })).toMatchObject({
      status: 403,
      decided: [],
    });
    expect(await answering('admin-token', { run: approval.id })).toMatchObject({ status: 403, decided: [] });
    const wrong = await answering('operator-token', { choice: 'x' });
    expect(wrong.status).toBe(409);
    expect(wrong.html).toContain('It is none of the &lt;choices&gt;');
  });
});

it('shows no foreign text as anything but text, and none of it in full length', async () => {
  const evil = `<img src=x onerror=alert(1)>"'&\u202e\u001b[31m${'A'.repeat(12_000)}`;
  const run = paused({
    target: evil,
    requestedBy: evil,
    question: {
      id: 'q',
      text: evil,
      kind: 'approval',
      askedAt: '2026-11-25T20:00:00.000Z',
      choices: [{ name: evil, meaning: evil }],
    },
  });
  const backup = ended({
    operation: 'back-up',
    target: 'pve1',
    hours: 1,
    verdict: 'ok',
    archive: { path: evil, bytes: 1, counts: true },
  });
  const html = await stateOf(
    sampleService(
      [run, backup],
      [
        {
          id: evil,
          operation: evil,
          target: evil,
          cron: evil,
          timeZone: evil,
          overlap: evil,
          paused: true,
          note: evil,
          problem: evil,
          clockChange: evil,
          nextRuns: [],
          lastRuns: [],
        },
      ],
    ),
  );
  expect(html).not.toContain('<img');
  expect(html).toContain('&lt;img');
  for (const hidden of ['\u202e', '\u001b']) expect(html).not.toContain(hidden);
  expect(html).not.toContain('A'.repeat(1_100));
  expect(html.length).toBeLessThan(30_000);
});
