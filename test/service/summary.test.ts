import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { summary } from '../../src/service/summary.ts';
import { configurationFolder } from '../config/folder.ts';

it('says that real hosts hold something too, which goes before the data that reaches them', () => {
  const said = (env: string) => {
    const { config } = loadConfig({ cwd: configurationFolder({ '.env': env }), env: {} });
    return summary(config, undefined).join('\n');
  };
  expect(said('SSH_HOST=192.0.2.1')).toMatch(/Remove +each host first: proxmox-mcp host uninstall NAME; then: rm -rf /);
  expect(said('DEMO=true')).toMatch(/Remove +all that it made: rm -rf /);
});
