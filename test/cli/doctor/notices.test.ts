import { expect, it } from 'vitest';
import { noticesCheck } from '../../../src/cli/doctor/notices.ts';
import type { Config } from '../../../src/config.ts';
import { freePort } from '../../support/free-ports.ts';

const mail = { host: 'localhost', port: 25, security: 'none', from: 'a@example.org', to: ['b@example.org'] } as const;
const checked = (config: Pick<Config, 'temporal' | 'hosts' | 'mail'>) =>
  noticesCheck(config as Config).run(AbortSignal.timeout(5_000));
const temporal = { namespace: 'default', port: 1, uiPort: 1, uiUrl: '' };

it('without a mail server failures reach nobody, which is a warning with the keys to set', async () => {
  expect(await checked({ temporal, hosts: [] })).toMatchObject({
    verdict: 'warning',
    summary: expect.stringContaining('reach nobody'),
    remedy: expect.stringMatching(/SMTP_HOST, MAIL_FROM and MAIL_TO/),
  });
});

it('a service that does not run is the business of another check', async () => {
  const found = await checked({ temporal: { ...temporal, port: await freePort() }, hosts: [], mail });
  expect(found.verdict).toBe('skipped');
});
