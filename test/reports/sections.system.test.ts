import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderHtml } from '../../src/reports/html.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { everySection, fleetReport, morningReport, withSections } from './sample-report.ts';

describe.skipIf(whyNoBrowser())('the mail in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  const open = async (html: string, width: number, colorScheme: 'light' | 'dark') => {
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    await page.setContent(html);
    return page;
  };
  const run = {
    id: 'check-health/pve1/k3f9',
    machine: 'a-machine-of-a-long-name.example.org',
    url: 'http://127.0.0.1:8233/namespaces/default/workflows/check-health%2Fpve1%2Fk3f9',
  };

  const views = [
    [360, 'light'],
    [360, 'dark'],
    [800, 'light'],
  ] as const;

  it.each(views)('fits into %d pixels, %s', async (width, colorScheme) => {
    const reports = [withSections(...everySection), morningReport, fleetReport];
    const mails = reports.map((report) => renderHtml(report, { run }));
    // As the programs show it that know nothing of folding.
    const plain = mails.map((html) => html.replace(/<\/?(details|summary)\b[^>]*>/g, ''));
    for (const html of [...mails, ...plain]) {
      const page = await open(html, width, colorScheme);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      expect(background).toBe(colorScheme === 'dark' ? 'rgb(21, 24, 28)' : 'rgb(243, 244, 246)');
      await page.close();
    }
  });

  it.each(views)('has a wide table as a list of cells on a phone: %d pixels, %s', async (width, colorScheme) => {
    const page = await open(renderHtml(morningReport), width, colorScheme);
    expect(await page.locator('.label').first().isVisible()).toBe(width === 360);
    expect(await page.locator('.head').first().isVisible()).toBe(width !== 360);
  });

  it('shows what is wrong at once, and what is well when it is asked for', async () => {
    const page = await open(renderHtml(morningReport), 360, 'light');
    expect(await page.getByText('pveproxy has failed').isVisible()).toBe(true);
    const well = page.getByText('pvestatd is active');
    expect(await well.isVisible()).toBe(false);
    await page.getByText('pvedaemon, pvestatd, pve-cluster').click();
    expect(await well.isVisible()).toBe(true);
  });
});
