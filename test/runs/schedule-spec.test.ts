import { expect, it } from 'vitest';
import type { Config } from '../../src/config.ts';
import { wantedSchedules } from '../../src/runs/schedule-spec.ts';
import { loadedConfig } from '../support/config.ts';

it('a host that has only an API gets the schedules of operations that need no commands, and no others', () => {
  const config = loadedConfig();
  const [host] = config.hosts;
  if (host === undefined) throw new Error('no host');
  const { ssh: _ssh, ...apiOnly } = host;
  const both: Config = { ...config, hosts: [host, { ...apiOnly, name: 'pve2' }] };
  const targets = wantedSchedules(both).map(({ operation, label }) => ({ needs: operation.needs, label }));
  expect(targets.filter(({ label }) => label === 'pve1').length).toBeGreaterThan(0);
  expect(targets.filter(({ needs, label }) => needs === 'commands' && label === 'pve2')).toEqual([]);
  const free = targets.filter(({ needs }) => needs !== 'commands');
  expect(free.filter(({ label }) => label === 'pve2')).toHaveLength(
    free.filter(({ label }) => label === 'pve1').length,
  );
});
