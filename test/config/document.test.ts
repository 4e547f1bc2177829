import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { renderConfigurationDocs, renderEnvExample } from '../../src/config/document.ts';
import { keys } from '../../src/config/keys.ts';
import { inspectConfig } from '../../src/config/load.ts';
import { configurationFolder } from './folder.ts';

const root = join(import.meta.dirname, '../..');

it('is what `npm run generate` wrote', () => {
  expect(readFileSync(join(root, 'docs/configuration.md'), 'utf8')).toBe(renderConfigurationDocs());
  expect(readFileSync(join(root, '.env.example'), 'utf8')).toBe(renderEnvExample());
});

it.each(Object.keys(keys).filter((name) => !keys[name]?.secret))(
  'has an example and a default of %s that it takes itself',
  (name) => {
    const { type, example, default: value } = keys[name] ?? { type: undefined };
    expect(type?.schema.safeParse(example).success).toBe(true);
    if (value !== undefined) expect(type?.schema.safeParse(value).success).toBe(true);
  },
);

it('gives examples that can be copied: every line of .env.example, uncommented, and hosts.example.yaml', () => {
  const text = readFileSync(join(root, '.env.example'), 'utf8').replace(/^#(?=[A-Z_]+=)/gm, '');
  // What only makes sense in another combination: the demo beside a host, names of hosts of hosts.yaml.
  const env = text.replace(/^(DEMO|WORKER_HOSTS)=.*$/gm, '');
  const { problems } = inspectConfig({ cwd: configurationFolder({ '.env': env }), env: {} });
  const missing = problems.filter(
    ({ key }) => !['PROXMOX_TOKEN_VALUE', 'PROXMOX_READ_TOKEN_VALUE', 'PBS_TOKEN_VALUE', 'SMTP_PASSWORD'].includes(key),
  );
  expect(missing).toEqual([]);
  const hosts = readFileSync(join(root, 'hosts.example.yaml'), 'utf8');
  const yaml = inspectConfig({ cwd: configurationFolder({ 'hosts.yaml': hosts }), env: {} });
  expect(yaml.problems.map(({ key }) => key)).toEqual(['pve1.PROXMOX_TOKEN_VALUE_FILE']);
});
