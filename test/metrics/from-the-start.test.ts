import type { Client } from '@temporalio/client';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import type { Config } from '../../src/config.ts';
import { countHostCalls } from '../../src/metrics/host-calls.ts';
import { createHostState } from '../../src/metrics/hosts.ts';
import { serviceInstruments, workerInstruments } from '../../src/metrics/instruments.ts';
import { readQueues } from '../../src/metrics/queues.ts';
import { rules } from './expressions.ts';

// What Prometheus has to have seen before something happens, so that it sees that it did; and what is gone has to be gone.

const ruleOf = (name: string) => rules().find(({ alert }) => alert === name)?.expr ?? '';

it('every outcome that HostUnreachable looks at is counted from 0 on', async () => {
  const registry = new Registry();
  countHostCalls(workerInstruments(registry), ['pve1']);
  const page = await registry.metrics();
  const [, outcomes = ''] = /outcome=~"([^"]+)"/.exec(ruleOf('HostUnreachable')) ?? [];
  const isLookedAt = new RegExp(`^(?:${outcomes})$`);
  const zeros = [...page.matchAll(/^proxmox_mcp_host_calls_total\{host="pve1",outcome="([^"]+)"\} 0$/gm)];
  const failing = zeros.map(([, outcome = '']) => outcome).filter((outcome) => outcome !== 'ok');
  expect(failing.filter((outcome) => !isLookedAt.test(outcome))).toEqual([]);
  // Each of the expression's words, with what is in its bracket.
  const words = outcomes.replace(/proxmox-\(([^)]*)\)/, (_, ends: string) => ends.replace(/[^|]+/g, 'proxmox-$&'));
  expect(failing.sort()).toEqual(words.split('|').sort());
});

it('a host whose health was never checked says so', async () => {
  const registry = new Registry();
  const instruments = serviceInstruments(registry);
  const nothing = { workflow: { list: async function* () {} } } as unknown as Client;
  const config = {
    hosts: [
      { name: 'pve1', ssh: {} },
      { name: 'pve2', api: {} },
    ],
  } as unknown as Config;
  await createHostState({ client: nothing, config, instruments: instrumentsOf(instruments) }).readAll();
  const page = await registry.metrics();
  for (const name of ['pve1', 'pve2']) {
    expect(page).toContain(`proxmox_mcp_health_checked_timestamp_seconds{host="${name}"} 0`);
  }
});

function instrumentsOf(instruments: ReturnType<typeof serviceInstruments>) {
  const { host, backupVerified, backupBytes, backupDuration, copiesMade, copies, copiesMissing } = instruments;
  const { healthVerdict, healthChecked, blockedCommands, failedLogins } = instruments;
  return {
    ...{ host, backupVerified, backupBytes, backupDuration, copiesMade, copies, copiesMissing },
    ...{ healthVerdict, healthChecked, blockedCommands, failedLogins },
  };
}

it('the last backup of a host says when it was, how large it is and how long it took, and its copies what is missing', async () => {
  const registry = new Registry();
  const times = { startedAt: '2026-11-22T01:00:00.000Z', finishedAt: '2026-11-22T01:02:30.000Z' };
  const results: Readonly<Record<string, unknown>> = {
    backUp: {
      report: times,
      output: { archive: { path: '/b/full-backup-20261122-010000.tar.zst', bytes: 2048, counts: true } },
    },
    copyBackups: { report: times, output: { copies: 3, missing: ['daily-backup-20261121-020000'] } },
  };
  const client = {
    workflow: {
      async *list({ query }: { query: string }) {
        const [workflowId] = Object.keys(results).filter((type) => query.includes(`'${type}'`));
        if (workflowId !== undefined) yield { workflowId, runId: 'r' };
      },
      getHandle: (id: string) => ({ result: async () => results[id] }),
    },
  } as unknown as Client;
  const config = { hosts: [{ name: 'pve1', ssh: {} }] } as unknown as Config;
  await createHostState({ client, config, instruments: instrumentsOf(serviceInstruments(registry)) }).readAll();
  const page = await registry.metrics();
  const at = Date.parse(times.finishedAt) / 1_000;
  for (const line of [
    `backup_verified_timestamp_seconds{host="pve1",kind="daily"} ${at}`,
    'backup_bytes{host="pve1",kind="full"} 2048',
    'backup_duration_seconds{host="pve1",kind="full"} 150',
    'backup_copies{host="pve1"} 3',
    'backup_copies_missing{host="pve1"} 1',
  ])
    expect(page).toContain(`proxmox_mcp_${line}\n`);
});

it('the queues of a host that was taken out are no longer told of', async () => {
  const registry = new Registry();
  const instruments = serviceInstruments(registry);
  const client = {
    options: { namespace: 'default' },
    workflowService: { describeTaskQueue: async () => ({ pollers: [] }) },
  } as unknown as Client;
  await readQueues(client, ['pve1', 'pve2'], instruments);
  expect(await registry.metrics()).toContain('proxmox_mcp_queue_pollers{queue="host-pve2",tasks="activities"} 0');
  await readQueues(client, ['pve1'], instruments);
  const page = await registry.metrics();
  expect(page).toContain('proxmox_mcp_queue_pollers{queue="host-pve1",tasks="activities"} 0');
  expect(page).not.toContain('pve2');
});
