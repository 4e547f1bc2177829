import { splitAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import { noticesFinding } from '../../reports/notices.ts';
import { tcp } from '../tcp.ts';
import { type Check, failed, type Result, skipped, warning } from './check.ts';

/** Whether what becomes of scheduled runs reaches a person. */
export function noticesCheck(config: Config): Check {
  const { address, port } = config.temporal;
  const where = address ?? `127.0.0.1:${port}`;
  return {
    check: 'Notices',
    tried:
      config.mail === undefined
        ? 'look whether mail is set up'
        : 'ask the watch over the scheduled runs what it could not mail',
    async run(signal): Promise<Result> {
      if (config.mail === undefined) {
        return warning(
          'failures of scheduled runs reach nobody: no mail server is set up',
          'Set SMTP_HOST, MAIL_FROM and MAIL_TO in .env, and restart the service.',
        );
      }
      // The check of the Temporal server says what to do about it.
      if ((await tcp(...splitAddress(where), signal)) !== undefined) return skipped(`nothing answers on ${where}`);
      const [{ connectTemporal }, { readNotices }] = await Promise.all([
        import('../../runs/temporal-client.ts'),
        import('../../runs/watch.ts'),
      ]);
      const client = await connectTemporal(config, 5_000);
      try {
        const notices = await client.withAbortSignal(signal, () => readNotices(client));
        if (notices === 'absent') {
          return failed(
            'nobody watches over the scheduled runs',
            'Restart the service, whose worker starts the watch.',
          );
        }
        if (notices === 'silent') return skipped('no worker answers, so what waits to be mailed is not known');
        const { check: _check, ...found } = noticesFinding(notices, config.hosts[0]?.timeZone ?? 'UTC');
        return found;
      } finally {
        await client.connection.close();
      }
    },
  };
}
