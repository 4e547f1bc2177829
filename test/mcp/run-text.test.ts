import { expect, it } from 'vitest';
import { runText } from '../../src/mcp/run-text.ts';
import type { RunDetails } from '../../src/runs/runs.ts';

it("tells times as the host's clock shows them, with the zone", () => {
  const run: RunDetails = {
    id: 'check-health/pve1/k3f9',
    operation: 'check-health',
    target: 'pve1',
    state: 'done',
    verdict: 'ok',
    dryRun: false,
    startedAt: '2026-11-22T07:00:00.000Z',
    closedAt: '2026-11-22T07:00:02.000Z',
    timeZone: 'Europe/Berlin',
    url: 'http://127.0.0.1:8233/1',
    result: {
      outcome: 'done',
      output: {},
      report: {
        title: 'Check health',
        target: 'pve1',
        verdict: 'ok',
        summary: 'pve1 is healthy.',
        startedAt: '2026-11-22T07:00:00.000Z',
        finishedAt: '2026-11-22T07:00:02.000Z',
        sections: [],
      },
    },
  };
  const text = runText(run);
  expect(text).toContain('started 2026-11-22 08:00:00 CET, ended 2026-11-22 08:00:02 CET');
  expect(text).toContain('pve1, 2026-11-22 08:00:00 CET, took 2.0 s');
});
