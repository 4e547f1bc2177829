import { splitAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import { tcp } from '../tcp.ts';
import { type Check, failed, ok, type Result, skipped } from './check.ts';

/** Whether runs wait for a worker of a build that is gone. */
export function workerBuildsCheck(config: Config): Check {
  const { address, port } = config.temporal;
  const where = address ?? `127.0.0.1:${port}`;
  return {
    check: 'Worker builds',
    tried: 'compare the open runs of each build with the workers that there are',
    async run(signal): Promise<Result> {
      // The check of the Temporal server says what to do about it.
      if ((await tcp(...splitAddress(where), signal)) !== undefined) return skipped(`nothing answers on ${where}`);
      const [{ connectTemporal }, { readWorkerVersions, strandedIn, strandedText }] = await Promise.all([
        import('../../runs/temporal-client.ts'),
        import('../../runs/worker-versions.ts'),
      ]);
      const client = await connectTemporal(config, 5_000);
      try {
        const found = await client.withAbortSignal(signal, () => readWorkerVersions(client));
        if (found === undefined) return ok('the workers work without versioning');
        const stranded = strandedIn(found).map(strandedText);
        if (stranded.length === 0) return ok('every open run has a worker of its build');
        const summary = stranded.map((one) => one.summary).join(' ');
        return failed(summary, stranded.map(({ remedy }) => remedy).join(' '));
      } finally {
        await client.connection.close();
      }
    },
  };
}
