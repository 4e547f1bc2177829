import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { cheap, password } from '../people/people.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { ended, going, sampleRuns, sampleSchedules, sampleService, waitsForApproval } from './lib/sample-service.ts';

/** Where to leave pictures of the pages, for a person's look. */
const pictures = process.env.PICTURES;

describe.skipIf(whyNoBrowser())('the pages in a browser', () => {
  let serving: HttpServing;
  let browser: Browser;
  let base: string;
  let folder: string;

  const approval = waitsForApproval(['anna', 'bert']);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-pages-'));
    const people = createPeople(peopleFile(folder), { cost: cheap });
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    const service = sampleService([approval, going(), ...sampleRuns], sampleSchedules, { people });
    serving = await serveHttp(service, { version: '1.2.3' });

    base = `http://127.0.0.1:${serving.port}`;
    browser = await launchBrowser();
    if (pictures) mkdirSync(pictures, { recursive: true });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await serving?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  async function open(options: Parameters<Browser['newPage']>[0] = {}): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage(options);
    const complaints: string[] = [];
    page.on('console', (message) => void complaints.push(message.text()));
    page.on('pageerror', (error) => void complaints.push(String(error)));
    return { page, complaints };
  }

  async function signedIn(options: Parameters<Browser['newPage']>[0] = {}) {
    const opened = await open(options);
    await opened.page.goto(base);
    await opened.page.getByText('With a token, to look').click();
    await opened.page.getByLabel('Token').fill('reader-token');
    await opened.page.getByRole('button', { name: 'Sign in with it' }).click();
    await opened.page.getByRole('heading', { name: 'Hosts' }).waitFor();
    return opened;
  }

  async function signedInAsAnna(options: Parameters<Browser['newPage']>[0] = {}) {
    const opened = await open(options);
    await opened.page.goto(base);
    await opened.page.getByLabel('Name').fill('anna');
    await opened.page.getByLabel('Password').fill(password);
    await opened.page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await opened.page.getByRole('heading', { name: 'Hosts' }).waitFor();
    return opened;
  }

  describe.each([
    [360, 'light'],
    [360, 'dark'],
    [1280, 'light'],
    [1280, 'dark'],
  ] as const)('%d pixels wide, %s', (width, colorScheme) => {
    const options = { colorScheme, viewport: { width, height: 900 } };

    async function looksWell(page: Page, name: string): Promise<void> {
      if (pictures) {
        await page.screenshot({
          path: join(pictures, `${name}-${width}-${colorScheme}.png`),
          fullPage: name !== 'tools',
        });
      }
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      // Nothing is cut at its right edge either.
      const cut = await page.evaluate(
        `[...document.querySelectorAll('pre, td, code, p, dd, .card, .tree')].filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.textContent)`,
      );
      expect(cut).toEqual([]);
    }

    it('all of them fit, and nothing is refused to them', async () => {
      const first = await open(options);
      await first.page.goto(base);
      await looksWell(first.page, 'sign-in');
      await first.page.close();
      const { page, complaints } = await signedInAsAnna(options);
      await looksWell(page, 'state');
      // The picture of the README.
      const clip = { x: 0, y: 0, width, height: 1_060 };
      if (pictures)
        await page.screenshot({ path: join(pictures, `console-${width}-${colorScheme}.png`), fullPage: true, clip });
      for (const [name, path] of [
        ['approval', `/runs/${approval.id}`],
        ['report', `/runs/${sampleRuns[2]?.id}`],
        ['schedule', '/schedules/back-up/daily/pve1'],
        ['scheduling', '/schedules?operation=back-up&input-host=pve1'],
        ['ledger', '/ledger'],
        ['switch', '/switch'],
      ] as const) {
        await page.goto(`${base}${path}`);
        await looksWell(page, name);
      }
      await page.getByRole('link', { name: 'Tools' }).click();
      await page.getByRole('heading', { name: 'Tools and operations' }).waitFor();
      await looksWell(page, 'tools');
      expect([...first.complaints, ...complaints]).toEqual([]);
      const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      expect(background).toBe(colorScheme === 'dark' ? 'rgb(20, 23, 26)' : 'rgb(246, 247, 249)');
      await page.close();
    }, 60_000);
  });

  it('work without scripts: in, look, out', async () => {
    const { page } = await signedIn({ javaScriptEnabled: false });
    expect(await page.locator('#waiting pre').first().innerText()).toMatch(
      /^npx proxmox-mcp runs decide back-up\/pve2\/\d+ retry$/,
    );
    expect(await page.getByRole('link', { name: 'Read the plan' }).count()).toBe(1);
    expect(await page.locator('.copy button').count()).toBe(0);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Name').waitFor();
    await page.goto(base);
    await page.getByLabel('Name').waitFor();
    await page.close();
  }, 60_000);

  it('keep a hundred runs and fifty schedules readable, each reached by the keyboard', async () => {
    const many = Array.from({ length: 100 }, (_, at) =>
      ended({ operation: 'control-guest', target: `pve1/${100 + at}`, hours: at }),
    );
    const [schedule] = sampleSchedules;
    if (schedule === undefined) throw new Error('no schedule');
    const planned = Array.from({ length: 50 }, (_, at) => ({
      ...schedule,
      id: `back-up/daily/h${at}`,
      target: `h${at}`,
    }));
    const crowded = await serveHttp(sampleService(many, planned), { version: '1' });
    try {
      const { page } = await open({ viewport: { width: 1280, height: 900 } });
      await page.goto(`http://127.0.0.1:${crowded.port}`);
      await page.getByText('With a token, to look').click();
      await page.getByLabel('Token').fill('reader-token');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Hosts' }).waitFor();
      expect(await page.locator('#runs tr').count()).toBe(101);
      expect(await page.locator('#schedules tr').count()).toBe(51);
      // Lists scroll in themselves: the page stays a few screens long.
      expect(await page.evaluate('document.documentElement.scrollHeight')).toBeLessThan(3 * 900);
      const region = page.getByRole('region', { name: 'Last runs' });
      await region.focus();
      await page.keyboard.press('End');
      await expect.poll(() => page.evaluate(`document.querySelector('#runs .scroll').scrollTop`)).toBeGreaterThan(0);
      const links = await page.evaluate(
        `[...document.querySelectorAll('a')].filter((one) => !one.innerText.trim()).length`,
      );
      expect(links).toBe(0);
      await page.close();
    } finally {
      await crowded.close();
    }
  }, 60_000);

  it('copy the line that adds the server', async () => {
    const { page } = await signedIn();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
    await page.goto(`${base}/tools`);
    const box = page.locator('.copy', { hasText: 'claude mcp add' });
    await box.getByRole('button', { name: 'Copy' }).click();
    await box.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(
      'claude mcp add --transport http proxmox http://127.0.0.1:8080/api/mcp --header "Authorization: Bearer TOKEN"',
    );
    await page.close();
  }, 60_000);

  it('keep the session from scripts, and from pages of other ports', async () => {
    const { page } = await signedIn();
    expect(await page.evaluate('document.cookie')).toBe('');
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', name: 'proxmox-mcp' });
    await page.close();
  }, 60_000);
});
