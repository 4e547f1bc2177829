import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openLedger } from '../../src/ledger/ledger.ts';
import { ledgerPaths } from '../../src/ledger/paths.ts';
import { acquireKernelLock } from '../../src/service/kernel-lock.ts';
import type { TestService } from './service.ts';

/**
 * Approves a policy that lets everybody do what is dangerous without asking, for tests of what comes after that. Before the
 * worker is started, whose ledger it is; the service's `.env` needs ENABLE_DANGEROUS_COMMANDS=true.
 */
export async function allowDangerous({ folder }: TestService): Promise<void> {
  const document = { rules: [{ who: 'everybody', may: 'yes', risks: ['change', 'dangerous'] }] };
  writeFileSync(join(folder, 'policy.yaml'), JSON.stringify(document), { mode: 0o600 });
  const data = join(folder, 'data', 'ledger');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const ledger = openLedger({
    folder: data,
    claim: () => acquireKernelLock(ledgerPaths(data).claim),
    redact: (text) => text,
  });
  await ledger.append([
    {
      key: 'policy/lenient',
      kind: 'policy',
      text: 'Approved',
      by: 'person:anna',
      data: { document: { ...document, dangerousCommands: true } },
    },
  ]);
  await ledger.close();
}
