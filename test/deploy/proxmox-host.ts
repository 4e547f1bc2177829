import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Schema {
  readonly [path: string]: { readonly [method: string]: { readonly parameters?: Readonly<Record<string, unknown>> } };
}

/** The programs of a Proxmox VE host that install.sh uses, as texts: each is the same script. */
export const proxmoxPrograms = ['pct', 'pveam', 'pvesm', 'pvesh'] as const;
export const proxmoxProgram = readFileSync(join(import.meta.dirname, 'stand-ins/pct.sh'), 'utf8');

/** The options that each command takes, by the recorded schema of the API, which the commands are made from. */
export function proxmoxOptions(): string {
  const file = join(import.meta.dirname, '../../lab/proxmox/api-schema.json');
  const schema = JSON.parse(readFileSync(file, 'utf8')) as Schema;
  const of = (method: string, path: string) => Object.keys(schema[path]?.[method]?.parameters ?? {}).join(' ');
  return [
    `pct create ${of('POST', '/nodes/{node}/lxc')}`,
    `pct destroy ${of('DELETE', '/nodes/{node}/lxc/{vmid}')}`,
    `pvesm status ${of('GET', '/nodes/{node}/storage')}`,
    '',
  ].join('\n');
}
