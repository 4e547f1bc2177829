import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostConfig } from '../config.ts';
import { replacePrivateFile } from '../private-file.ts';
import { Secret } from '../secret.ts';

type StoredHost = Omit<HostConfig, 'api'> & {
  readonly api?: Omit<NonNullable<HostConfig['api']>, 'tokenValue'> & { readonly tokenValue: string };
};

/** Kept by the start that made the demo, so that the worker, the MCP server and the CLI know its host too. */
export function writeDemoHost(dataDir: string, host: HostConfig): void {
  const { api, ...rest } = host;
  const stored: StoredHost = { ...rest, ...(api && { api: { ...api, tokenValue: api.tokenValue.reveal() } }) };
  replacePrivateFile(pathOf(dataDir), JSON.stringify(stored));
}

/** The demo's host, its schedules read in `timeZone`; none before the demo was started for the first time. */
export function readDemoHosts(dataDir: string, timeZone: string): readonly HostConfig[] {
  let text: string;
  try {
    text = readFileSync(pathOf(dataDir), 'utf8');
  } catch {
    return [];
  }
  const { api, ...host } = JSON.parse(text) as StoredHost;
  return [{ ...host, timeZone, ...(api && { api: { ...api, tokenValue: new Secret(api.tokenValue) } }) }];
}

function pathOf(dataDir: string): string {
  return join(dataDir, 'demo', 'host.json');
}
