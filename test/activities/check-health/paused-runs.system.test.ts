import { expect, it } from 'vitest';
import { inspectPausedRuns } from '../../../src/activities/check-health/paused-runs.ts';
import type { Question } from '../../../src/operations/run.ts';
import { keys } from '../../../src/workflows/lib/attributes.ts';
import { nobodysClient } from '../../support/local-host.ts';
import { useTemporal } from '../../support/temporal.ts';

// Runs that nobody works on: what is said of them rests on the server alone.
const temporal = useTemporal();
const question: Question = {
  id: 'q1',
  text: 'Could not undo "Act". \u001b[31mNo rights.',
  choices: [
    { name: 'retry', meaning: 'try again' },
    { name: 'leave', meaning: 'leave it' },
  ],
  kind: 'decision',
  askedAt: '2026-11-26T05:00:00.000Z',
};
const now = Date.parse('2026-11-26T08:10:00Z');

const start = (workflowId: string, target: string, phase: string, memo?: Record<string, unknown>) =>
  temporal.client.workflow.start('nobody', {
    workflowId,
    taskQueue: 'nobody',
    typedSearchAttributes: [
      { key: keys.target, value: target },
      { key: keys.phase, value: phase },
    ],
    ...(memo && { memo }),
  });
const paused = (host = 'pve1') => inspectPausedRuns(temporal.client, host, now);

it('none is fine', async () => {
  expect(await paused()).toEqual([{ check: 'Paused runs', verdict: 'ok', summary: 'No run waits for a person.' }]);
});

it('of the host and its guests are named, with what they ask and the commands that answer', async () => {
  await start('back-up/pve1/1', 'pve1', 'paused', { question });
  await start('control-guest/pve1.100/1', 'pve1/100', 'paused', { question: 'of another version' });
  await start('back-up/pve1/2', 'pve1', 'running', { question });
  await start('back-up/pve10/1', 'pve10', 'paused', { question });
  const ended = await start('back-up/pve1/3', 'pve1', 'paused', { question });
  await ended.terminate();
  await expect.poll(async () => (await paused()).length, { timeout: 10_000 }).toBe(2);
  const found = new Map((await paused()).map((finding) => [finding.summary.split(' ')[0], finding]));
  expect(found.get('back-up/pve1/1')).toMatchObject({
    verdict: 'failed',
    summary: expect.stringMatching(
      /^back-up\/pve1\/1 waits for a decision, asked 3 h 10 min ago: Could not undo "Act"\..*No rights\.$/,
    ),
    remedy:
      'Decide with: npx proxmox-mcp runs decide back-up/pve1/1 retry (try again); or: npx proxmox-mcp runs decide back-up/pve1/1 leave (leave it)',
  });
  expect(JSON.stringify([...found.values()])).not.toContain('\\u001b');
  expect(found.get('control-guest/pve1.100/1')).toMatchObject({
    verdict: 'failed',
    remedy: 'See what it asks with: npx proxmox-mcp runs get control-guest/pve1.100/1',
  });
});

it('that ask before they begin are a warning, with who may answer', async () => {
  const approval = { digest: 'a'.repeat(64), count: 1, approvers: ['anna', 'bert'], given: [], signed: false };
  await start('control-guest/pve3.100/1', 'pve3/100', 'paused', {
    question: { ...question, kind: 'approval', approval },
  });
  await expect
    .poll(async () => (await paused('pve3')).map(({ verdict }) => verdict), { timeout: 10_000 })
    .toEqual(['warning']);
  expect((await paused('pve3'))[0]?.summary).toMatch(
    /^control-guest\/pve3\.100\/1 waits for the approval of anna, bert, asked/,
  );
});

it('are unknown, soon, when the Temporal server does not say', async () => {
  const began = Date.now();
  expect(await inspectPausedRuns(nobodysClient, 'pve1')).toMatchObject([{ verdict: 'unknown' }]);
  expect(Date.now() - began).toBeLessThan(15_000);
});
