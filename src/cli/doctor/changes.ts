import { splitAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import { judgeServiceSwitch } from '../../hosts/change-control.ts';
import { tcp } from '../tcp.ts';
import { type Check, type Result, skipped } from './check.ts';

/** Whether the kill switch is on, and which hosts don't have it yet. */
export function changeSwitchCheck(config: Config): Check {
  const { address, port } = config.temporal;
  const where = address ?? `127.0.0.1:${port}`;
  return {
    check: 'Kill switch',
    tried: 'read it from the Temporal server',
    async run(signal): Promise<Result> {
      // The check of the Temporal server says what to do about it.
      if ((await tcp(...splitAddress(where), signal)) !== undefined) return skipped(`nothing answers on ${where}`);
      const [{ connectTemporal }, { createChangeSwitch }] = await Promise.all([
        import('../../runs/temporal-client.ts'),
        import('../../runs/switch.ts'),
      ]);
      const client = await connectTemporal(config, 5_000);
      try {
        const state = await client.withAbortSignal(signal, () => createChangeSwitch(client).get());
        const { check: _check, ...found } = judgeServiceSwitch(state, config.hosts[0]?.timeZone ?? 'UTC');
        return found;
      } finally {
        await client.connection.close();
      }
    },
  };
}
