import { describe, expect, it } from 'vitest';
import { renderHtml } from '../../src/reports/html.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { everySection, withSections } from './sample-report.ts';

describe.skipIf(whyNoBrowser())('the mail in a browser', () => {
  it.each([
    [360, 'light'],
    [360, 'dark'],
    [800, 'light'],
  ] as const)(
    'fits into %d pixels, %s',
    async (width, colorScheme) => {
      const browser = await launchBrowser();
      try {
        const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
        await page.setContent(renderHtml(withSections(...everySection)));
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
        const label = page.locator('.label').first();
        // A wide table is a list of its cells on a phone, each with its column's name.
        expect(await label.isVisible()).toBe(width === 360);
        const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
        expect(background).toBe(colorScheme === 'dark' ? 'rgb(21, 24, 28)' : 'rgb(243, 244, 246)');
      } finally {
        await browser.close();
      }
    },
    60_000,
  );
});
