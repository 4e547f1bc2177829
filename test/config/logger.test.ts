import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createLogger } from '../../src/logger.ts';
import { Secret } from '../../src/secret.ts';
import { configurationFolder } from './folder.ts';

it('writes JSON lines to a private file and no secret among them', () => {
  const file = join(configurationFolder(), 'logs/mcp.log');
  const log = createLogger({ level: 'info', name: 'mcp', file });
  const secret = 'c4n4ry';
  log.debug('not said');
  log.info({ host: 'pve1', value: new Secret(secret), token: secret, a: { password: secret, b: { secret } } }, 'hello');
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'info',
    process: 'mcp',
    host: 'pve1',
    value: '[secret]',
    msg: 'hello',
  });
  expect(lines[0]).not.toContain(secret);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});
