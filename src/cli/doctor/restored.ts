import { splitAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import { readRestoredMark, restoredMarkPath } from '../../restored-mark.ts';
import { tcp } from '../tcp.ts';
import { type Check, ok, type Result, skipped } from './check.ts';

/** Whether an older state of the service was restored and waits for an administrator. */
export function restoredCheck(config: Config): Check {
  const { address, port } = config.temporal;
  const where = address ?? `127.0.0.1:${port}`;
  return {
    check: 'Restored',
    tried: `look for ${restoredMarkPath(config.accessDir)}, and compare Temporal with the ledger`,
    async run(signal): Promise<Result> {
      const isAway = (await tcp(...splitAddress(where), signal)) !== undefined;
      // The check of the Temporal server says what to do about it.
      if (isAway && readRestoredMark(config.accessDir) === undefined) return skipped(`nothing answers on ${where}`);
      const { findRestored, restoredFinding } = await import('../../runs/restored.ts');
      const found = await findRestored(config);
      if (found === undefined) return ok('what it knows is as it was left');
      const { check: _check, ...finding } = restoredFinding(found);
      return finding;
    },
  };
}
