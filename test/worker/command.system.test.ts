import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { makeAuthority } from '../support/certificates.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { freePort } from '../support/free-ports.ts';
import { apiEntry } from '../support/hosts.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { useTemporal } from '../support/temporal.ts';
import { startTemporalFront } from '../support/temporal-front.ts';
import { endWorkers, spawnWorker, startWorker } from './processes.ts';

const temporal = useTemporal({ withLedger: false });
const hosts = { here: { ENABLE_LOCAL_EXECUTION: 'true' } };
const container = ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync(container[0] as string, [...container.slice(1), 'true']).status === 0;

afterEach(endWorkers, 60_000);

/** Signals what runs in a container: its first process, which is not the one that we have started. */
function signalInside(pid: number | undefined, signal: string): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  process.kill(Number(children.split(' ')[0]), signal);
}

describe('proxmox-mcp worker', () => {
  it('waits for a Temporal that is not there yet, says so, makes the namespace, and works', async () => {
    const address = temporal.server.address;
    const proxied = await freePort();
    const env = { TEMPORAL_ADDRESS: `127.0.0.1:${proxied}`, TEMPORAL_NAMESPACE: 'made-here' };
    const worker = await spawnWorker({ env, hosts });
    await worker.says(/can't be worked with yet, and it is tried again: The Temporal server at .* doesn't answer/);
    const front = await startTcpProxy(Number(address.split(':')[1]), proxied);
    try {
      await worker.says(/Temporal is there/);
      await worker.says(/worker is ready/);
      const { config } = await temporal.client.workflowService.describeNamespace({ namespace: 'made-here' });
      expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(30 * 86_400);
      expect(await worker.end()).toBe(0);
    } finally {
      await front.stop();
    }
  });

  it.skipIf(!canUnshare)('ends in order as the first process of a container, also while it waits', async () => {
    for (const env of [
      { TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}` },
      { TEMPORAL_ADDRESS: temporal.server.address },
    ]) {
      const worker = await spawnWorker({ env, hosts, wrapper: container });
      await worker.says(env.TEMPORAL_ADDRESS === temporal.server.address ? /worker is ready/ : /tried again/);
      signalInside(worker.child.pid, 'SIGTERM');
      await expect.poll(() => worker.child.exitCode, { timeout: 20_000 }).toBe(0);
    }
  });
});

describe.runIf(exhaustive)('behind TLS that asks for a client certificate and an API key', () => {
  let simulator: ProxmoxSimulator;
  beforeAll(async () => {
    simulator = await createProxmoxSimulator();
  });
  afterAll(() => simulator?.close());

  it('it works, and goes on when both are others, without a restart', async () => {
    const [ours, next] = await Promise.all([makeAuthority('Ours'), makeAuthority('Next')]);
    const [server, client, renewed] = await Promise.all([
      ours.issue('temporal.test'),
      ours.issue('worker'),
      next.issue('worker'),
    ]);
    const [key, nextKey] = ['the-first-key-0123456789', 'the-second-key-0123456789'];
    const front = await startTemporalFront({
      target: temporal.server.address,
      server,
      clientCa: ours.ca,
      apiKey: key,
    });
    const entries = { pve1: apiEntry(simulator) };
    const worker = await startWorker({
      env: {
        TEMPORAL_ADDRESS: `127.0.0.1:${front.port}`,
        TEMPORAL_TLS_CA_FILE: 'ca.pem',
        TEMPORAL_TLS_SERVER_NAME: 'temporal.test',
        TEMPORAL_TLS_CERT_FILE: 'client.pem',
        TEMPORAL_TLS_KEY_FILE: 'client.key',
        TEMPORAL_API_KEY_FILE: 'api-key',
      },
      hosts: entries,
      files: { 'ca.pem': ours.ca, 'client.pem': client.certificate, 'client.key': client.key, 'api-key': `${key}\n` },
    });
    const { config } = loadConfig({ cwd: worker.folder, env: {} });
    const runs = createRuns({ client: temporal.client, config });
    const works = async () => {
      const { id } = await runs.start('check-health', { host: 'pve1' }, { kind: 'cli', name: 'test' });
      return (await runs.wait(id, { timeoutMs: 90_000 })).state;
    };
    try {
      expect(await works()).toBe('done');
      const renewedFiles = { 'client.pem': renewed.certificate, 'client.key': renewed.key, 'api-key': `${nextKey}\n` };
      for (const [name, text] of Object.entries(renewedFiles)) {
        writeFileSync(join(worker.folder, name), text, { mode: 0o600 });
      }
      // Who still came with the former ones is refused from here on, and its connections are ended.
      front.setApiKey(nextKey);
      front.setClientCa(next.ca);
      await worker.says(/Temporal's certificates have changed: connected anew with them/);
      expect(await works()).toBe('done');
      const refusedSoFar = front.counts[16] ?? 0;
      await sleep(15_000);
      expect(await works()).toBe('done');
      expect(front.counts[16] ?? 0).toBe(refusedSoFar);
      expect(await worker.end()).toBe(0);
    } finally {
      await front.close();
    }
  }, 240_000);
});
