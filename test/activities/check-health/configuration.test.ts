import { expect, it } from 'vitest';
import { judgeConfiguration } from '../../../src/activities/check-health/configuration.ts';

it('a configuration that was changed after the start is a failure that says how to take it up', () => {
  expect(judgeConfiguration([])).toMatchObject({ verdict: 'ok' });
  expect(judgeConfiguration(['BACKUP_DIR'])).toMatchObject({
    verdict: 'failed',
    summary: expect.stringContaining('(BACKUP_DIR): the service runs with the old one'),
    remedy: expect.stringContaining('reload'),
  });
});
