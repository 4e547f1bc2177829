import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoSandbox } from '../hosts/helper/sandbox/sandbox.ts';
import { whyNoCaddy } from '../support/caddy.ts';
import { panelExpressions, rules, withoutThresholds } from './expressions.ts';
import { whyNoPrometheus } from './prometheus.ts';
import { type Site, startSite } from './site.ts';

// Every query of the dashboards and the alerts, asked of a Prometheus that has scraped the real service: one without data names a
// metric or a label that isn't there. What is only there once something went wrong has been made to go wrong.

describe.skipIf(whyNoSandbox() || whyNoCaddy() || whyNoPrometheus())(
  'a Prometheus that has scraped the service',
  () => {
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

    // Last: it ends the worker.
    it('a run is counted once, by one of the workers, whoever saw it end', async () => {
      const { service } = site;
      await service.startWorker('second-worker');
      expect(await site.page('second-worker')).toContain('proxmox_mcp_host_calls_total{');
      expect(await site.page('second-worker')).not.toContain('proxmox_mcp_runs_ended_total{');
      await Promise.all([service.killWorker('SIGKILL', 'second-worker'), service.killWorker()]);
      // No worker sees that.
      await service.client.workflow.getHandle(site.paused).terminate('the test is over');
      await service.startWorker();
      const ended = async () => {
        const lines = [...(await site.page('worker')).matchAll(/^proxmox_mcp_runs_ended_total\{(.*)\} ([1-9]\d*)$/gm)];
        return lines.map(
          ([, labels = '', count]) =>
            `${/operation="([^"]+)"/.exec(labels)?.[1]} ${/outcome="([^"]+)"/.exec(labels)?.[1]} ${count}`,
        );
      };
      await expect.poll(ended, { timeout: 60_000, interval: 500 }).toContain('change-policy terminated 1');
    }, 150_000);
  },
);
