import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { runPagePath } from '../../src/run-url.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import type { Runs } from '../../src/runs/runs.ts';
import { createChangeSwitch } from '../../src/runs/switch.ts';
import { memoryConfig, memoryService } from '../mcp/lib/memory-service.ts';
import { cheap, password } from '../people/people.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { ServiceActivities } from './fixtures/changes.ts';

/** Where to leave pictures of the pages, for a person's look. */
const pictures = process.env.PICTURES;

describe.skipIf(whyNoBrowser())('what waits for a person, in a browser and on a real Temporal', () => {
  const temporal = useTemporal();
  let browser: Browser;
  let serving: HttpServing;
  let base: string;
  let runs: Runs;
  let did: string[] = [];
  let active = 'active';

  beforeAll(async () => {
    const people = createPeople(peopleFile(temporal.dataDir), { cost: cheap });
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    await people.add({ name: 'bert', role: 'operator', password, first: false });
    const activities: ServiceActivities = { look: async () => active, act: async (unit) => void did.push(unit) };
    await temporal.work({
      workflowBundle: await bundle(join(import.meta.dirname, 'fixtures/changes.ts')),
      activities: {
        ...activities,
        ...createLockActivities({ client: temporal.client }),
        mailReport: async () => ({ mailed: true }),
      },
      interceptors: { activity: [failureInterceptor((text) => text, { error: () => {} })] },
    });
    const { client } = temporal;
    const config = { ...memoryConfig(), dataDir: temporal.dataDir };
    runs = createRuns({ client, config });
    const changeSwitch = createChangeSwitch(client);
    const ledger = createLedgerClient(client);
    const service = memoryService({ people, changeSwitch, ledger, config });
    serving = await serveHttp(Object.assign(service, { runs }), { version: '1.2.3' });
    base = `http://127.0.0.1:${serving.port}`;
    browser = await launchBrowser();
    if (pictures) mkdirSync(pictures, { recursive: true });
  }, 600_000);

  afterAll(async () => {
    await browser?.close();
    await serving?.close();
  });

  beforeEach(() => {
    did = [];
    active = 'active';
    temporal.ledger.judge = () => ({
      verdict: 'ask',
      why: 'It is asked for always.',
      terms: {
        count: 1,
        approvers: ['anna'],
        answerWithinMs: 600_000,
        executeWithinMs: 600_000,
        remindEveryMs: 300_000,
        signed: false,
      },
    });
  });

  /** A run that an agent has asked for, and that waits. */
  async function asked(unit: string): Promise<string> {
    const input = { host: 'pve1', unit, action: 'restart' };
    const { id } = await runs.start('control-service', input, { kind: 'mcp', name: 'claude' });
    await vi.waitFor(async () => expect((await runs.get(id)).progress?.question?.kind).toBe('approval'), 20_000);
    return id;
  }

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    return context.newPage();
  }

  async function signIn(page: Page, name: string): Promise<void> {
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
  }

  /** As a mail's link is opened: it leads to the sign-in, and from there to the one plan. */
  async function openAs(name: string, id: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await open(options);
    await page.goto(`${base}${runPagePath(id)}`);
    expect(await page.content()).not.toContain('systemctl');
    await signIn(page, name);
    expect(new URL(page.url()).pathname).toBe(runPagePath(id));
    return page;
  }

  it('is read and refused with a reason, by the keyboard alone', async () => {
    const id = await asked('nginx');
    const page = await open();
    await page.goto(`${base}${runPagePath(id)}`);
    // The name has the focus; from there every field and button is one key away.
    await page.keyboard.type('anna');
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'It needs an approval' }).waitFor();
    await page.keyboard.press('Tab');
    const skip = page.locator(':focus');
    expect(await skip.innerText()).toBe('To the content');
    expect((await skip.boundingBox())?.y).toBeGreaterThanOrEqual(0);
    await page.keyboard.press('Enter');
    const focused = () =>
      page.evaluate(`(() => {
        const one = document.activeElement;
        const label = one.labels?.[0]?.innerText ?? one.innerText;
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        return { tag: one.tagName, label, seen: outlineStyle !== 'none' && outlineWidth !== '0px', no: one.form?.innerText.includes('refuse') ?? false };
      })()`) as Promise<{ tag: string; label: string; seen: boolean; no: boolean }>;
    const visited: string[] = [];
    for (let keys = 0; keys < 30; keys += 1) {
      await page.keyboard.press('Tab');
      const { tag, label, seen, no } = await focused();
      visited.push(`${tag} ${label}`);
      expect(seen, `the focus on ${tag} ${label} is seen`).toBe(true);
      if (tag === 'INPUT' && no) break;
    }
    expect(visited).toContain('BUTTON approve');
    await page.keyboard.type('not tonight');
    await page.keyboard.press('Enter');
    await page.getByText('Answered: refuse.').waitFor();
    const end = await runs.wait(id, { timeoutMs: 20_000 });
    expect(end.failure?.message).toContain('anna said no: not tonight');
    expect(did).toEqual([]);
    await page.reload();
    expect(await page.getByText('anna said no: not tonight').count()).toBe(1);
    await page.context().close();
  }, 90_000);

  it('is approved without scripts; that runs, once, and the ledger says by whom', async () => {
    const id = await asked('haproxy');
    const page = await openAs('anna', id, { javaScriptEnabled: false });
    const text = await page.locator('main').innerText();
    for (const part of [
      'systemctl restart haproxy.service',
      'haproxy blinks',
      'It may not come up again',
      'mcp:claude',
    ]) {
      expect(text).toContain(part);
    }
    await page.locator('form', { hasText: 'approve' }).getByLabel('Why').fill('go on');
    await page.getByRole('button', { name: 'approve' }).click();
    await page.getByText('Answered: approve.').waitFor();
    expect((await runs.wait(id, { timeoutMs: 20_000 })).state).toBe('done');
    expect(did).toEqual(['haproxy']);
    await page.goto(`${base}/ledger?run=${encodeURIComponent(id)}`);
    const records = await page.locator('main').innerText();
    expect(records).toContain('person:anna');
    expect(records).toContain('approve: go on');
    await page
      .getByRole('link', { name: /control-service on pve1/ })
      .first()
      .click();
    await page.getByText('haproxy was restarted.').first().waitFor();
    await page.context().close();
  }, 90_000);

  it('that has drifted asks anew, and says what is otherwise', async () => {
    const id = await asked('postfix');
    const page = await openAs('anna', id);
    const late = await openAs('anna', id);
    active = 'failed';
    await page.getByRole('button', { name: 'approve' }).click();
    await page.getByText('Answered: approve.').waitFor();
    await vi.waitFor(async () => expect((await runs.get(id)).progress?.question?.id).toMatch(/^q2/), 20_000);
    // From the page of before: what was read is not what would be done.
    await late.getByRole('button', { name: 'approve' }).click();
    await late.getByText('The run has asked something else meanwhile').waitFor();
    await late.getByRole('heading', { name: 'What is otherwise than in the plan before' }).waitFor();
    expect(await late.locator('main').innerText()).toContain('postfix: was active, is failed');
    expect(did).toEqual([]);
    await late.getByRole('button', { name: 'approve' }).click();
    await late.getByText('Answered: approve.').waitFor();
    expect((await runs.wait(id, { timeoutMs: 20_000 })).state).toBe('done');
    expect(did).toEqual(['postfix']);
    await page.context().close();
    await late.context().close();
  }, 90_000);

  it('is read and not decided by somebody else who opens the link', async () => {
    const id = await asked('dovecot');
    const page = await openAs('bert', id);
    await page.getByText('You are none of those who may').waitFor();
    expect(await page.getByRole('button', { name: 'approve' }).count()).toBe(0);
    // Who makes the form by hand is refused by the run itself.
    const { progress } = await runs.get(id);
    const fields = JSON.stringify({
      run: id,
      question: progress?.question?.id,
      digest: progress?.plan?.digest,
      choice: 'approve',
    });
    await page.evaluate(`(() => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'post', action: '/decide' });
      const own = document.querySelector('input[name=form]').value;
      for (const [name, value] of Object.entries({ form: own, ...${fields} })) {
        form.append(Object.assign(document.createElement('input'), { name, value }));
      }
      document.body.append(form);
      form.submit();
    })()`);
    await page.getByText('bert is none of those who may answer this').waitFor();
    expect(did).toEqual([]);
    await runs.cancel(id, 'the test is over', { kind: 'cli', name: 'test' });
    await page.context().close();
  }, 90_000);

  it('is not answered by a page of another site, though the browser is signed in', async () => {
    const id = await asked('redis');
    const page = await openAs('anna', id);
    const form = await page.locator('input[name=form]').first().inputValue();
    const { progress } = await runs.get(id);
    const fields = {
      form,
      run: id,
      question: progress?.question?.id ?? '',
      digest: progress?.plan?.digest ?? '',
      choice: 'approve',
    };
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
    const evil = await serveText(
      `<form method="post" action="${base}/decide">${inputs.join('')}<button>Win</button></form>`,
    );
    try {
      const other = await page.context().newPage();
      await other.goto(`http://127.0.0.1:${evil.port}`);
      await other.getByRole('button', { name: 'Win' }).click();
      await other.getByText('This form was not sent by a page of this server.').waitFor();
      await other.goto(`http://localhost:${evil.port}`);
      await other.getByRole('button', { name: 'Win' }).click();
      await other.getByText('This form was not sent by a page of this server.').waitFor();
    } finally {
      await evil.close();
    }
    expect((await runs.get(id)).progress?.question?.approval?.given).toEqual([]);
    await runs.cancel(id, 'the test is over', { kind: 'cli', name: 'test' });
    await page.context().close();
  }, 90_000);

  it('fits a phone, and the kill switch with it', async () => {
    const id = await asked('grafana');
    const page = await openAs('anna', id, { viewport: { width: 360, height: 740 } });
    const fits = async (name: string) => {
      if (pictures) await page.screenshot({ path: join(pictures, `${name}-phone.png`), fullPage: true });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
      const cut = await page.evaluate(
        `[...document.querySelectorAll('pre, td, code, p, .card, dd, button')].filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.textContent)`,
      );
      expect(cut).toEqual([]);
      // A thumb hits what is to be pressed.
      const small = await page.evaluate(
        `[...document.querySelectorAll('main button')].filter((one) => one.getBoundingClientRect().height < 36).map((one) => one.textContent)`,
      );
      expect(small).toEqual([]);
    };
    await fits('run');
    await page.getByRole('link', { name: 'Stop all changes' }).click();
    await page.getByLabel('Why').fill('something is wrong');
    await page.getByRole('button', { name: 'Stop all changes' }).click();
    await page.getByText('All changes are stopped.').waitFor();
    expect(await createChangeSwitch(temporal.client).get()).toMatchObject({ on: true, why: 'something is wrong' });
    await fits('switch');
    await page.getByLabel('Why it is safe now').fill('it was nothing');
    await page.getByLabel('Your password, again').fill(password);
    await page.getByRole('button', { name: 'Allow changes again' }).click();
    await page.getByText('Changes are allowed again.').waitFor();
    expect(await createChangeSwitch(temporal.client).get()).toMatchObject({ on: false });
    await runs.cancel(id, 'the test is over', { kind: 'cli', name: 'test' });
    await page.context().close();
  }, 90_000);
});

async function serveText(html: string): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server: Server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(html);
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
