import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from './config/load.ts';

/** This package's version. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(projectFolder(), 'package.json'), 'utf8'));
  return (manifest as { readonly version: string }).version;
}
