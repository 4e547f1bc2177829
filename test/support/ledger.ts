import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { ApprovalActivities } from '../../src/activities/approvals/approvals.ts';
import { type ContactActivities, type KnownContacts, tellOf } from '../../src/activities/contacts/contacts.ts';
import { createLedgerStoreActivities } from '../../src/activities/ledger/ledger.ts';
import { ServiceError } from '../../src/errors.ts';
import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import { ledgerPaths } from '../../src/ledger/paths.ts';
import type { JudgedRequest, Judgement } from '../../src/operations/judgement.ts';
import type { LedgerRecord } from '../../src/operations/ledger.ts';
import { acquireKernelLock } from '../../src/service/kernel-lock.ts';
import { ledgerQueue } from '../../src/workflows/lib/messages.ts';

/** A real ledger, and a policy and codes that a test makes up. */
export interface TestLedger {
  /** Of one run, oldest first. */
  recordsOf(run: string): readonly LedgerRecord[];
  append: Ledger['append'];
  readonly judged: JudgedRequest[];
  /** Default: all is allowed. */
  judge: (request: JudgedRequest) => Judgement;
  /** The kill switch. */
  stopped: boolean;
  /** Who hears of what goes wrong, and by which times. Default: nobody, so that it is MAIL_TO. */
  contacts: KnownContacts;
  /** Codes that count once, by their text. */
  readonly codes: Map<string, { by: string; choice: string; digest: string }>;
}

/** The activities of the ledger's queue, on a ledger in a folder of its own. */
export function openTestLedger() {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-ledger-'));
  const claim = () => acquireKernelLock(ledgerPaths(folder).claim);
  const opened = openLedger({ folder, claim, redact: (text) => text });
  const ledger: TestLedger = {
    recordsOf: (run) => [...opened.search({ run, limit: 200 }).records].reverse(),
    append: opened.append,
    judged: [],
    judge: () => ({ verdict: 'allowed' }),
    stopped: false,
    contacts: { contacts: [], escalation: {} },
    codes: new Map(),
  };
  const approvals: ApprovalActivities = {
    preview: async (request) => ledger.judge(request),
    async judge(request) {
      ledger.judged.push(request);
      return ledger.judge(request);
    },
    async goOn() {
      if (!ledger.stopped) return;
      throw new ServiceError({ code: 'changes-stopped', message: 'Somebody has stopped all changes', remedy: 'Wait.' });
    },
    async redeemCode({ code, choice, digest }) {
      const found = ledger.codes.get(code);
      ledger.codes.delete(code);
      return found?.choice === choice && found.digest === digest ? found.by : undefined;
    },
  };
  const contacts: ContactActivities = {
    whoHears: async (asked) => tellOf(ledger.contacts, asked, { hosts: [] }),
  };
  return {
    ledger,
    activities: { ...createLedgerStoreActivities({ ledger: opened }), ...approvals, ...contacts },
    async close() {
      await opened.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Answers on the ledger's queue of a Temporal server, with a ledger of its own and a policy that allows everything. */
export async function serveTestLedger(address: string): Promise<{ stop(): Promise<void> }> {
  const opened = openTestLedger();
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({ connection, taskQueue: ledgerQueue, activities: opened.activities });
  const running = worker.run();
  return {
    async stop() {
      worker.shutdown();
      await running;
      await connection.close();
      await opened.close();
    },
  };
}
