import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestHost } from './local-host.ts';

/** Programs that a host's helper finds before the real ones, each with its text of a shell. */
export interface StandIns {
  readonly folder: string;
  put(program: string, text: string): void;
  /** The helper finds the real ones again. */
  remove(): void;
}

/** Their folder's name has no space, because it goes into a PATH. */
export function standIns(host: TestHost): StandIns {
  const folder = mkdtempSync(join(tmpdir(), 'pmx-stand-ins-'));
  host.sh(`sed -i '1s|PATH=|PATH=${folder}:|' "$helper"`);
  return {
    folder,
    put: (program, text) => writeFileSync(join(folder, program), `#!/bin/sh\n${text}\n`, { mode: 0o755 }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
