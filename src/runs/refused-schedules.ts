import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { replacePrivateFile } from '../private-file.ts';

const record = z.record(z.string(), z.string());

/** The schedules that could not be made or changed when the worker started last: why, by their ids. */
export type RefusedSchedules = Readonly<Record<string, string>>;

/** What the worker wrote down; nothing where it wrote nothing. */
export function readRefusedSchedules(config: Pick<Config, 'dataDir'>): RefusedSchedules {
  try {
    return record.parse(JSON.parse(readFileSync(pathOf(config), 'utf8')));
  } catch {
    return {};
  }
}

/** Replaces what was written down before. */
export function writeRefusedSchedules(config: Pick<Config, 'dataDir'>, refused: RefusedSchedules): void {
  if (Object.keys(refused).length === 0) rmSync(pathOf(config), { force: true });
  else replacePrivateFile(pathOf(config), JSON.stringify(refused));
}

function pathOf({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'run', 'refused-schedules.json');
}
