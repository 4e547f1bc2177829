import { expect, it } from 'vitest';
import type { CliContext } from '../../src/cli/context.ts';
import { followRun } from '../../src/cli/show-run.ts';
import { failureText } from '../../src/runs/failure-text.ts';
import type { RunDetails, Runs } from '../../src/runs/runs.ts';

const running: RunDetails = {
  id: 'back-up/pve1/1',
  operation: 'back-up',
  target: 'pve1',
  state: 'running',
  dryRun: false,
  startedAt: '2026-01-01T00:00:00.000Z',
  timeZone: 'UTC',
  url: 'http://127.0.0.1:8233/1',
};

const ended = { closedAt: '2026-01-01T00:01:00.000Z' };
const result: RunDetails['result'] = {
  outcome: 'done',
  report: {
    title: 'Back up',
    target: 'pve1',
    verdict: 'ok',
    summary: 'Done.',
    startedAt: running.startedAt,
    finishedAt: ended.closedAt,
    sections: [],
  },
  output: {},
};

/** The exit code of following a run that is in this state when the waiting ends. */
async function exitCodeOf(end: RunDetails): Promise<number> {
  let code = 0;
  const context = { exitWith: (given: number) => (code = given) } as unknown as CliContext;
  const runs = { wait: async () => end } as unknown as Runs;
  await followRun(context, runs, running, { timeoutMs: 1, json: true });
  return code;
}

it('does not say 0, which is done, of a run that is not done when the waiting ends', async () => {
  expect(await exitCodeOf(running)).toBe(1);
  expect(await exitCodeOf({ ...running, ...ended, state: 'done', result })).toBe(0);
  expect(await exitCodeOf({ ...running, ...ended, state: 'failed' })).toBe(1);
});

it('says once what to do about a failed run', () => {
  const remedy = 'Free some.';
  expect(failureText({ code: 'disk-full', message: 'No room. Free some. What it had done was undone.', remedy })).toBe(
    'No room. Free some. What it had done was undone.',
  );
  expect(failureText({ code: 'cancelled', message: 'It was cancelled.', remedy: 'Start it again.' })).toBe(
    'It was cancelled. Start it again.',
  );
});
