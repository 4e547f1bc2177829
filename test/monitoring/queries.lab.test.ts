import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { panelExpressions, rules, withoutThresholds } from './expressions.ts';
import { type Site, startSite } from './site.ts';

// Every query of the dashboards and the alerts, asked of a Prometheus that has scraped the real service: one without data names a
// metric or a label that isn't there. What is only there once something went wrong has been made to go wrong.

let site: Site;

beforeAll(async () => {
  site = await startSite();
}, 600_000);
afterAll(() => site?.stop());

/** A look at everything takes 15 s, and a rate two scrapes. */
const patienceMs = 60_000;

/** Those without data, once there was time for it. */
async function empty(queries: readonly (readonly [string, string])[]): Promise<readonly string[]> {
  const deadline = Date.now() + patienceMs;
  let left = queries;
  for (;;) {
    const found = await Promise.all(left.map(async ([, expr]) => (await site.prometheus.query(expr)).length > 0));
    left = left.filter((_, at) => !found[at]);
    if (left.length === 0 || Date.now() > deadline) return left.map(([what, expr]) => `${what}: ${expr}`);
    await sleep(500);
  }
}

it('every panel shows something', async () => {
  expect(await empty(panelExpressions())).toEqual([]);
}, 90_000);

it('every alert looks at something', async () => {
  expect(await empty(rules().map(({ alert, expr }) => [alert, withoutThresholds(expr)]))).toEqual([]);
}, 90_000);
