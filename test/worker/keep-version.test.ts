import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { deploymentName } from '../../src/runs/worker-versions.ts';
import { keepVersion } from '../../src/worker/keep-version.ts';

const pace = { again: 1, lookAgain: 1, gone: 50 };

/** What Temporal would say, of builds and who of them asks for work. */
function temporal(state: { current: string; alive: string[] }) {
  const builds = ['old', 'new'];
  const workflowService = {
    describeWorkerDeployment: async () => ({
      workerDeploymentInfo: {
        routingConfig: { currentDeploymentVersion: { buildId: state.current } },
        versionSummaries: builds.map((buildId) => ({ deploymentVersion: { buildId }, status: 1 })),
      },
    }),
    describeTaskQueue: async () => ({
      pollers: state.alive.map((buildId) => ({
        identity: `1@${buildId}`,
        deploymentOptions: { deploymentName, buildId, workerVersioningMode: 2 },
        lastAccessTime: { seconds: Date.now() / 1_000 },
      })),
    }),
    describeWorkerDeploymentVersion: async () => ({ versionTaskQueues: [] }),
    async setWorkerDeploymentCurrentVersion({ buildId }: { readonly buildId: string }) {
      state.current = buildId;
    },
  };
  const client = {
    workflowService,
    options: { namespace: 'default' },
    workflow: { count: async () => ({ count: 0 }) },
  };
  return client as unknown as Client;
}

it('a build takes over from the current one when nobody of that has been there for a while, and not before', async () => {
  const state = { current: 'old', alive: ['old', 'new'] };
  const ending = new AbortController();
  const log = pino({ level: 'silent' });
  const client = temporal(state);
  let isSettled = false;
  const kept = keepVersion({ client: () => client, build: 'new', promotes: false, log, signal: ending.signal, pace });
  const settled = kept.then(() => {
    isSettled = true;
  });
  await sleep(150);
  expect(state.current).toBe('old');
  // It comes back in time, as after a reboot.
  state.alive = ['new'];
  await sleep(15);
  state.alive = ['old', 'new'];
  await sleep(100);
  expect(state.current).toBe('old');
  expect(isSettled).toBe(false);
  state.alive = ['new'];
  await settled;
  expect(state.current).toBe('new');
});
