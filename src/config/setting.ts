import type { Source } from './problems.ts';

/** One key as it was written somewhere, not yet looked at. */
export interface Setting {
  readonly key: string;
  readonly text: string;
  readonly source: Source;
  /** Absolute path of the file that it was read from, of a `KEY_FILE`. */
  readonly file?: string;
}

/** An entry of hosts.yaml. */
export interface HostEntry {
  readonly name: string;
  readonly source: Source;
  readonly settings: readonly Setting[];
  /** Keys whose value could not be read: they are not missing. */
  readonly refused: readonly string[];
}
