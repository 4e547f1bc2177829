import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createApprovalActivities, type KnownToken } from '../../../src/activities/approvals/approvals.ts';
import type { Ledger } from '../../../src/ledger/ledger.ts';
import type { JudgedRequest } from '../../../src/operations/judgement.ts';
import { loadedConfig } from '../../support/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-preview-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, 'policy.yaml'), 'windows: [{ days: sun, from: 22:00, to: 02:00 }]\n', { mode: 0o600 });

const madeAt = '2026-11-01T00:00:00.000Z';
const claude: KnownToken = { name: 'claude', scope: 'operate', createdAt: madeAt };

function preview(request: Partial<JudgedRequest>, { tokens = [claude], on = false } = {}) {
  const { preview: ask } = createApprovalActivities({
    config: { ...loadedConfig(), dataDir: folder },
    configFolder: folder,
    ledger: { search: () => ({ records: [], missing: [] }) } as unknown as Ledger,
    changeSwitch: async () => ({ on, round: 0 }) as never,
    tokens: () => tokens,
  });
  return ask({
    operation: 'back-up',
    risk: 'change',
    input: { host: 'pve1' },
    requestedBy: { kind: 'schedule', name: 'back-up/own-x/pve1' },
    onBehalfOf: { kind: 'mcp', name: 'claude', token: madeAt },
    at: '2098-11-30T22:30:00.000Z',
    ...request,
  });
}

describe('what the policy would say', () => {
  it('is about the time at which it is to be done', async () => {
    // A Sunday night; another night.
    expect(await preview({})).toMatchObject({ verdict: 'allowed' });
    expect(await preview({ at: '2098-12-02T22:30:00.000Z' })).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('change windows'),
    });
  });

  it('is about the tokens as they are now', async () => {
    for (const tokens of [
      [],
      [{ ...claude, createdAt: '2026-11-20T00:00:00.000Z' }],
      [{ ...claude, expiresAt: '2026-11-02T00:00:00.000Z' }],
    ]) {
      expect(await preview({}, { tokens })).toMatchObject({
        verdict: 'refused',
        why: expect.stringContaining('was revoked or has expired'),
      });
    }
    expect(await preview({}, { tokens: [{ ...claude, scope: 'read' }] })).toMatchObject({
      verdict: 'refused',
      why: expect.stringContaining('has the scope read'),
    });
  });

  it('lets only looks through while the kill switch is on', async () => {
    expect(await preview({}, { on: true })).toMatchObject({ verdict: 'refused' });
    expect(await preview({ risk: 'read' }, { on: true })).toMatchObject({ verdict: 'allowed' });
  });
});
