import { join } from 'node:path';
import { beforeAll, expect, it, vi } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import type { LedgerHead } from '../../src/operations/ledger.ts';
import { startAnchors } from '../../src/runs/ledger.ts';
import {
  anchorHostsSignal,
  anchorId,
  anchorPlacesQuery,
  hostQueue,
  ledgerQueue,
  serviceQueue,
} from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

const temporal = useTemporal({ withLedger: false });
const written: string[] = [];
let head: LedgerHead | undefined;
let isAway = false;

beforeAll(async () => {
  const workflowBundle = await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts'));
  await temporal.work({ workflowBundle });
  await temporal.work({ taskQueue: ledgerQueue, activities: { answerLedger: async () => (head ? { head } : {}) } });
  for (const name of ['pve1', 'pve2']) {
    await temporal.work({
      taskQueue: hostQueue(name),
      activities: {
        async writeLedgerAnchor({ host, head: of }: { host: string; head: LedgerHead }) {
          if (host === 'pve2' && isAway) {
            throw new ServiceError({ code: 'host-unreachable', message: 'pve2 is away', remedy: 'Wait.' });
          }
          written.push(`${host} ${of.seq} ${of.hash[0]}`);
        },
      },
    });
  }
}, 240_000);

const headOf = (seq: number, digit: string) => ({ seq, hash: digit.repeat(64), at: '2026-11-26T12:00:00.000Z' });

it('writes each new head once to each host, and what one host missed the next time', async () => {
  const { client } = temporal;
  const handle = client.workflow.getHandle(anchorId);
  await client.workflow.signalWithStart('anchorLedger', {
    workflowId: anchorId,
    taskQueue: serviceQueue,
    args: [[], 500],
    signal: anchorHostsSignal,
    signalArgs: [['pve1', 'pve2']],
  });
  const places = async () => (await handle.query(anchorPlacesQuery)).map(({ host, seq, why }) => ({ host, seq, why }));
  await vi.waitFor(async () => expect(await places()).toHaveLength(2), { timeout: 20_000 });
  expect(written).toEqual([]);

  head = headOf(7, 'a');
  await vi.waitFor(() => expect([...written].sort()).toEqual(['pve1 7 a', 'pve2 7 a']), { timeout: 20_000 });
  // Nothing was appended: nothing is written, however often it looks.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(written).toHaveLength(2);

  isAway = true;
  head = headOf(8, 'b');
  await vi.waitFor(async () => expect((await places())[1]?.why).toContain('pve2 is away'), { timeout: 60_000 });
  expect((await places())[0]).toEqual({ host: 'pve1', seq: 8, why: undefined });
  isAway = false;
  await vi.waitFor(async () => expect((await places())[1]).toEqual({ host: 'pve2', seq: 8, why: undefined }), {
    timeout: 60_000,
  });
  expect(written.filter((one) => one.includes(' 8 ')).sort()).toEqual(['pve1 8 b', 'pve2 8 b']);

  // The worker starts again, with another list of hosts: it goes on where it was.
  await startAnchors(client, ['pve1']);
  await vi.waitFor(async () => expect(await places()).toEqual([{ host: 'pve1', seq: 8, why: undefined }]), {
    timeout: 20_000,
  });
  await handle.terminate();
}, 240_000);
