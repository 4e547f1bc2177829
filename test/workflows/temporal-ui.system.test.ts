import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { startOptions } from '../../src/workflows/lib/attributes.ts';
import { serviceQueue } from '../../src/workflows/lib/messages.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import { fixtureOperation } from './fixtures/fixture-operation.ts';

const skipped = whyNoBrowser();
if (skipped) console.warn(`The Temporal UI in Chromium: ${skipped}`);

describe.skipIf(skipped)('a run in the Temporal UI', () => {
  const temporal = useTemporal();
  let browser: Browser;
  let base: string;

  beforeAll(async () => {
    await temporal.work({
      workflowBundle: await bundle(join(import.meta.dirname, './fixtures/workflows.ts')),
      activities: { act: async () => {}, undo: async () => {}, ...createLockActivities({ client: temporal.client }) },
    });
    const by = { kind: 'cli', name: 'ada' } as const;
    const handle = await temporal.client.workflow.start('fixture', {
      workflowId: 'fixture/pve1/ui',
      taskQueue: serviceQueue,
      args: [{ input: { host: 'pve1' }, requestedBy: by }],
      ...startOptions(fixtureOperation, { host: 'pve1' }, by),
    });
    await handle.result();
    const run = `${encodeURIComponent(handle.workflowId)}/${handle.firstExecutionRunId}`;
    base = `${temporal.server.uiUrl}/namespaces/default/workflows/${run}`;
    browser = await launchBrowser();
  }, 600_000);

  afterAll(() => browser?.close());

  /** What a person reads there. The UI renders Markdown in frames of its own. */
  async function textsOf(page: Page): Promise<string> {
    const texts = page.frames().map((frame) => frame.locator('body').innerText({ timeout: 5_000 }));
    return (await Promise.all(texts)).join('\n');
  }

  /**
   * Opens the view anew until it shows the texts: a page that failed to load one of its parts, as on a loaded machine,
   * stays empty, and a person would load it again.
   */
  async function shows(view: string, ...expected: readonly string[]): Promise<void> {
    await vi.waitFor(
      async () => {
        const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
        try {
          await page.goto(`${base}/${view}`);
          await vi.waitFor(
            async () => {
              const seen = await textsOf(page);
              const missing = expected.filter((text) => !seen.includes(text));
              expect(missing, `not on the page, which reads: ${seen}`).toEqual([]);
            },
            { timeout: 20_000, interval: 500 },
          );
        } finally {
          await page.close();
        }
      },
      { timeout: 80_000, interval: 500 },
    );
  }

  it('names its steps in the timeline', () => shows('timeline', 'First', 'Second', 'Third'), 120_000);

  it('says who asked for what, and shows the checklist', async () => {
    await shows('user-metadata', 'Fixture pve1', 'Asked for by', 'ada', '✅ First', '✅ Second', '✅ Third');
  }, 120_000);

  it(
    'can be found by what it did, where, and how it ended',
    () =>
      shows(
        'search-attributes',
        'OpsOperation',
        'OpsTarget',
        'OpsRisk',
        'OpsOutcome',
        'OpsRequestedBy',
        'cli:ada',
        'pve1',
      ),
    120_000,
  );
});
