import type { Client } from '@temporalio/client';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { configurationFolder } from '../config/folder.ts';

it('asks which of several hosts is meant, and names them', async () => {
  const hosts = 'hosts: { pve1: { SSH_HOST: 192.0.2.1 }, pve2: { SSH_HOST: 192.0.2.2 } }';
  const { config } = loadConfig({ cwd: configurationFolder({ 'hosts.yaml': hosts }), env: {} });
  // Nothing is started, so Temporal isn't asked.
  const runs = createRuns({ client: {} as Client, config });
  await expect(runs.start('check-health', {}, { kind: 'cli', name: 'me' })).rejects.toMatchObject({
    code: 'invalid-input',
    message: expect.stringContaining('host: it is missing; there are pve1, pve2'),
  });
});
